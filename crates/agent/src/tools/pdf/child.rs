//! The reader's side: a process that lives for one PDF and may die of it.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use domain::sandboxes::FILE_MAX;
use pdf_extract::{Document as Pdf, PlainTextOutput, output_doc_page};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::{Document, Report};

/// Most bytes of memory a reader may ask for: a full-size file, unpacked several times over.
pub const MEMORY_MAX: u64 = 1 << 30;

/// Most seconds of CPU.
const CPU_SECONDS: u64 = 20;

/// Pages read; of the rest only the number is told.
const PAGES_MAX: usize = 500;

/// Bytes of text after which no further page is read.
const TEXT_MAX: usize = 4 * 1024 * 1024;

/// Reads the PDF on standard input and prints its text for [`super::PdfReader`], in the form that only the two know.
pub fn main() -> ExitCode {
    let report = confine().and_then(|()| receive()).map_or_else(
        |error| Report::Refused(format!("its reader cannot work: {error}")),
        |bytes| extract(&bytes).map_or_else(Report::Refused, Report::Read),
    );
    let printed = serde_json::to_vec(&report).map_err(io::Error::from).and_then(|json| {
        let mut output = io::stdout().lock();
        output.write_all(b"\0").and_then(|()| output.write_all(&json)).and_then(|()| output.flush())
    });
    if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Gives up what a reader does not need. The kernel keeps the promise from here on.
fn confine() -> io::Result<()> {
    let limit = |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    limit(Resource::Cpu, CPU_SECONDS)?;
    limit(Resource::Core, 0)?;
    // Nothing can be written, and no further file opened.
    limit(Resource::Fsize, 0)?;
    limit(Resource::Nofile, 3)?;
    // Other systems count address space differently, or not at all; there the time limit has to do.
    if cfg!(target_os = "linux") {
        limit(Resource::As, MEMORY_MAX)?;
    }
    Ok(())
}

fn receive() -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    io::stdin().lock().take(FILE_MAX as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn extract(bytes: &[u8]) -> Result<Document, String> {
    let pdf = caught(|| open(bytes)).unwrap_or_else(|| Err("it is damaged".into()))?;
    let numbers: Vec<u32> = pdf.get_pages().into_keys().collect();
    let (mut text, mut empty) = (String::new(), true);
    for (done, number) in numbers.iter().enumerate() {
        if done == PAGES_MAX || text.len() > TEXT_MAX {
            text.push_str("--- the pages after this are not read: the document is too long ---\n");
            break;
        }
        let page = caught(|| page(&pdf, *number)).flatten();
        let page = page.as_deref().unwrap_or("(this page cannot be read)").trim();
        empty &= page.is_empty();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "--- page {number} of {} ---\n{page}", numbers.len());
    }
    match (numbers.len(), empty) {
        (0, _) => Err("it has no pages".into()),
        (pages, true) => Err(format!("its {pages} pages hold no text: they are probably scanned pictures")),
        (pages, false) => Ok(Document { pages, text }),
    }
}

fn open(bytes: &[u8]) -> Result<Pdf, String> {
    let mut pdf = Pdf::load_mem(bytes).map_err(|error| format!("it is damaged: {error}"))?;
    if pdf.is_encrypted() {
        // Many PDFs are encrypted with an empty password, only to forbid printing.
        pdf.decrypt("").map_err(|_| "it is protected by a password")?;
    }
    Ok(pdf)
}

fn page(pdf: &Pdf, number: u32) -> Option<String> {
    let mut text = String::new();
    output_doc_page(pdf, &mut PlainTextOutput::new(&mut text), number).ok()?;
    Some(text)
}

/// Runs the library, whose answer to much bad input is a panic.
fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

//! The text of PDFs, read in a process of its own.
//!
//! PDFs come from strangers, and the library that reads them can be made to panic, to loop, to eat all memory and to overflow its stack;
//! the last two end a process whatever it catches. So the server never parses one: it starts its own program again as a *reader*, with
//! the file's bytes as standard input, no environment, and limits on CPU, memory and files that the reader sets on itself before it looks
//! at a byte. This file is the server's side; the reader's is [`child`].

pub mod child;

use std::io::{Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

/// The one argument that makes our program a reader. It is no command for people.
pub const READER_ARGUMENT: &str = "--internal-pdf-reader";

/// Readers at work at once: each may take a processor and [`child::MEMORY_MAX`].
const READERS: usize = 2;

/// Wall time of one reader. Its CPU limit ends it sooner unless the machine is overloaded.
const PATIENCE: Duration = Duration::from_secs(30);

/// Most bytes taken from a reader: its text, escaped as JSON, with room to spare.
const OUTPUT_MAX: u64 = 16 * 1024 * 1024;

/// Starts readers. Clones share the limit on how many.
#[derive(Debug, Clone)]
pub struct PdfReader {
    program: Arc<PathBuf>,
    slots: Arc<Semaphore>,
}

/// What a reader found.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Pages, including those that could not be read.
    pub pages: usize,
    /// The text, page by page under a heading each.
    pub text: String,
}

/// What a reader prints: the document, or why there is none.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Report {
    Read(Document),
    Refused(String),
}

impl PdfReader {
    /// Readers made of `program`, whose `main` must hand over to [`child::main`] when its only argument is [`READER_ARGUMENT`].
    pub fn new(program: PathBuf) -> Self {
        Self { program: Arc::new(program), slots: Arc::new(Semaphore::new(READERS)) }
    }

    /// Reads one file. Dropping the future kills the reader.
    ///
    /// # Errors
    /// Why there is no text, as the second half of a sentence about the PDF.
    pub(super) async fn read(&self, file: Vec<u8>) -> Result<Document, String> {
        let _slot = self.slots.acquire().await.map_err(|closed| format!("no reader can start: {closed}"))?;
        let mut reader = Killed(self.start().map_err(|error| format!("its reader does not start: {error}"))?);
        let mut input = reader.0.stdin.take().ok_or("its reader has no input")?;
        let output = reader.0.stdout.take().ok_or("its reader has no output")?;
        // A reader that ends before it has read all says why, or its death does.
        tokio::task::spawn_blocking(move || input.write_all(&file));
        let reading = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![];
            output.take(OUTPUT_MAX).read_to_end(&mut bytes).map(|_| bytes)
        });
        let Ok(read) = tokio::time::timeout(PATIENCE, reading).await else {
            return Err(format!("it takes longer than {} seconds to read", PATIENCE.as_secs()));
        };
        let bytes =
            read.map_err(std::io::Error::other).flatten().map_err(|error| format!("its reader broke: {error}"))?;
        understand(&bytes)
    }

    fn start(&self) -> std::io::Result<Child> {
        Command::new(self.program.as_path())
            .arg(READER_ARGUMENT)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
    }
}

/// Whether the file says of itself that it is a PDF; readers allow some bytes before the mark.
pub(super) fn is_pdf(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(1024)].windows(5).any(|five| five == b"%PDF-")
}

fn understand(output: &[u8]) -> Result<Document, String> {
    // The report follows the last NUL, which JSON itself never holds. Without one the reader died first.
    let report =
        output.iter().rposition(|byte| *byte == 0).and_then(|at| serde_json::from_slice(&output[at + 1..]).ok());
    match report {
        Some(Report::Read(document)) => Ok(document),
        Some(Report::Refused(why)) => Err(why),
        None => Err("it is damaged, or needs more time or memory than a PDF may take".into()),
    }
}

/// A reader that does not outlive the call.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Either fails only if the reader is gone, which is what they are for. Waiting for a killed process takes no time.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

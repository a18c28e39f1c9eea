//! PDFs through the whole way: tool, child process, limits. A hostile PDF may cost the reader its life, never ours.
//!
//! It has no test harness because it is its own reader: started with the reader's argument it is the child, else it is the test.
#![expect(clippy::unwrap_used, reason = "a test says by unwrapping what it expects")]

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use agent::tools::Toolbox;
use agent::tools::pdf::{PdfReader, READER_ARGUMENT, child};
use agent::workspace::Workspaces;
use domain::sandboxes::SandboxPath;
use domain::turns::{Outcome, Replay, ToolCall};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(READER_ARGUMENT) {
        return child::main();
    }
    // `cargo test -- --list` and the like ask a harness; there is none.
    if std::env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    text_comes_page_by_page().await;
    what_cannot_be_read_is_explained().await;
    hostile_files_kill_only_their_reader().await;
    ExitCode::SUCCESS
}

async fn text_comes_page_by_page() {
    let Outcome::Ok(read) = read(&two_pages("Total 12,50 EUR", "Thank you")).await else {
        unreachable!("a plain PDF is read")
    };
    assert_eq!(read["pages"], 2);
    assert_eq!(read["content"], "--- page 1 of 2 ---\nTotal 12,50 EUR\n--- page 2 of 2 ---\nThank you\n");
    assert_eq!(read["lines"], 4);
}

async fn what_cannot_be_read_is_explained() {
    let blank = read(&two_pages("", "")).await;
    assert!(error(&blank).contains("2 pages hold no text"), "{blank:?}");
    let whole = two_pages("Total", "12");
    let mut broken: Vec<Vec<u8>> = vec![b"%PDF-".to_vec(), b"%PDF-1.7\ngarbage".to_vec(), b"%PDF-1.4\n%%EOF".to_vec()];
    broken.extend((1..8).map(|eighth| whole[..whole.len() * eighth / 8].to_vec()));
    for bytes in broken {
        let outcome = read(&bytes).await;
        assert!(error(&outcome).starts_with("read_file: /workspace/in.pdf is a PDF, but it "), "{outcome:?}");
    }
}

async fn hostile_files_kill_only_their_reader() {
    // A form that draws itself: the library recurses until its stack is gone, which no panic handler survives.
    let endless =
        pdf(&one_page("/X Do", &[stream("/Subtype /Form /Resources << /XObject << /X 6 0 R >> >>", "/X Do")]));
    let outcome = read(&endless).await;
    assert!(error(&outcome).contains("damaged, or needs more time or memory"), "{outcome:?}");
    let nested =
        [pdf(&one_page(&"[".repeat(200_000), &[])), pdf(&[&*catalog(), &"[".repeat(200_000), &"<<".repeat(200_000)])];
    for bytes in nested {
        let outcome = read(&bytes).await;
        assert!(matches!(outcome, Outcome::Ok(_) | Outcome::Error(_)));
    }
}

fn error(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Error(why) => why,
        _ => "",
    }
}

async fn read(bytes: &[u8]) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    let workspace = Workspaces::new(dir.path().join("sandboxes")).open("s");
    workspace.write(&SandboxPath::parse_file("in.pdf").unwrap(), bytes).unwrap();
    let tools = Toolbox::new(workspace, PdfReader::new(std::env::current_exe().unwrap()));
    let Value::Object(arguments) = json!({"path": "in.pdf"}) else { unreachable!("an object") };
    let call = ToolCall {
        id: "c".into(),
        key: uuid::Uuid::nil(),
        name: "read_file".into(),
        arguments,
        replay: Replay::Safe,
        target: None,
    };
    tokio::time::timeout(Duration::from_mins(1), tools.call(&call)).await.unwrap()
}

/// A PDF of these objects, numbered from 1; the first is the catalog.
fn pdf(objects: &[impl AsRef<str>]) -> Vec<u8> {
    let mut bytes = b"%PDF-1.4\n".to_vec();
    let mut places = vec![];
    for (number, object) in (1..).zip(objects) {
        places.push(bytes.len());
        write!(bytes, "{number} 0 obj\n{}\nendobj\n", object.as_ref()).unwrap();
    }
    let table = bytes.len();
    write!(bytes, "xref\n0 {}\n0000000000 65535 f \n", places.len() + 1).unwrap();
    for place in &places {
        writeln!(bytes, "{place:010} 00000 n ").unwrap();
    }
    write!(bytes, "trailer << /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n", places.len() + 1).unwrap();
    bytes
}

fn two_pages(first: &str, second: &str) -> Vec<u8> {
    let words = |text: &str| stream("", &format!("BT /F1 24 Tf 50 200 Td ({text}) Tj ET"));
    pdf(&[
        catalog(),
        "<< /Type /Pages /Kids [3 0 R 4 0 R] /Count 2 >>".into(),
        page(5),
        page(6),
        words(first),
        words(second),
        FONT.into(),
    ])
}

/// One page with this content as object 4, a font as 5, and more objects from 6 on, the first of them named X.
fn one_page(content: &str, more: &[String]) -> Vec<String> {
    let page = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents 4 0 R \
        /Resources << /Font << /F1 5 0 R >> /XObject << /X 6 0 R >> >> >>";
    let pages = "<< /Type /Pages /Kids [3 0 R] /Count 1 >>";
    let mut objects = vec![catalog(), pages.into(), page.into(), stream("", content), FONT.into()];
    objects.extend_from_slice(more);
    objects
}

const FONT: &str = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>";

fn catalog() -> String {
    "<< /Type /Catalog /Pages 2 0 R >>".into()
}

fn page(content: usize) -> String {
    format!(
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents {content} 0 R /Resources << /Font << /F1 7 0 R >> >> >>"
    )
}

fn stream(keys: &str, content: &str) -> String {
    format!("<< {keys} /Length {} >>\nstream\n{content}\nendstream", content.len())
}

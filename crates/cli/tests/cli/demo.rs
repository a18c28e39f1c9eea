//! `errand demo` on a machine without any model.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

use agent::discover::USUAL_PORTS;

use crate::house::{self, errand, said};

const TOTAL_AS_ORDERED: &str = "total,,,2518.00,2389.00,129.00,2389.00,";
const TOTAL_AS_INVOICED: &str = "total,,,2518.00,2389.00,129.00,2518.00,";

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn unattended_it_takes_the_first_option_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // Where a model may be listening, only the flag leads to the recording.
    let listening = |(port, _): &(u16, &str)| TcpStream::connect(("127.0.0.1", *port)).is_ok();
    let flag: &[&str] = if USUAL_PORTS.iter().any(listening) { &["--recorded"] } else { &[] };
    let output = errand(&[&["demo", "--yes"], flag].concat())
        .env("TMPDIR", folder.path())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let (code, out, err) = said(&output);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("Recorded turns, no model") && out.contains("the first option is taken"), "{out}");
    assert!(out.contains("invoice-halden-HP-2291.pdf → 1"), "the PDF was read\n{out}");
    assert!(
        out.contains(TOTAL_AS_ORDERED)
            && out.contains("KIT-5530,Kestrel IT Supplies,PO-1011,872.00,743.00,129.00,743.00"),
        "{out}"
    );
    assert!(out.lines().count() <= 60 && !out.contains('\x1b') && !out.contains("→ read_file:"), "{out}");
    assert!(is_empty(folder.path()));
}

#[test]
fn its_files_are_its_own_wherever_the_settings_put_others() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("files")).unwrap();
    std::fs::create_dir(folder.path().join("own")).unwrap();
    let bucket = "[sandboxes.s3]\nbucket = \"b\"\nendpoint = \"http://127.0.0.1:1\"\n";
    for settings in ["[sandboxes]\nfolder = \"files\"\n", bucket] {
        std::fs::write(folder.path().join("errand.toml"), settings).unwrap();
        let mut demo = errand(&["demo", "--yes", "--recorded"]);
        demo.env("TMPDIR", folder.path().join("own")).current_dir(folder.path());
        let (code, out, err) = said(&demo.output().unwrap());
        assert_eq!(code, Some(0), "{out}{err}");
        assert!(is_empty(&folder.path().join("files")));
    }
}

/// The demo at a terminal; `typed` once it asks. Its exit code and its screen.
fn at_a_terminal(folder: &Path, typed: &[u8]) -> (Option<i32>, String) {
    let demo = format!("'{}' demo --recorded", env!("CARGO_BIN_EXE_errand"));
    let mut asked = false;
    house::at_a_terminal(&demo, folder, &[], |seen, keyboard| {
        if !asked && seen.contains("1 to 2: ") {
            asked = true;
            keyboard.write_all(typed).unwrap();
        }
    })
}

#[test]
fn at_a_terminal_it_asks_and_follows_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out) = at_a_terminal(folder.path(), b"neither\n2\n");
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("one of the numbers, please") && out.contains(TOTAL_AS_INVOICED), "{out}");
    assert!(out.contains("\x1b[1m"), "a terminal gets colours\n{out}");
    assert!(is_empty(folder.path()));
}

#[test]
fn whoever_leaves_the_question_gets_the_first_option() {
    let folder = tempfile::tempdir().unwrap();
    // What Ctrl-D sends.
    let (code, out) = at_a_terminal(folder.path(), b"\x04");
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("the first option is taken") && out.contains(TOTAL_AS_ORDERED), "{out}");
    assert!(is_empty(folder.path()));
}

#[test]
fn what_it_says_comes_next_can_be_run() {
    let folder = tempfile::tempdir().unwrap();
    let me = env!("CARGO_BIN_EXE_errand");
    let demo = |from: &Path| {
        let mut demo = errand(&["demo", "--recorded"]);
        said(&demo.env("TMPDIR", folder.path()).current_dir(from).output().unwrap()).1
    };
    let out = demo(folder.path());
    assert!(out.contains(&format!("    {me} serve  ")) && out.contains(&format!(" {me} demo  ")), "{out}");
    assert!(!out.contains("first-job.sh"), "it is not here\n{out}");
    let out = demo(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")));
    assert!(out.contains("bash examples/first-job.sh  "), "{out}");
}

#[test]
fn kept_it_can_be_looked_at_with_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let output = errand(&["demo", "--keep", "--recorded"])
        .env("TMPDIR", folder.path())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let (code, out, _) = said(&output);
    assert!(code == Some(0) && out.contains("errand serve --data-dir"), "{out}");
    let kept = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let key = out.split_once("(API key ").unwrap().1.split(')').next().unwrap();
    let server = house::Server::start_with(&kept, &[]);
    let runs = server.raw("/v1/runs?status=completed", key);
    assert!(runs.contains("\"total\":1"), "{runs}");
}

#[test]
fn ctrl_c_ends_it_and_cleans_up() {
    let folder = tempfile::tempdir().unwrap();
    // What the key sends.
    let (code, out) = at_a_terminal(folder.path(), b"\x03");
    assert!(code == Some(130) && out.contains("nothing is left behind"), "{code:?} {out}");
    assert!(is_empty(folder.path()));
}

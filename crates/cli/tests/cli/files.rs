//! Files over the real wire: an upload URL that is cut in the middle, and files of a team that a Job finds.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use testkit::fake_provider::{FakeProvider, Reply};

use crate::house::{KEY, Server, said};

fn half_written(data: &Path) -> usize {
    fs::read_dir(data.join("sandboxes/.incoming")).map_or(0, Iterator::count)
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_connection_that_breaks_leaves_nothing_and_a_whole_file_comes_over_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let sandbox = server.json(&["sandboxes", "create"])["sandbox_id"].as_str().unwrap().to_owned();
    let made = server.json(&["sandboxes", "upload-url", &sandbox, "/workspace/in/large.bin"]);
    let url = made["upload_url"].as_str().unwrap();
    // On the origin that it was asked for at.
    let path = url.strip_prefix(&server.url).unwrap();
    let host = server.url.strip_prefix("http://").unwrap();
    let size = 20 * 1024 * 1024;
    let begin = || {
        let mut stream = TcpStream::connect(host).unwrap();
        write!(stream, "PUT {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {size}\r\nconnection: close\r\n\r\n")
            .unwrap();
        stream
    };
    let mut cut = begin();
    cut.write_all(&vec![1; size / 2]).unwrap();
    until("half of it is on the disk", || half_written(&data) == 1);
    drop(cut);
    until("it is gone again", || half_written(&data) == 0);
    let listed = server.json(&["sandboxes", "files", &sandbox]);
    assert_eq!(listed["files"], serde_json::json!([]));

    let mut whole = begin();
    whole.write_all(&vec![2; size]).unwrap();
    let mut answer = String::new();
    whole.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"size_bytes\":20971520"), "{answer}");
    assert_eq!(fs::metadata(data.join("sandboxes").join(&sandbox).join("in/large.bin")).unwrap().len(), size as u64);
    assert_eq!(half_written(&data), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_finds_the_files_of_its_team() {
    let folder = tempfile::tempdir().unwrap();
    let read = r#"{"path": "/workspace/files/rates.csv"}"#;
    let model = FakeProvider::with(move |asked| match asked.assistant_turns {
        0 => Reply::text("").call("c1", "read_file", read),
        _ if asked.body.to_string().contains("EUR,1.08") => {
            Reply::text("").call("c2", "finish", r#"{"result":"seen"}"#)
        }
        _ => Reply::text("").call("c2", "finish", r#"{"result":"not seen"}"#),
    });
    let model = model.await.unwrap();
    let server = Server::with_model(&folder.path().join("data"), &model);
    let file = folder.path().join("rates.csv");
    fs::write(&file, "EUR,1.08\n").unwrap();
    let pushed = server.json(&["files", "push", file.to_str().unwrap()]);
    assert_eq!(pushed["file"]["name"], "rates.csv");
    let (code, out, _) = said(&server.client(&["files", "list", "--json"]).output().unwrap());
    assert_eq!((code, out), (Some(0), server.body("/v1/files") + "\n"));
    assert_eq!(said(&server.client(&["files", "pull", "rates.csv"]).output().unwrap()).1, "EUR,1.08\n");
    let back = folder.path().join("back.csv");
    said(&server.client(&["files", "pull", "rates.csv", "-o", back.to_str().unwrap()]).output().unwrap());
    assert_eq!(fs::read_to_string(&back).unwrap(), "EUR,1.08\n");

    let config = folder.path().join("config.json");
    let text = r#"{"version": "v2", "data": {"models": {"agent": {"model": "claude-sonnet-4-6"}}, "input": "Read.", "files": ["rates.csv"]}}"#;
    fs::write(&config, text).unwrap();
    let made = server.json(&["agents", "create", "--name", "Reader", "--config", config.to_str().unwrap()]);
    let agent = made["agent"]["id"].as_str().unwrap();
    let start = || server.json(&["runs", "start", agent])["run"]["id"].as_str().unwrap().to_owned();
    let ends = |run: &str, status: &str| {
        until(status, || server.json(&["runs", "get", run])["run"]["status"] == status);
        server.raw(&format!("/v1/runs/{run}/messages?limit=100"), KEY)
    };
    let first = start();
    let told = ends(&first, "completed");
    assert!(told.contains("seen") && !told.contains("not seen"), "{told}");
    assert_eq!(server.json(&["files", "rm", "rates.csv"])["removed"], true);
    let second = start();
    let told = ends(&second, "failed");
    assert!(told.contains("file_missing") && told.contains("rates.csv"), "{told}");
}

//! Following a run whose stream ends in unusual ways, against a server that only plays one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::house::{KEY, errand, said};

const RUN: &str = "0198c0de-0000-7000-8000-000000000001";

/// Answers every request for events after the first entry's `id` with nothing, the first with `entries`, and any other with the run in `status`.
/// Answers its address and the number of streams that were opened.
async fn server(entries: &'static [(&'static str, &'static str)], status: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let streams = Arc::new(AtomicUsize::new(0));
    let opened = Arc::clone(&streams);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let length = socket.read(&mut request).await.unwrap();
            let (kind, body) = if !String::from_utf8_lossy(&request[..length]).contains("/events") {
                ("application/json", run(status))
            } else if opened.fetch_add(1, Ordering::Relaxed) == 0 {
                ("text/event-stream", stream(entries))
            } else {
                ("text/event-stream", String::new())
            };
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n", body.len());
            socket.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await.unwrap();
        }
    });
    (url, streams)
}

fn stream(entries: &[(&str, &str)]) -> String {
    let time = "2026-11-23T14:00:00.000Z";
    let entry = |(seq, (kind, data)): (u64, &(&str, &str))| {
        format!(
            "id: {seq}\nevent: {kind}\ndata: {{\"seq\":{seq},\"type\":\"{kind}\",\"run_id\":\"{RUN}\",\"timestamp\":\"{time}\",\"data\":{data}}}\n\n"
        )
    };
    (1..).zip(entries).map(entry).collect()
}

fn run(status: &str) -> String {
    let time = "2026-11-23T14:00:00.000Z";
    let run = serde_json::json!({
        "id": RUN, "agent_id": RUN, "build_id": RUN, "status": status, "source": "api", "sandbox_id": "sbx_1",
        "started_at": time, "completed_at": time, "created_at": time, "updated_at": time, "human_in_the_loop_enabled": true
    });
    serde_json::json!({ "run": run }).to_string()
}

/// The exit code and the words of a follower.
async fn follow(url: String) -> (Option<i32>, String) {
    let follower = tokio::task::spawn_blocking(move || {
        let mut command = errand(&["runs", "follow", RUN, "--json", "--base-url", &url]);
        command.env("ERRAND_API_KEY", KEY).output().unwrap()
    });
    let (code, out, err) = said(&follower.await.unwrap());
    (code, out + &err)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_after_the_end_changes_nothing() {
    let entries = &[("completed", r#"{"kind":"completed"}"#), ("claimed", r#"{"kind":"claimed","attempt":2}"#)];
    // Were it to ask the run, it would be told that it still runs.
    let (url, streams) = server(entries, "running").await;
    let (code, told) = follow(url).await;
    assert_eq!((code, told.lines().count(), streams.load(Ordering::Relaxed)), (Some(0), 2, 1), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_has_ended_ends_its_follower_whatever_the_stream_says() {
    for (status, code) in [("completed", 0), ("interrupted", 1)] {
        let (url, streams) = server(&[("concluded", r#"{"kind":"concluded"}"#)], status).await;
        let (ended, told) = follow(url).await;
        assert_eq!((ended, told.lines().count()), (Some(code), 1), "{told}");
        assert_eq!(streams.load(Ordering::Relaxed), 2, "a single end may be a server that stops");
    }
}

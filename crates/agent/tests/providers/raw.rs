//! Servers that do not even speak HTTP as it is written: a listener that says what it is told to, byte by byte.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::support::{Ask, providers_at};

const HURRY: &str = "[models_default]\nidle_timeout_secs = 1\nturn_timeout_secs = 2\n";
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";

/// What a server does after it has read the request.
struct Said {
    /// At once.
    first: String,
    /// Then this again and again, with this pause, or nothing: it closes.
    drip: Option<(String, Duration)>,
}

fn said(first: impl Into<String>) -> Said {
    Said { first: first.into(), drip: None }
}

async fn serve(said: Said) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            client.read_buf(&mut request).await.unwrap();
        }
        let mut more = client.write_all(said.first.as_bytes()).await;
        while let (Ok(()), Some((drop, pause))) = (&more, &said.drip) {
            tokio::time::sleep(*pause).await;
            more = client.write_all(drop.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn no_honest_http() {
    let (now, soon) = (Duration::ZERO, Duration::from_millis(100));
    let gone = ("model_unreachable", true);
    let cut = ("model_stream_cut", true);
    let late = ("model_timed_out", true);
    let event = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n";
    let cases = [
        ("nothing", said(""), gone),
        ("another protocol", said("SSH-2.0-OpenSSH_9.9\r\n"), gone),
        ("half a status line", said("HTTP/1.1 2"), gone),
        ("half of the headers", said(HEAD), gone),
        ("a byte of the headers now and then", Said { first: HEAD.into(), drip: Some(("x".into(), soon)) }, late),
        (
            "headers without end",
            Said { first: HEAD.into(), drip: Some(("x-more: and more\r\n".repeat(1000), now)) },
            gone,
        ),
        (
            "a header without end",
            Said { first: format!("{HEAD}x: "), drip: Some(("and more".repeat(1000), now)) },
            gone,
        ),
        (
            "only promises",
            Said { first: String::new(), drip: Some(("HTTP/1.1 100 Continue\r\n\r\n".into(), now)) },
            late,
        ),
        ("less than promised", said(format!("{HEAD}content-length: 999\r\n\r\n{event}")), cut),
        ("a chunk of no size", said(format!("{HEAD}transfer-encoding: chunked\r\n\r\nzz\r\n{event}")), cut),
        (
            "a chunk beyond any size",
            said(format!("{HEAD}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n")),
            cut,
        ),
        ("half a chunk", said(format!("{HEAD}transfer-encoding: chunked\r\n\r\nff\r\n{event}")), cut),
    ];
    // One after the other: those that send without end would take the second that others have.
    for (name, said, expected) in cases {
        let providers = providers_at(serve(said).await, HURRY);
        let begun = Instant::now();
        let failure = Ask::new("qwen3").turn(&providers).await.unwrap_err();
        assert_eq!((failure.code.as_str(), failure.retryable), expected, "{name}: {failure:?}");
        assert!(begun.elapsed() < Duration::from_secs(4), "{name} took {:?}", begun.elapsed());
    }
}

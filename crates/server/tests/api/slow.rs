//! Clients that are slow, on purpose or not: each is let go in its time, and told why if there is a request to answer.

use std::time::Duration;

use server::Limits;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

use crate::door::{Client, Open, get, is_refusal, post, quick, within};
use crate::house::KEY;

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let open = Open::quick().await;
    let mut client = open.connect().await;
    assert_eq!(within(350, 3_000, client.rest()).await, "");
}

#[tokio::test]
async fn a_head_that_drips_is_given_up_and_told() {
    let open = Open::quick().await;
    let mut client = open.connect().await;
    let (mut reading, mut writing) = client.0.split();
    let dripping = async {
        for byte in get("/v1/agents", "").bytes().cycle() {
            if writing.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut answer = Vec::new();
    let reading = tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut answer);
    within(350, 3_000, async {
        tokio::select! { () = dripping => {}, _ = reading => {} }
    })
    .await;
    is_refusal(&String::from_utf8_lossy(&answer), 408, "request_timeout");
    open.is_well().await;
}

#[tokio::test]
async fn half_a_head_after_a_request_is_given_up_too() {
    let open = Open::quick().await;
    let mut client = open.connect().await;
    client.say(get("/v1/agents", "")).await;
    assert!(client.answer().await.starts_with("HTTP/1.1 200"));
    client.say("GET /v1/ag").await;
    is_refusal(&within(350, 3_000, client.rest()).await, 408, "request_timeout");
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word_and_a_busy_one_is_not() {
    let open = Open::quick().await;
    let mut client = open.connect().await;
    // Longer in all than any of the times.
    for _ in 0..8 {
        client.say(get("/v1/agents", "")).await;
        assert!(client.answer().await.starts_with("HTTP/1.1 200"));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(within(500, 4_000, client.rest()).await, "");
}

#[tokio::test]
async fn a_connection_is_idle_for_so_long_whatever_its_last_request_took() {
    let open = Open::quick().await;
    let mut client = open.connect().await;
    // Longer at work than a head may take, at which time the timer of the connection is over for the first time.
    client.say(post("/v1/agents", "content-length: 2012\r\n") + &" ".repeat(2_000) + "{\"name\"").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    client.say(":").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    client.say("\"A\"}").await;
    assert!(client.answer().await.starts_with("HTTP/1.1 201"));
    assert_eq!(within(500, 4_000, client.rest()).await, "");

    // Less than a head may take.
    let brief = Limits { keep_alive: Duration::from_millis(400), head: Duration::from_secs(10), ..quick() };
    let open = Open::with(brief, None).await;
    let mut client = open.connect().await;
    client.say(get("/v1/agents", "")).await;
    assert!(client.answer().await.starts_with("HTTP/1.1 200"));
    assert_eq!(within(300, 3_000, client.rest()).await, "");
}

#[tokio::test]
async fn a_body_that_stops_or_drips_is_given_up() {
    let open = Open::quick().await;
    let mut silent = open.connect().await;
    silent.say(post("/v1/agents", "content-length: 1000\r\n") + "{\"name\":").await;
    is_refusal(&within(350, 3_000, silent.rest()).await, 408, "request_timeout");

    // Never silent for long, and never fast enough: chunked, so that no length says when it ends.
    let mut client = open.connect().await;
    client.say(post("/v1/agents", "transfer-encoding: chunked\r\n")).await;
    let (mut reading, mut writing) = client.0.split();
    let dripping = async {
        while writing.write_all(b"1\r\n \r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut answer = Vec::new();
    let reading = tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut answer);
    within(350, 3_000, async {
        tokio::select! { () = dripping => {}, _ = reading => {} }
    })
    .await;
    is_refusal(&String::from_utf8_lossy(&answer), 408, "request_timeout");
    open.is_well().await;
}

#[tokio::test]
async fn an_upload_that_stops_is_given_up() {
    let open = Open::quick().await;
    let sandbox = open.house.post("/v1/sandboxes", serde_json::json!({})).await.success(201);
    let path = format!("/v1/sandboxes/{}/files", sandbox["sandbox_id"].as_str().expect("an id"));
    let head = |kind: &str, path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {KEY}\r\ncontent-type: {kind}\r\ncontent-length: 1000\r\n\r\n"
        )
    };
    let raw = head("application/octet-stream", &format!("{path}?path=/workspace/a")) + "abc";
    is_refusal(&within(350, 3_000, open.told(raw)).await, 408, "request_timeout");
    let form = head("multipart/form-data; boundary=b", &path) + "--b\r\ncontent-disposition: form-data; name=\"file\"";
    is_refusal(&within(350, 3_000, open.told(form)).await, 408, "request_timeout");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let open = Open::quick().await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    let mut client = Client(socket.connect(open.address).await.expect("a connection"));
    // Answers are asked for until no more fit on the way, and none is read.
    let asking = async {
        let many = get("/v1/documentation/json", "").repeat(64);
        while client.0.write_all(many.as_bytes()).await.is_ok() {}
    };
    within(450, 15_000, tokio::time::timeout(Duration::from_secs(14), asking)).await.expect("it is cut off");
    open.is_well().await;
}

#[tokio::test]
async fn an_event_stream_outlives_all_times_of_requests() {
    let limits = Limits { request: Duration::from_millis(300), ..quick() };
    let open = Open::with(limits, None).await;
    let run = open.house.run().await;
    let mut client = open.connect().await;
    client.say(get(&format!("/v1/runs/{run}/events"), "")).await;
    let head = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let mut bytes = [0; 1024];
    let more =
        tokio::time::timeout(Duration::from_millis(200), tokio::io::AsyncReadExt::read(&mut client.0, &mut bytes));
    assert!(more.await.is_err(), "open, and nothing new to tell");
}

#[tokio::test]
async fn a_request_that_is_at_work_for_too_long_is_given_up() {
    // No time at all: what has to wait for the database's writer has waited too long.
    let open = Open::with(Limits { request: Duration::ZERO, ..quick() }, None).await;
    let made = post("/v1/sandboxes", "content-length: 0\r\nconnection: close\r\nx-request-id: mine\r\n");
    let answer = open.told(made).await;
    is_refusal(&answer, 503, "unavailable");
    assert!(answer.contains("may have happened") && answer.contains("x-request-id: mine\r\n"), "{answer}");
}

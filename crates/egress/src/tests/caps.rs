//! What is too large, too slow or no answer at all is cut, and when.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;

use super::server::{Script, Server, answer};
use super::world::{Names, World, ips, opened};
use crate::{Bytes, Error, Method, Policy, Request};

const NEVER: Duration = Duration::ZERO;

async fn world(script: impl Fn() -> Script + Send + Sync + 'static) -> (Server, World) {
    let server = Server::start(&[], move |_| script()).await;
    let world = World::with(&server, opened("10.0.0.0/8"), Names(|_: &str| Ok(ips(&["10.0.0.1"]))));
    (server, world)
}

fn request(world: &World) -> Request {
    Request::new(Method::GET, world.client.policy().check("http://there.test/").unwrap())
}

async fn whole(world: &World, request: Request) -> Result<Bytes, Error> {
    world.client.send(request).await?.bytes().await
}

#[tokio::test]
async fn a_body_without_an_end_is_cut_at_its_size() {
    const CHUNK: &str = "400\r\n0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n";
    for (head, part) in [
        ("HTTP/1.1 200 OK\r\n\r\n", "0123456789abcdef0123456789abcdef"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "8\r\n01234567\r\n"),
    ] {
        let (server, world) = world(move || Script::Endless(head, part, NEVER)).await;
        let cut = whole(&world, request(&world).most(100_000)).await.unwrap_err();
        assert!(matches!(cut, Error::TooLarge { most: 100_000, .. }), "{cut}");
        // Gone: whoever sends does not get rid of more than what is in the sockets.
        let begun = Instant::now();
        let mut sent = None;
        while sent.replace(server.sent()) != Some(server.sent()) {
            assert!(begun.elapsed() < Duration::from_secs(10), "it still sends");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    // Chunks that lie about their size.
    let (_server, world) =
        world(|| Script::Endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNK, NEVER)).await;
    let cut = whole(&world, request(&world).most(10_000)).await.unwrap_err();
    assert!(matches!(cut, Error::TooLarge { .. } | Error::Broken { .. }), "{cut}");
}

#[tokio::test]
async fn a_body_may_be_as_large_as_allowed_and_not_a_byte_larger() {
    let (_server, exact) = world(|| answer("200 OK", "", &"x".repeat(5_000))).await;
    assert_eq!(whole(&exact, request(&exact).most(5_000)).await.unwrap().len(), 5_000);
    assert_eq!(whole(&exact, request(&exact).most(4_999)).await.unwrap_err().code(), "answer_too_large");
    // One that says so itself is not read at all, and its head is still an answer.
    let huge = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
    let (_server, world) = world(move || Script::Endless(huge, "x", Duration::from_secs(9))).await;
    let reply = world.client.send(request(&world)).await.unwrap();
    assert_eq!(reply.status().as_u16(), 200);
    let begun = Instant::now();
    assert_eq!(reply.bytes().await.unwrap_err().code(), "answer_too_large");
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_stream_gives_what_comes_until_it_is_too_much() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let (_server, world) = world(move || Script::Endless(head, "data: 1\n\n", Duration::from_millis(1))).await;
    let reply = world.client.send(request(&world).most(90)).await.unwrap();
    let mut stream = std::pin::pin!(reply.into_stream());
    let mut came = 0;
    let last = loop {
        match stream.next().await {
            Some(Ok(part)) => came += part.len(),
            other => break other,
        }
    };
    assert!(matches!(last, Some(Err(Error::TooLarge { most: 90, .. }))), "{last:?}");
    assert!((1..=90).contains(&came), "{came}");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn what_takes_too_long_is_cut_wherever_it_is() {
    let tls_only = Server::start(&[], |_| Script::Hang).await;
    for (name, script) in [
        ("says nothing", (|| Script::Hang) as fn() -> Script),
        ("a header that goes on", || Script::Endless("HTTP/1.1 200 OK\r\nA: ", "a", Duration::from_millis(5))),
        ("a body that drips", || Script::Endless("HTTP/1.1 200 OK\r\n\r\n", "a", Duration::from_millis(5))),
        ("a body that stops", || Script::Endless("HTTP/1.1 200 OK\r\n\r\n", "a", Duration::from_mins(1))),
        ("a body that runs", || Script::Endless("HTTP/1.1 200 OK\r\n\r\n", "aaaaaaaaaaaaaaaa", NEVER)),
        ("only promises", || Script::Endless("", "HTTP/1.1 100 Continue\r\n\r\n", Duration::from_millis(5))),
    ] {
        let (_server, world) = world(script).await;
        let begun = Instant::now();
        let request = request(&world).total(Duration::from_millis(400)).most(u64::MAX);
        let cut = whole(&world, request).await.unwrap_err();
        let took = begun.elapsed();
        assert!(matches!(cut, Error::TimedOut { .. }), "{name}: {cut}");
        assert!((Duration::from_millis(400)..Duration::from_secs(3)).contains(&took), "{name}: {took:?}");
    }
    // What is there already is not given either, once the time is over.
    let (_server, world) = world(|| answer("200 OK", "", "here")).await;
    let reply = world.client.send(request(&world).total(Duration::from_millis(400))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(matches!(reply.bytes().await, Err(Error::TimedOut { .. })));
    // Whoever listens and never speaks TLS.
    let world = World::with(&tls_only, Policy::default(), Names(|_: &str| Ok(ips(&["1.1.1.1"]))));
    let url = world.client.policy().check("https://public.example/").unwrap();
    let cut = world.client.send(Request::new(Method::GET, url).connect(Duration::from_millis(300))).await.unwrap_err();
    assert_eq!(cut.code(), "tls_failed");
}

#[tokio::test]
async fn what_is_no_answer_is_told_as_such() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(200));
    let large = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(70_000));
    for said in [
        String::new(),
        "220 mail ESMTP\r\n".into(),
        "-ERR unknown command\r\n".into(),
        "HTTP/0.9 200 OK\r\n\r\n".into(),
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort".into(),
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx".into(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".into(),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".into(),
        many,
        large,
    ] {
        let script = said.clone();
        let (_server, world) = world(move || Script::Say(script.clone())).await;
        let told = whole(&world, request(&world)).await.unwrap_err();
        assert_eq!(told.code(), "no_answer", "{said:.60}: {told}");
        assert!(!told.for_user().contains("ESMTP"));
    }
}

#[tokio::test]
async fn what_is_packed_stays_packed_and_no_cookie_is_kept() {
    let headers = "Content-Encoding: gzip\r\nSet-Cookie: a=b\r\n";
    let (server, world) = world(move || answer("200 OK", headers, "\u{1f}not really gzip")).await;
    for _ in 0..2 {
        let reply = world.client.send(request(&world)).await.unwrap();
        assert_eq!(reply.headers()["content-encoding"], "gzip");
        assert_eq!(reply.bytes().await.unwrap(), "\u{1f}not really gzip");
    }
    assert!(server.seen().iter().all(|seen| seen.header("cookie").is_none()));
}

#[tokio::test]
async fn a_certificate_of_another_name_or_of_nobody_is_refused() {
    let server = Server::start(&["right.example"], |_| answer("200 OK", "", "")).await;
    let names = || Names(|_: &str| Ok(ips(&["1.1.1.1"])));
    let trusting = World::with(&server, Policy::default(), names());
    assert_eq!(trusting.post("https://right.example/").await.unwrap().status().as_u16(), 200);
    let refused = trusting.post("https://wrong.example/").await.unwrap_err();
    assert!(refused.code() == "tls_failed" && refused.to_string().contains("wrong.example"), "{refused}");
    let plain = Server::start(&[], |_| answer("200 OK", "", "")).await;
    let world = World::with(&plain, Policy::default(), names()).patient(Duration::from_millis(300));
    assert_eq!(world.post("https://right.example/").await.unwrap_err().code(), "tls_failed");
    assert_eq!((server.seen().len(), plain.seen().len()), (1, 0));
}

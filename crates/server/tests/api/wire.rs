//! What no client should put on the wire: each is refused in the words of the API, or means what HTTP says, and never reaches another handler.

use std::time::Duration;

use server::Limits;

use crate::door::{Client, Open, get, is_refusal, post, quick};
use crate::house::KEY;

#[tokio::test]
async fn a_head_has_a_largest_size() {
    let open = Open::quick().await;
    let close = "connection: close\r\n";
    let padded = |total: usize| {
        let bare = get("/v1/agents", &format!("{close}x-pad: \r\n")).len();
        get("/v1/agents", &format!("{close}x-pad: {}\r\n", "x".repeat(total - bare)))
    };
    for (bytes, fits) in [(32 * 1024 - 1, true), (32 * 1024, true), (32 * 1024 + 1, false), (300 * 1024, false)] {
        let head = padded(bytes);
        assert_eq!(head.len(), bytes);
        let answer = open.told(head).await;
        if fits {
            assert!(answer.starts_with("HTTP/1.1 200"), "{bytes}: {answer}");
        } else {
            is_refusal(&answer, 431, "headers_too_large");
        }
    }
    // Three are there already.
    for (more, fits) in [(96, true), (97, true), (98, false), (1_000, false)] {
        let answer = open.told(get("/v1/agents", &(close.to_owned() + &"x: y\r\n".repeat(more)))).await;
        if fits {
            assert!(answer.starts_with("HTTP/1.1 200"), "{more}: {answer}");
        } else {
            is_refusal(&answer, 431, "headers_too_large");
        }
    }
    open.is_well().await;
}

#[tokio::test]
async fn a_uri_has_a_longest_length() {
    let open = Open::quick().await;
    let path = |length: usize| format!("/v1/{}", "a".repeat(length - 4));
    for (length, status, code) in [
        (8 * 1024 - 1, 404, "not_found"),
        (8 * 1024, 404, "not_found"),
        (8 * 1024 + 1, 414, "uri_too_long"),
        (30 * 1024, 414, "uri_too_long"),
        // Longer than any head: the line never ends.
        (33 * 1024, 414, "uri_too_long"),
        (40 * 1024, 414, "uri_too_long"),
        (60 * 1024, 414, "uri_too_long"),
        (300 * 1024, 414, "uri_too_long"),
    ] {
        is_refusal(&open.told(get(&path(length), "connection: close\r\n")).await, status, code);
    }
}

#[tokio::test]
async fn what_is_no_http_is_told_so() {
    let open = Open::quick().await;
    for bytes in [
        "hello\r\n\r\n",
        "GET\r\n\r\n",
        "GET /v1/agents HTTP/9.9\r\n\r\n",
        "GET /v1/agents HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /v1/agents HTTP/1.1\r\nx : y\r\n\r\n",
        "GET /v1/agents HTTP/1.1\r\nx: a\r\n folded\r\n\r\n",
        "GET /v1/agents HTTP/1.1\r\nx: \0\r\n\r\n",
        "GET /v1/ag ents HTTP/1.1\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3} a TLS hello\r\n\r\n",
    ] {
        is_refusal(&open.told(bytes).await, 400, "invalid_request");
    }
    // After a good request on the same connection as well, and the good one is answered first.
    let mut client = open.connect().await;
    client.say(get("/v1/agents", "") + "hello\r\n\r\n").await;
    let both = client.rest().await;
    let (first, second) = both.split_once("HTTP/1.1 400").expect("two answers");
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    is_refusal(&format!("HTTP/1.1 400{second}"), 400, "invalid_request");
}

#[tokio::test]
async fn the_length_of_a_body_is_said_once() {
    let open = Open::quick().await;
    let smuggled = get("/v1/documentation/json", "");
    let body = r#"{"name":"A"}"#;
    for more in [
        "content-length: 12\r\ncontent-length: 13\r\n",
        "content-length: 12, 12\r\n",
        "content-length: +12\r\n",
        "content-length: -1\r\n",
        "content-length: 0x0c\r\n",
        "content-length: 99999999999999999999\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: chunked, gzip\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
    ] {
        let answer = open.told(post("/v1/agents", more) + body + &smuggled).await;
        is_refusal(&answer, 400, "invalid_request");
    }
    // With both, the chunks count, and nothing after them is taken for a request.
    for more in
        ["content-length: 5\r\ntransfer-encoding: chunked\r\n", "transfer-encoding: chunked\r\ncontent-length: 5\r\n"]
    {
        let answer = open.told(post("/v1/agents", more) + "c\r\n" + body + "\r\n0\r\n\r\n" + &smuggled).await;
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
}

#[tokio::test]
async fn chunks_are_what_they_say() {
    let open = Open::quick().await;
    let chunked = |chunks: &str| post("/v1/agents", "transfer-encoding: chunked\r\nconnection: close\r\n") + chunks;
    let whole = "c\r\n{\"name\":\"A\"}\r\n0\r\n\r\n";
    assert!(open.told(chunked(whole)).await.starts_with("HTTP/1.1 201"));
    for bad in [
        "xyz\r\n",
        "-1\r\n",
        "fffffffffffffffff\r\n",
        "c\r\n{\"name\":\"A\"}XX0\r\n\r\n",
        "c\n{\"name\":\"A\"}\n0\n\n",
        &format!("c;{}\r\n", "x".repeat(20_000)),
        &format!("c\r\n{{\"name\":\"A\"}}\r\n0\r\n{}\r\n", "t: x\r\n".repeat(2_000)),
    ] {
        is_refusal(&open.told(chunked(bad)).await, 400, "invalid_request");
    }
    // As many as there are bytes.
    let bytes = "{\"name\":\"A\"}".chars().fold(String::new(), |chunks, byte| chunks + &format!("1\r\n{byte}\r\n"));
    assert!(open.told(chunked(&(bytes + "0\r\n\r\n"))).await.starts_with("HTTP/1.1 201"));
    // Larger than taken, in chunks that never say how much will come.
    let large = format!("10000\r\n{}\r\n", " ".repeat(0x10000)).repeat(33);
    is_refusal(&open.told(chunked(&large)).await, 413, "payload_too_large");
    open.is_well().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let open = Open::quick().await;
    let paths = ["/healthz", "/v1/agents", "/nowhere", "/v1/documentation/json", "/v1/agents?limit=0", "/readyz"];
    let all: String = paths.iter().map(|path| get(path, "")).collect();
    let answer = open.told(all + &get("/v1/agents", "connection: close\r\n")).await;
    let statuses: Vec<_> = answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "200", "404", "200", "400", "200", "200"]);
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let open = Open::quick().await;
    let old = format!("GET /v1/agents HTTP/1.0\r\nauthorization: Bearer {KEY}\r\n\r\n");
    let answer = open.told(&old).await;
    assert!(answer.starts_with("HTTP/1.0 200") && answer.contains("content-length: "), "{answer}");
    let refused = open.told("POST /v1/agents HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n").await;
    is_refusal(&refused, 400, "invalid_request");
}

#[tokio::test]
async fn nothing_depends_on_the_host() {
    let open = Open::quick().await;
    let key = format!("authorization: Bearer {KEY}\r\nconnection: close\r\n");
    for (line, host) in [
        ("/v1/agents", "host: evil.example\r\n"),
        ("http://evil.example/v1/agents", "host: h\r\n"),
        ("https://evil.example:1/v1/agents?", "host: h\r\nx-forwarded-host: x\r\nforwarded: host=y;proto=http\r\n"),
    ] {
        let answer = open.told(format!("GET {line} HTTP/1.1\r\n{host}{key}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("evil"), "{line}: {answer}");
    }
}

#[tokio::test]
async fn the_host_is_said_once() {
    let open = Open::quick().await;
    let key = format!("authorization: Bearer {KEY}\r\n");
    for host in ["", "host: a\r\nhost: b\r\n", "host: a\r\nhost: a\r\n"] {
        // What follows on the connection may belong to somebody else.
        let answer = open.told(format!("GET /v1/agents HTTP/1.1\r\n{host}{key}\r\n") + &get("/v1/agents", "")).await;
        is_refusal(&answer, 400, "invalid_request");
        assert!(answer.contains("Host"), "{answer}");
    }
}

/// Nothing is unescaped, joined or cleaned up before a path is looked up: what is not written as the route is no route.
#[tokio::test]
async fn odd_paths_never_reach_another_handler() {
    let open = Open::quick().await;
    for path in [
        "//v1/agents",
        "/v1//agents",
        "/v1/agents/",
        "/v1/agents//",
        "/v1/./agents",
        "/v1/x/../agents",
        "/../v1/agents",
        "/v1/agents/..;/agents",
        "/v1/agents;x=y",
        "/v1/agents.",
        "/v1/agents%20",
        "/V1/agents",
        "/v1/Agents",
        "/v1%2Fagents",
        "/v1/%61gents",
        "/%76%31/agents",
        "/v1/agents%00",
        "/v1/agents%2F",
        "/v1\\agents",
        "/healthz/",
        "/%68ealthz",
        "/v1/documentation/../agents",
        "/v1/documentation%2Fjson",
        "*",
    ] {
        let answer = open.told(get(path, "connection: close\r\n")).await;
        is_refusal(&answer, 404, "not_found");
        // And what needs a key needs it however it is written.
        let bare = open.told(format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")).await;
        is_refusal(&bare, 401, "invalid_token");
    }
    // An id is one part of a path, and this is none.
    for path in ["/v1/agents/a%2Fbuilds", "/v1/agents/..%2F..%2Freadyz", "/v1/agents/%2E%2E", "/v1/agents/.."] {
        let answer = open.told(get(path, "connection: close\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    for line in ["OPTIONS *", "CONNECT h:80", "TRACE /v1/agents", "GET h:80", "PRI /"] {
        let answer = open.told(format!("{line} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")).await;
        let status = answer.get(9..12).expect("an answer");
        assert!(["400", "401"].contains(&status), "{line}: {answer}");
    }
}

#[tokio::test]
async fn a_connection_too_many_is_told_at_once() {
    let open =
        Open::with(Limits { connections: 4, per_address: 0, keep_alive: Duration::from_mins(1), ..quick() }, None)
            .await;
    let mut inside = Vec::new();
    for _ in 0..4 {
        let mut client = open.connect().await;
        client.say(get("/healthz", "")).await;
        assert!(client.answer().await.starts_with("HTTP/1.1 200"));
        inside.push(client);
    }
    let began = std::time::Instant::now();
    let refused = open.told(get("/v1/agents", "")).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    is_refusal(&refused, 503, "unavailable");
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
    // Also one that says nothing, and very many of them: none waits, and none is kept.
    let crowd = (0..200).map(|_| Client::connect(open.address));
    for mut client in futures_util::future::join_all(crowd).await {
        let said = client.rest().await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 503"), "{said}");
    }
    // Those inside are served, and who leaves makes room.
    for client in &mut inside {
        client.say(get("/healthz", "")).await;
        assert!(client.answer().await.starts_with("HTTP/1.1 200"));
    }
    drop(inside);
    tokio::time::sleep(Duration::from_millis(100)).await;
    open.is_well().await;
}

#[tokio::test]
async fn an_address_has_its_share_of_the_connections() {
    let open = Open::with(Limits { connections: 100, per_address: 2, ..quick() }, None).await;
    let mut first = open.connect().await;
    first.say(get("/healthz", "")).await;
    first.answer().await;
    let _second = open.connect().await;
    is_refusal(&open.told(get("/healthz", "")).await, 503, "unavailable");
    drop(first);
    tokio::time::sleep(Duration::from_millis(100)).await;
    open.is_well().await;
}

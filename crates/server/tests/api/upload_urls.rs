//! Upload URLs: what they are good for, and that nobody gets anything else out of one.

use std::fs;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use domain::sandboxes::LIFETIME_MS;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use storage::StoreError;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::house::{Answer, House, KEY, OTHER_KEY, request, text};

const HOUR_MS: u64 = 3_600_000;

async fn sandbox(house: &House) -> String {
    let made = house.post("/v1/sandboxes", json!({})).await.success(201);
    format!("/v1/sandboxes/{}", text(&made["sandbox_id"]))
}

/// A URL for one file, without its origin.
async fn url(house: &House, sandbox: &str, path: &str) -> String {
    let made = house.post(&format!("{sandbox}/upload-urls"), json!({"path": path})).await.success(200);
    assert_eq!((&made["path"], &made["expires_in_seconds"]), (&json!(path), &json!(3_600)));
    text(&made["upload_url"]).strip_prefix("https://errand.example.com").expect("the server's origin").to_owned()
}

async fn send(house: &House, method: &str, url: &str, body: impl Into<Body>) -> Answer {
    let request = Request::builder().method(method).uri(url);
    house.send(request.body(body.into()).expect("a request")).await
}

async fn put(house: &House, url: &str, body: impl Into<Body>) -> Answer {
    send(house, "PUT", url, body).await
}

async fn listed(house: &House, sandbox: &str) -> Value {
    house.get(&format!("{sandbox}/files")).await.success(200)["files"].take()
}

#[tokio::test]
async fn a_part_of_a_file_or_one_in_an_encoding_is_no_file() {
    let house = House::new().await;
    let sandbox = sandbox(&house).await;
    let url = url(&house, &sandbox, "/workspace/a.csv").await;
    put(&house, &url, "whole").await.success(200);
    for (name, value) in [("content-range", "bytes 4-7/8"), ("content-encoding", "gzip")] {
        for path in [&url, &format!("{sandbox}/files?path=a.csv"), "/v1/files?path=a.csv"] {
            let sent = request(if *path == url { "PUT" } else { "POST" }, path, KEY).header(name, value);
            house.send(sent.body(Body::from("part")).expect("a request")).await.refusal(400, "invalid_request");
        }
    }
    assert_eq!(house.get(&format!("{sandbox}/files/content?path=a.csv")).await.body, b"whole"[..]);
    let asked = Request::builder().method("PUT").uri(&url).header("content-encoding", "identity");
    house.send(asked.body(Body::from("x")).expect("a request")).await.success(200);
}

#[tokio::test]
async fn a_page_from_anywhere_may_send_to_a_url_and_to_nothing_else() {
    let house = House::new().await;
    let url = url(&house, &sandbox(&house).await, "/workspace/a.csv").await;
    let ask = async |path: &str| {
        let asked = Request::builder().method("OPTIONS").uri(path).header("origin", "https://pages.example");
        let asked = asked.header("access-control-request-method", "PUT");
        house.router.clone().oneshot(asked.body(Body::empty()).expect("a request")).await.expect("an answer")
    };
    let asked = ask(&url).await;
    let told = |name| asked.headers().get(name).and_then(|value| value.to_str().ok());
    assert_eq!((asked.status().as_u16(), told("access-control-allow-origin")), (200, Some("*")));
    assert_eq!(told("access-control-allow-methods"), Some("PUT,POST"));
    assert_eq!((told("access-control-allow-headers"), told("access-control-max-age")), (Some("*"), Some("3600")));
    let sent = Request::builder().method("PUT").uri(&url).header("origin", "https://pages.example");
    let sent = house.send(sent.body(Body::from("x")).expect("a request")).await;
    assert_eq!((sent.status, sent.header("access-control-allow-origin")), (200, Some("*")));
    assert_eq!(sent.header("access-control-expose-headers"), Some("*"), "such as Retry-After");
    for elsewhere in ["/v1/agents", "/v1/files", "/v1/documentation"] {
        let asked = ask(elsewhere).await;
        assert!(!asked.headers().contains_key("access-control-allow-origin"), "{elsewhere}");
    }
}

/// Half-written files.
fn waiting(house: &House) -> usize {
    fs::read_dir(house.files().join(".incoming")).map_or(0, Iterator::count)
}

#[tokio::test]
async fn a_file_comes_without_a_key_as_often_as_it_takes() {
    let house = House::new().await;
    let sandbox = sandbox(&house).await;
    let url = url(&house, &sandbox, "/workspace/in/data.csv").await;
    for (method, body) in [("PUT", "a,b\n"), ("PUT", "a,b\n"), ("POST", "longer than before\n"), ("PUT", "")] {
        let sent = send(&house, method, &url, body).await;
        assert_eq!(sent.success(200), json!({"path": "/workspace/in/data.csv", "size_bytes": body.len()}));
        assert_eq!(sent.header("x-errand-extension"), Some("true"));
        let back = house.get(&format!("{sandbox}/files/content?path=in/data.csv")).await;
        assert_eq!((back.status, &back.body[..]), (200, body.as_bytes()));
    }
    // A good key beside the token changes nothing, and neither does a bad one.
    for key in [OTHER_KEY, "dv_nobody"] {
        let keyed = request("PUT", &url, key).header("content-type", "text/csv");
        house.send(keyed.body(Body::from("x")).expect("a request")).await.success(200);
    }
    for method in ["GET", "DELETE", "PATCH"] {
        send(&house, method, &url, "").await.refusal(405, "method_not_allowed");
    }
    let team = house.team;
    let rows = house.app.db.read::<_, StoreError, _>(async move |tx| storage::audit::page(tx, team, 0, 100).await);
    let rows = rows.await.expect("the audit log");
    let told: Vec<_> = rows.iter().map(|row| (row.what.as_str(), row.who.starts_with("key:"))).collect();
    let puts = ["put", "put", "post", "put", "put", "put"].map(|method| match method {
        "post" => ("upload_url.post", true),
        _ => ("upload_url.put", true),
    });
    assert_eq!(
        told,
        [("sandbox.create", true), ("upload_url.create", true)].into_iter().chain(puts).collect::<Vec<_>>()
    );
    let id = sandbox.strip_prefix("/v1/sandboxes/").expect("an id");
    assert!(
        rows[1..].iter().all(|row| row.object == format!("{id}/workspace/in/data.csv") && row.request_id.is_some())
    );
}

#[tokio::test]
async fn no_token_can_be_altered_anywhere() {
    let house = House::new().await;
    let sandbox = sandbox(&house).await;
    let url = url(&house, &sandbox, "/workspace/a").await;
    let token = url.rsplit('/').next().expect("a token").to_owned();
    let before = url.len() - token.len();
    for at in before..url.len() {
        for other in ['A', 'Q', '_', '0', '~'] {
            let mut altered: Vec<char> = url.chars().collect();
            if std::mem::replace(&mut altered[at], other) != other {
                let altered: String = altered.into_iter().collect();
                let told = put(&house, &altered, "x").await.refusal(403, "invalid_upload_url");
                assert!(!told.contains(&token[..20]), "{told}");
            }
        }
    }
    let half = &url[..url.len() / 2];
    for altered in [half.to_owned(), format!("{url}A"), format!("{url}="), format!("{url}%00"), format!("{url}%2e")] {
        let answer = put(&house, &altered, "x").await;
        assert!(matches!(answer.status, 400 | 403), "{altered}: {}", answer.status);
    }
    put(&house, &format!("{url}?path=/workspace/b"), "x").await.refusal(400, "invalid_request");
    put(&house, &format!("{url}/../b"), "x").await.refusal(401, "invalid_token");
    assert_eq!(listed(&house, &sandbox).await, json!([]));
    // Another server's key seals other tokens.
    let mut house = house;
    house.restart(|app| app.upload_urls.seal = domain::uploads::Seal::derive(&[8; 32]));
    put(&house, &url, "x").await.refusal(403, "invalid_upload_url");
    house.restart(|app| app.upload_urls.seal = domain::uploads::Seal::derive(&[7; 32]));
    put(&house, &url, "x").await.success(200);
}

#[tokio::test]
async fn it_ends_by_time_with_its_sandbox_and_with_its_key() {
    let house = House::new().await;
    let place = sandbox(&house).await;
    let asked = url(&house, &place, "/workspace/a").await;
    house.ambient.advance_ms(HOUR_MS - 1);
    put(&house, &asked, "x").await.success(200);
    house.ambient.advance_ms(1);
    let told = put(&house, &asked, "x").await.refusal(403, "invalid_upload_url");
    assert!(told.contains("expired"), "{told}");

    house.ambient.advance_ms(LIFETIME_MS - HOUR_MS - 2);
    let late = url(&house, &place, "/workspace/a").await;
    house.ambient.advance_ms(2);
    put(&house, &late, "x").await.refusal(404, "not_found");
    house.post(&format!("{place}/upload-urls"), json!({"path": "a"})).await.refusal(404, "not_found");

    let place = sandbox(&house).await;
    let asked = url(&house, &place, "/workspace/a").await;
    put(&house, &asked, "x").await.success(200);
    house.revoke(house.team, KEY).await;
    let told = put(&house, &asked, "x").await.refusal(403, "invalid_upload_url");
    assert!(told.contains("key"), "{told}");
}

#[tokio::test]
async fn a_sandbox_that_ends_while_the_file_is_on_its_way_gets_nothing() {
    let house = Arc::new(House::new().await);
    let place = sandbox(&house).await;
    house.ambient.advance_ms(LIFETIME_MS - 10);
    let asked = url(&house, &place, "/workspace/a").await;
    let clock = Arc::clone(&house);
    let body = stream::once(async { Ok::<_, std::io::Error>("some") }).chain(stream::once(async move {
        clock.ambient.advance_ms(10);
        Ok("more")
    }));
    put(&house, &asked, Body::from_stream(body)).await.refusal(404, "not_found");
    assert_eq!(waiting(&house), 0);
}

#[tokio::test]
async fn larger_files_than_a_key_may_send_and_no_byte_more_than_allowed() {
    let mut house = House::new().await;
    let place = sandbox(&house).await;
    let large = url(&house, &place, "/workspace/large").await;
    let size = 12 * 1024 * 1024;
    assert_eq!(put(&house, &large, vec![7; size]).await.success(200)["size_bytes"], size);
    // It is given out to nobody, which is documented: see `judge`.
    let content = house.get(&format!("{place}/files/content?path=/workspace/large")).await;
    content.refusal(413, "payload_too_large");

    house.restart(|app| app.upload_urls.most = 300_000);
    let limited = url(&house, &place, "/workspace/limited").await;
    // What a URL allows was settled when it was made.
    assert_eq!(put(&house, &large, vec![8; 300_001]).await.success(200)["size_bytes"], 300_001);
    for size in [299_999, 300_000] {
        assert_eq!(put(&house, &limited, vec![7; size]).await.success(200)["size_bytes"], size);
    }
    let told = put(&house, &limited, vec![7; 300_001]).await.refusal(413, "payload_too_large");
    assert!(told.contains("300000"), "{told}");
    let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(vec![0_u8; 1_000]));
    put(&house, &limited, Body::from_stream(endless)).await.refusal(413, "payload_too_large");
    // One that announces too much is not read at all.
    let silent = stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let announced = Request::builder().method("PUT").uri(&limited).header("content-length", "300001");
    let announced = announced.body(Body::from_stream(silent)).expect("a request");
    house.send(announced).await.refusal(413, "payload_too_large");
    let files = listed(&house, &place).await;
    assert_eq!((&files[1]["name"], &files[1]["size_bytes"]), (&json!("limited"), &json!(300_000)));
    assert_eq!(waiting(&house), 0);
}

#[tokio::test]
async fn those_who_send_at_the_same_time_leave_one_whole_file() {
    let house = Arc::new(House::new().await);
    let place = sandbox(&house).await;
    let asked = url(&house, &place, "/workspace/a").await;
    let sending: Vec<_> = (0..16_u8)
        .map(|number| {
            let (house, asked) = (Arc::clone(&house), asked.clone());
            tokio::spawn(async move {
                let pieces = stream::iter((0..40).map(move |_| Ok::<_, std::io::Error>(vec![number; 10_000])));
                put(&house, &asked, Body::from_stream(pieces)).await.success(200)
            })
        })
        .collect();
    for sent in sending {
        assert_eq!(sent.await.expect("an answer")["size_bytes"], 400_000);
    }
    let bytes = house.get(&format!("{place}/files/content?path=a")).await.body;
    assert!(bytes.len() == 400_000 && bytes.iter().all(|byte| *byte == bytes[0]), "torn");
    assert_eq!(waiting(&house), 0);
}

#[tokio::test]
async fn what_breaks_off_leaves_nothing() {
    let house = Arc::new(House::new().await);
    let place = sandbox(&house).await;
    let asked = url(&house, &place, "/workspace/a").await;
    let broken = stream::iter([Ok(vec![1; 500_000]), Err(std::io::Error::other("the line broke"))]);
    put(&house, &asked, Body::from_stream(broken)).await.refusal(400, "invalid_request");
    assert_eq!((listed(&house, &place).await, waiting(&house)), (json!([]), 0));

    // The client hangs up: its request is dropped in the middle.
    let begun = Arc::new(Semaphore::new(0));
    let told = Arc::clone(&begun);
    let pieces = stream::iter([Ok::<_, std::io::Error>(vec![1; 500_000])]).chain(stream::once(async move {
        told.add_permits(1);
        std::future::pending().await
    }));
    let sending = {
        let (house, asked) = (Arc::clone(&house), asked.clone());
        tokio::spawn(async move { put(&house, &asked, Body::from_stream(pieces)).await })
    };
    drop(begun.acquire().await.expect("half of it was read"));
    assert_eq!((listed(&house, &place).await, waiting(&house)), (json!([]), 1));
    sending.abort();
    assert!(sending.await.is_err());
    assert_eq!((listed(&house, &place).await, waiting(&house)), (json!([]), 0));
    put(&house, &asked, "whole").await.success(200);
}

#[tokio::test]
async fn one_that_stalls_is_cut_off() {
    let house = House::new().await;
    let place = sandbox(&house).await;
    let asked = url(&house, &place, "/workspace/a").await;
    let stalled = stream::iter([Ok::<_, std::io::Error>(vec![1; 500_000])]).chain(stream::pending());
    // From here on the clock leaps to whatever is waited for.
    tokio::time::pause();
    put(&house, &asked, Body::from_stream(stalled)).await.refusal(408, "request_timeout");
    assert_eq!((listed(&house, &place).await, waiting(&house)), (json!([]), 0));
}

/// Sends as many files that never end, and waits until each is being read.
async fn never_ending(house: &Arc<House>, urls: impl Iterator<Item = String>) -> Vec<JoinHandle<Answer>> {
    let begun = Arc::new(Semaphore::new(0));
    let send = |url: String| {
        let (house, begun) = (Arc::clone(house), Arc::clone(&begun));
        tokio::spawn(async move {
            let silent = stream::once(async move {
                begun.add_permits(1);
                std::future::pending::<Result<Vec<u8>, std::io::Error>>().await
            });
            put(&house, &url, Body::from_stream(silent)).await
        })
    };
    let sending: Vec<_> = urls.map(send).collect();
    let all = u32::try_from(sending.len()).expect("a few");
    drop(begun.acquire_many(all).await.expect("all are being read"));
    sending
}

#[tokio::test]
async fn so_many_at_once_and_the_next_is_asked_to_come_back() {
    let house = Arc::new(House::new().await);
    let place = sandbox(&house).await;
    let asked = url(&house, &place, "/workspace/a").await;
    // By one URL four, ...
    let one = never_ending(&house, std::iter::repeat_n(asked.clone(), 4)).await;
    put(&house, &asked, "x").await.refusal(503, "unavailable");
    // ... by all of a team's together half of what there is, ...
    let mut others = Vec::new();
    for number in 0..28 {
        others.push(url(&house, &place, &format!("/workspace/{number}")).await);
    }
    let sending = never_ending(&house, others.into_iter()).await;
    let last = url(&house, &place, "/workspace/last").await;
    put(&house, &last, "x").await.refusal(503, "unavailable");
    sending[0].abort();
    put(&house, &last, "x").await.success(200);
    // ... which leaves those of others in peace.
    let theirs = house.post_as(OTHER_KEY, "/v1/sandboxes", json!({})).await.success(201);
    let theirs = format!("/v1/sandboxes/{}/upload-urls", text(&theirs["sandbox_id"]));
    let theirs = house.post_as(OTHER_KEY, &theirs, json!({"path": "/workspace/a"})).await.success(200);
    put(&house, &text(&theirs["upload_url"]), "x").await.success(200);
    one[0].abort();
    put(&house, &asked, "x").await.success(200);
}

#[tokio::test]
async fn what_comes_by_it_is_a_request_of_its_key() {
    let mut house = House::new().await;
    house.restart(|app| app.requests_per_minute = 4);
    let place = sandbox(&house).await;
    let asked = url(&house, &place, "/workspace/a").await;
    for _ in 0..2 {
        put(&house, &asked, "x").await.success(200);
    }
    let told = put(&house, &asked, "x").await;
    told.refusal(429, "rate_limited");
    assert!(told.header("retry-after").is_some());
    house.get("/v1/agents").await.refusal(429, "rate_limited");
}

#[tokio::test]
async fn it_takes_the_file_itself_and_no_form() {
    let house = House::new().await;
    let place = sandbox(&house).await;
    let asked = url(&house, &place, "/workspace/a").await;
    let form = Request::builder().method("POST").uri(&asked).header("content-type", "multipart/form-data; boundary=b");
    let told = house.send(form.body(Body::from("--b--")).expect("a request")).await.refusal(400, "invalid_request");
    assert!(told.contains("itself"), "{told}");
    for body in [json!({}), json!({"path": ""}), json!({"path": "a", "size": 1}), json!({"path": 1}), json!([])] {
        house.post(&format!("{place}/upload-urls"), body).await.refusal(400, "invalid_request");
    }
    for path in ["/workspace", "a/", "../a", "/etc/passwd", "a\u{0}"] {
        house.post(&format!("{place}/upload-urls"), json!({"path": path})).await.refusal(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_url_leads_to_where_it_was_asked_for_unless_the_server_knows_better() {
    let mut house = House::new().await;
    let place = sandbox(&house).await;
    let ask = async |house: &House, uri: &str, hosts: &[&str]| {
        let mut asked = request("POST", uri, KEY).header("content-type", "application/json");
        for host in hosts {
            asked = asked.header("host", *host);
        }
        house.send(asked.body(Body::from(r#"{"path": "a"}"#)).expect("a request")).await
    };
    let urls = format!("{place}/upload-urls");
    let origin = |answer: Answer| text(&answer.success(200)["upload_url"]).split("/v1/").next().map(str::to_owned);
    assert_eq!(origin(ask(&house, &urls, &["evil.example"]).await).as_deref(), Some("https://errand.example.com"));
    house.restart(|app| app.upload_urls.public_url = None);
    for host in ["127.0.0.1:8080", "errand.example.com", "[::1]:8080", "localhost", "a_b-c.example:1"] {
        assert_eq!(origin(ask(&house, &urls, &[host]).await), Some(format!("http://{host}")));
    }
    let full = format!("http://localhost:9{urls}");
    assert_eq!(origin(ask(&house, &full, &[]).await).as_deref(), Some("http://localhost:9"));
    let long = "h".repeat(300);
    for hosts in [
        &[][..],
        &[""],
        &["a", "b"],
        &["evil/"],
        &["evil/v1/uploads"],
        &["me@evil"],
        &["a?b"],
        &["a#b"],
        &["a b"],
        &["a\\b"],
        &["%61"],
        &["a:b:c"],
        &["a:99999999"],
        &[long.as_str()],
    ] {
        ask(&house, &urls, hosts).await.refusal(400, "invalid_request");
    }
}

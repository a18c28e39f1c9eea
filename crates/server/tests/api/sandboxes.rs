//! Sandboxes: both ways to upload, listing, fetching back, and what is refused.

use std::sync::Arc;
use std::task::Poll;

use axum::body::Body;
use domain::sandboxes::{FILE_MAX, LIFETIME_MS};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::house::{Answer, House, KEY, OTHER_KEY, request, text};

async fn sandbox(house: &House) -> String {
    let made = house.post("/v1/sandboxes", json!({})).await.success(201);
    assert_eq!(made["expires_at"], "2026-11-24T14:00:00.000Z");
    format!("/v1/sandboxes/{}/files", text(&made["sandbox_id"]))
}

/// A part of a form: its `Content-Disposition` after `form-data`, and its bytes.
type Part<'p> = (&'p str, &'p [u8]);

async fn form(house: &House, path: &str, parts: &[Part<'_>]) -> Answer {
    let mut body = Vec::new();
    for (disposition, bytes) in parts {
        body.extend_from_slice(format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n").as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--b--\r\n");
    house.post_bytes(KEY, path, "multipart/form-data; boundary=b", body).await
}

#[tokio::test]
async fn a_form_is_stored_under_its_path_or_its_name() {
    let house = House::new().await;
    let files = sandbox(&house).await;
    let file = (r#"name="file"; filename="C:\data\a.csv""#, &b"a,b\n"[..]);
    let path = (r#"name="path""#, &b"/workspace/in/b.csv"[..]);
    let stored = form(&house, &files, &[file]).await.success(201);
    assert_eq!(stored, json!({"path": "/workspace/a.csv", "size_bytes": 4}));
    for parts in [[file, path], [path, file]] {
        assert_eq!(form(&house, &files, &parts).await.success(201)["path"], "/workspace/in/b.csv");
    }
    let nameless = form(&house, &format!("{files}?path=c.csv"), &[(r#"name="file""#, b"c")]).await;
    assert_eq!(nameless.success(201)["path"], "/workspace/c.csv");

    assert_eq!(
        house.get(&files).await.success(200),
        json!({"files": [
            {"name": "a.csv", "path": "/workspace/a.csv", "type": "file", "size_bytes": 4},
            {"name": "c.csv", "path": "/workspace/c.csv", "type": "file", "size_bytes": 1},
            {"name": "in", "path": "/workspace/in", "type": "dir", "size_bytes": 0}
        ]})
    );
    let inner = house.get(&format!("{files}?path=/workspace/in")).await.success(200);
    assert_eq!(inner["files"][0]["path"], "/workspace/in/b.csv");
}

#[tokio::test]
async fn forms_that_say_too_little_or_too_much() {
    let house = House::new().await;
    let files = sandbox(&house).await;
    let file = (r#"name="file"; filename="a.csv""#, &b"a"[..]);
    let path = (r#"name="path""#, &b"in/b.csv"[..]);
    let cases: [&[Part<'_>]; 6] = [
        &[],
        &[path],
        &[file, file],
        &[file, path, path],
        &[file, (r#"name="mode""#, b"0600")],
        &[(r#"name="file""#, b"no name anywhere")],
    ];
    for parts in cases {
        form(&house, &files, parts).await.refusal(400, "invalid_request");
    }
    let document = server::openapi_document();
    for path in ["/v1/sandboxes/{sandbox_id}/files", "/v1/files"] {
        let form = &document["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"];
        assert_eq!(form["additionalProperties"], false, "{path}: its document does not say what is refused");
    }
    let broken = house.post_bytes(KEY, &files, "multipart/form-data; boundary=b", "--b\r\nContent").await;
    broken.refusal(400, "invalid_request");
    house.post_bytes(KEY, &files, "multipart/form-data", "--b--").await.refusal(400, "invalid_request");
    assert_eq!(house.get(&files).await.success(200), json!({"files": []}));
}

#[tokio::test]
async fn a_raw_body_needs_a_path_and_comes_back_as_it_was() {
    let house = House::new().await;
    let files = sandbox(&house).await;
    let bytes: Vec<u8> = (0..=255).collect();
    for (name, kind) in
        [("x.bin", "application/octet-stream"), ("x.json", "application/json"), ("ä \"1\".csv", "text/csv")]
    {
        let encoded = name.replace('ä', "%C3%A4").replace(' ', "%20").replace('"', "%22");
        let stored = house.post_bytes(KEY, &format!("{files}?path={encoded}"), kind, bytes.clone()).await.success(201);
        assert_eq!(stored, json!({"path": format!("/workspace/{name}"), "size_bytes": 256}));
        let back = house.get(&format!("{files}/content?path=/workspace/{encoded}")).await;
        assert_eq!((back.status, &back.body[..]), (200, &bytes[..]));
        assert_eq!(back.header("x-errand-extension"), Some("true"));
        assert_eq!(back.header("x-content-type-options"), Some("nosniff"));
        assert!(back.header("content-disposition").is_some_and(|header| header.starts_with("attachment;")));
    }
    let csv = house.get(&format!("{files}/content?path=%C3%A4%20%221%22.csv")).await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(csv.header("content-disposition"), Some("attachment; filename*=UTF-8''%C3%A4%20%221%22.csv"));
    house.post_bytes(KEY, &format!("{files}?path=p.html"), "text/html", "<p>").await.success(201);
    let page = house.get(&format!("{files}/content?path=p.html")).await;
    assert_eq!(page.header("content-type"), Some("application/octet-stream"));

    house.post_bytes(KEY, &files, "text/csv", "a").await.refusal(400, "invalid_request");
    house.get(&format!("{files}/content")).await.refusal(400, "invalid_request");
    house.get(&format!("{files}/content?path=none.csv")).await.refusal(404, "not_found");
    house.get(&format!("{files}?path=/workspace/none")).await.refusal(404, "not_found");
}

#[tokio::test]
async fn paths_do_not_leave_the_workspace() {
    let house = House::new().await;
    let files = sandbox(&house).await;
    for path in ["../x", "/etc/passwd", "/workspace/../x", "a%00b", "a%5Cb", "/workspacex"] {
        let message = house.get(&format!("{files}?path={path}")).await.refusal(400, "invalid_request");
        assert!(message.contains("path"), "{message}");
        house.get(&format!("{files}/content?path={path}")).await.refusal(400, "invalid_request");
        house.post_bytes(KEY, &format!("{files}?path={path}"), "text/csv", "a").await.refusal(400, "invalid_request");
    }
    for path in ["/workspace", "in/"] {
        house.post_bytes(KEY, &format!("{files}?path={path}"), "text/csv", "a").await.refusal(400, "invalid_request");
    }
    house.get(&format!("{files}?folder=x")).await.refusal(400, "invalid_request");
}

#[tokio::test]
async fn ten_megabytes_and_no_byte_more() {
    let house = House::new().await;
    let files = sandbox(&house).await;
    let raw = format!("{files}?path=big.bin");
    let (most, more) = (vec![7; FILE_MAX], vec![7; FILE_MAX + 1]);
    house.post_bytes(KEY, &raw, "application/octet-stream", most.clone()).await.success(201);
    house.post_bytes(KEY, &raw, "application/octet-stream", more.clone()).await.refusal(413, "payload_too_large");
    let name = r#"name="file"; filename="big.bin""#;
    form(&house, &files, &[(name, &most)]).await.success(201);
    form(&house, &files, &[(name, &more)]).await.refusal(413, "payload_too_large");

    // One that never ends is refused once it is too long, and one that announces too much is not read at all.
    let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![0_u8; 1 << 20]));
    let endless = house.post_bytes(KEY, &raw, "application/octet-stream", Body::from_stream(endless)).await;
    endless.refusal(413, "payload_too_large");
    let silent = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let announced = request("POST", &raw, KEY).header("content-length", (FILE_MAX + 1).to_string());
    house.send(announced.body(Body::from_stream(silent)).expect("a request")).await.refusal(413, "payload_too_large");
}

#[tokio::test]
async fn so_many_uploads_are_taken_at_once_and_the_next_is_asked_to_come_back() {
    let house = Arc::new(House::new().await);
    let path = format!("{}?path=a.csv", sandbox(&house).await);
    let begun = Arc::new(Semaphore::new(0));
    let uploads: Vec<_> = (0..16)
        .map(|_| {
            let (house, path, begun) = (Arc::clone(&house), path.clone(), Arc::clone(&begun));
            tokio::spawn(async move {
                let never_ends = futures_util::stream::poll_fn(move |_| {
                    begun.add_permits(1);
                    Poll::<Option<Result<Vec<u8>, std::io::Error>>>::Pending
                });
                house.post_bytes(KEY, &path, "text/csv", Body::from_stream(never_ends)).await
            })
        })
        .collect();
    drop(begun.acquire_many(16).await.expect("all are being read"));

    let refused = house.post_bytes(KEY, &path, "text/csv", "a").await;
    refused.refusal(503, "unavailable");
    assert_eq!(refused.header("retry-after"), Some("1"));
    // The other half is for other teams.
    let theirs = house.post_as(OTHER_KEY, "/v1/sandboxes", json!({})).await.success(201);
    let theirs = format!("/v1/sandboxes/{}/files?path=a.csv", text(&theirs["sandbox_id"]));
    house.post_bytes(OTHER_KEY, &theirs, "text/csv", "a").await.success(201);

    // One that gives up makes room for the next.
    let waiting = house.post_bytes(KEY, &path, "text/csv", "a");
    uploads[0].abort();
    waiting.await.success(201);
}

#[tokio::test]
async fn an_upload_that_stalls_is_given_up() {
    let house = House::new().await;
    let path = format!("{}?path=a.csv", sandbox(&house).await);
    let stalled = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    // From here on the clock leaps to whatever is waited for.
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    house.post_bytes(KEY, &path, "text/csv", Body::from_stream(stalled)).await.refusal(408, "request_timeout");
    assert_eq!(began.elapsed().as_secs(), 120);
}

#[tokio::test]
async fn a_form_has_few_parts_and_small_heads() {
    let house = House::new().await;
    let path = sandbox(&house).await;
    let part = |head: &str| {
        format!("--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n{head}\r\nabc\r\n")
    };
    let send =
        async |form: String| house.post_bytes(KEY, &path, "multipart/form-data; boundary=b", form + "--b--\r\n").await;
    send(part("")).await.success(201);
    send(part(&"x: y\r\n".repeat(30))).await.success(201);
    send(part(&"x: y\r\n".repeat(100))).await.refusal(400, "invalid_request");
    send(part("").repeat(2)).await.refusal(400, "invalid_request");
    let other = "--b\r\ncontent-disposition: form-data; name=\"x\"\r\n\r\nabc\r\n";
    send(part("") + &other.repeat(10_000)).await.refusal(400, "invalid_request");
    send(other.repeat(10_000) + &part("")).await.refusal(400, "invalid_request");
    // A head is a part of the body, and no larger.
    send(part(&format!("x: {}\r\n", "y".repeat(12_000_000)))).await.refusal(413, "payload_too_large");
}

#[tokio::test]
async fn trouble_with_files_is_told_without_its_details() {
    let house = House::new().await;
    let files = sandbox(&house).await;
    house.post_bytes(KEY, &format!("{files}?path=quota"), "text/csv", "a").await.refusal(413, "sandbox_full");
    let message =
        house.post_bytes(KEY, &format!("{files}?path=broken"), "text/csv", "a").await.refusal(500, "internal_error");
    assert!(!message.contains("secret detail"), "{message}");
}

#[tokio::test]
async fn an_expired_sandbox_is_gone() {
    let house = House::new().await;
    let files = sandbox(&house).await;
    house.post_bytes(KEY, &format!("{files}?path=a.csv"), "text/csv", "a").await.success(201);
    house.ambient.advance_ms(LIFETIME_MS - 1);
    house.get(&files).await.success(200);
    house.ambient.advance_ms(1);
    house.get(&files).await.refusal(404, "not_found");
    house.get(&format!("{files}/content?path=a.csv")).await.refusal(404, "not_found");
    house.post_bytes(KEY, &format!("{files}?path=a.csv"), "text/csv", "a").await.refusal(404, "not_found");
}

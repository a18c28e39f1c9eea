//! What no operation takes as a body, whatever it means.

use axum::body::Body;
use serde_json::json;

use crate::house::{House, KEY, NOBODY, request};

/// Every operation that reads JSON.
fn takers() -> [String; 5] {
    [
        "/v1/agents".into(),
        "/v1/builds".into(),
        "/v1/runs".into(),
        format!("/v1/runs/{NOBODY}/messages"),
        format!("/v1/runs/{NOBODY}/human-requests/{NOBODY}/respond"),
    ]
}

#[tokio::test]
async fn what_two_parsers_could_read_differently_is_refused() {
    let house = House::new().await;
    let deep = format!("{}1{}", r#"{"a":"#.repeat(70), "}".repeat(70));
    let bodies = [
        ("", "is empty"),
        ("{", "not valid JSON"),
        ("name=A", "not valid JSON"),
        ("[]", "object"),
        ("null", "object"),
        (r#"{"name":"A","name":"B"}"#, "/name"),
        (r#"{"name":"A\u0000"}"#, "/name"),
        (r#"{"nonsense":1}"#, "/nonsense"),
        (r#"{"name":"A"} x"#, "not valid JSON"),
        (&deep, "/a/a/a"),
    ];
    for path in takers() {
        for (body, part) in bodies {
            let answer = house.post_bytes(KEY, &path, "application/json", body.to_owned()).await;
            let message = answer.refusal(400, "invalid_request");
            assert!(message.contains(part), "{path}: {body}: {message}");
        }
        let answer = house.post_bytes(KEY, &path, "application/json", vec![b'"', 0xff, b'"']).await;
        assert!(answer.refusal(400, "invalid_request").contains("UTF-8"));
    }
}

#[tokio::test]
async fn a_body_is_json_by_its_header() {
    let house = House::new().await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "json", ""] {
        for path in takers() {
            house.post_bytes(KEY, &path, kind, r#"{"name":"A"}"#).await.refusal(415, "unsupported_media_type");
        }
    }
    let bare = request("POST", "/v1/agents", KEY).body(Body::from(r#"{"name":"A"}"#)).expect("a request");
    house.send(bare).await.refusal(415, "unsupported_media_type");
    for kind in ["application/json; charset=utf-16", "application/json;x=y; charset=\"iso-8859-1\""] {
        let told = house.post_bytes(KEY, "/v1/agents", kind, r#"{"name":"A"}"#).await;
        assert!(told.refusal(415, "unsupported_media_type").contains("UTF-8"));
    }
    let packed = request("POST", "/v1/agents", KEY).header("content-type", "application/json");
    let packed = packed.header("content-encoding", "gzip").body(Body::from("\u{1f}")).expect("a request");
    assert!(house.send(packed).await.refusal(415, "unsupported_media_type").contains("Content-Encoding"));
    for kind in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.errand+json"] {
        house.post_bytes(KEY, "/v1/agents", kind, r#"{"name":"A"}"#).await.success(201);
    }
}

#[tokio::test]
async fn a_body_has_a_largest_size() {
    let house = House::new().await;
    let padded = |length: usize| format!("{{{}\"name\":\"A\"}}", " ".repeat(length - 12));
    for length in [2 * 1024 * 1024 - 1, 2 * 1024 * 1024] {
        house.post_bytes(KEY, "/v1/agents", "application/json", padded(length)).await.success(201);
    }
    let large = padded(2 * 1024 * 1024 + 1);
    for path in takers() {
        house.post_bytes(KEY, &path, "application/json", large.clone()).await.refusal(413, "payload_too_large");
        // The announced size is enough: this body would never come to an end.
        let endless = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        let request = request("POST", &path, KEY)
            .header("content-type", "application/json")
            .header("content-length", "3000000")
            .body(endless)
            .expect("a request");
        house.send(request).await.refusal(413, "payload_too_large");
    }
}

#[tokio::test]
async fn parameters_that_an_operation_does_not_have_are_named() {
    let house = House::new().await;
    for path in takers() {
        let message = house.post(&format!("{path}?dry_run=1"), json!({})).await.refusal(400, "invalid_request");
        assert!(message.contains("`dry_run`"), "{message}");
    }
    house.post("/v1/sandboxes?x=1", json!({})).await.refusal(400, "invalid_request");
    house.post(&format!("/v1/runs/{NOBODY}/stop?force=1"), json!({})).await.refusal(400, "invalid_request");
}

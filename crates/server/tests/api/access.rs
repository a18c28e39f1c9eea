//! Who gets in, and what is the same for every path: keys, unknown places, methods, request ids.

use axum::body::Body;
use axum::http::Request;
use domain::Ambient;
use domain::api_keys::{self, ApiKey};
use serde_json::json;
use storage::StoreError;

use crate::house::{House, KEY, NOBODY, OTHER_KEY, request, text};

/// Everything that can be asked for, and some that cannot.
fn places() -> Vec<(&'static str, String)> {
    let run = format!("/v1/runs/{NOBODY}");
    let sandbox = "/v1/sandboxes/sbx_0";
    vec![
        ("GET", "/v1/agents".into()),
        ("POST", "/v1/agents".into()),
        ("GET", format!("/v1/agents/{NOBODY}")),
        ("GET", format!("/v1/agents/{NOBODY}/builds")),
        ("POST", "/v1/builds".into()),
        ("GET", format!("/v1/builds/{NOBODY}")),
        ("GET", "/v1/runs".into()),
        ("POST", "/v1/runs".into()),
        ("GET", run.clone()),
        ("GET", format!("{run}/messages")),
        ("POST", format!("{run}/messages")),
        ("POST", format!("{run}/stop")),
        ("POST", format!("{run}/human-requests/{NOBODY}/respond")),
        ("GET", format!("{run}/events")),
        ("POST", "/v1/sandboxes".into()),
        ("GET", format!("{sandbox}/files")),
        ("POST", format!("{sandbox}/files")),
        ("GET", format!("{sandbox}/files/content?path=a")),
        ("POST", format!("{sandbox}/upload-urls")),
        ("GET", "/v1/files".into()),
        ("POST", "/v1/files?path=a".into()),
        ("DELETE", format!("/v1/files/{NOBODY}")),
        // Malformed in every other way as well.
        ("GET", "/v1/agents/x?y=z".into()),
        ("DELETE", "/v1/agents".into()),
        ("PATCH", run),
        ("GET", "/v1/nothing".into()),
        ("GET", "/v1".into()),
        ("GET", "/".into()),
        ("GET", "/nothing".into()),
    ]
}

#[tokio::test]
async fn the_key_comes_before_everything_else() {
    let house = House::new().await;
    let wrong = [None, Some("Bearer"), Some("Bearer "), Some("Basic ZGV2"), Some("Bearer dv_unknown"), Some(KEY)];
    for (method, path) in places() {
        for header in wrong {
            let mut request = Request::builder().method(method).uri(&path).header("content-type", "text/plain");
            if let Some(header) = header {
                request = request.header("authorization", header);
            }
            let answer = house.send(request.body(Body::from("not JSON")).expect("a request")).await;
            answer.refusal(401, "invalid_token");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{method} {path}");
        }
        let answer = house.send(request(method, &path, KEY).body(Body::empty()).expect("a request")).await;
        assert_ne!(answer.status, 401, "{method} {path}");
    }
}

#[tokio::test]
async fn the_scheme_may_be_written_in_any_case_but_only_once() {
    let house = House::new().await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let request = Request::builder().uri("/v1/agents").header("authorization", format!("{scheme} {KEY}"));
        house.send(request.body(Body::empty()).expect("a request")).await.success(200);
    }
    let twice = request("GET", "/v1/agents", KEY).header("authorization", format!("Bearer {OTHER_KEY}"));
    house.send(twice.body(Body::empty()).expect("a request")).await.refusal(401, "invalid_token");
}

#[tokio::test]
async fn a_revoked_key_is_refused_within_a_quarter_of_a_second() {
    let house = House::new().await;
    house.get("/v1/agents").await.success(200);
    let (team, now) = (house.team, domain::Timestamp(1));
    let revoked = house.app.db.write::<_, StoreError, _>(async move |tx| {
        let id = storage::api_keys::find(tx, api_keys::hash(KEY)).await?.expect("the key").id;
        storage::api_keys::revoke(tx, team, id, now).await
    });
    assert!(revoked.await.expect("a write"));
    house.ambient.advance_ms(250);
    house.get("/v1/agents").await.refusal(401, "invalid_token");
}

#[tokio::test]
async fn another_teams_things_look_like_nothing() {
    let house = House::new().await;
    let (agent, build) = house.agent().await;
    let started = house.post("/v1/runs", json!({"agent_id": agent})).await.success(201);
    let (run, sandbox) = (text(&started["run"]["id"]), text(&started["run"]["sandbox_id"]));
    for path in [
        format!("/v1/agents/{agent}"),
        format!("/v1/agents/{agent}/builds"),
        format!("/v1/builds/{build}"),
        format!("/v1/runs/{run}"),
        format!("/v1/runs/{run}/messages"),
        format!("/v1/runs/{run}/events"),
        format!("/v1/sandboxes/{sandbox}/files"),
        format!("/v1/sandboxes/{sandbox}/files/content?path=a"),
    ] {
        let unknown =
            path.replace(&agent, NOBODY).replace(&build, NOBODY).replace(&run, NOBODY).replace(&sandbox, "sbx_0");
        let (foreign, unknown) = (house.get_as(OTHER_KEY, &path).await, house.get_as(OTHER_KEY, &unknown).await);
        foreign.refusal(404, "not_found");
        assert_eq!(foreign.body, unknown.body, "{path}");
    }
    let config = crate::house::config("Go.");
    for (path, body) in [
        ("/v1/builds".to_owned(), json!({"agent_id": agent, "name": "b", "config": config})),
        ("/v1/runs".to_owned(), json!({"agent_id": agent})),
        (format!("/v1/runs/{run}/messages"), json!({"message": "hi"})),
        (format!("/v1/runs/{run}/stop"), json!({})),
        (format!("/v1/runs/{run}/human-requests/{NOBODY}/respond"), json!({"approved": true})),
        (format!("/v1/sandboxes/{sandbox}/files?path=a"), json!({})),
    ] {
        house.post_as(OTHER_KEY, &path, body).await.refusal(404, "not_found");
    }
    let own = text(&house.post_as(OTHER_KEY, "/v1/agents", json!({"name": "B"})).await.success(201)["agent"]["id"]);
    let body = json!({"agent_id": own, "sandbox_id": sandbox});
    house.post_as(OTHER_KEY, "/v1/runs", body).await.refusal(404, "not_found");
    assert_eq!(house.get_as(OTHER_KEY, "/v1/runs").await.success(200)["total"], 0);
    assert_eq!(house.get_as(OTHER_KEY, "/v1/agents").await.success(200)["total"], 1);
}

#[tokio::test]
async fn unknown_paths_and_methods() {
    let house = House::new().await;
    for path in ["/", "/v1", "/v1/", "/v1/agents/", "/v1/nothing", "/v2/agents"] {
        house.get(path).await.refusal(404, "not_found");
    }
    for (method, path, allowed) in
        [("DELETE", "/v1/agents", "GET,HEAD,POST"), ("GET", "/v1/builds", "POST"), ("PUT", "/v1/builds/x", "GET,HEAD")]
    {
        let answer = house.send(request(method, path, KEY).body(Body::empty()).expect("a request")).await;
        answer.refusal(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some(allowed));
    }
    let probe = Request::builder().method("POST").uri("/healthz").body(Body::empty()).expect("a request");
    house.send(probe).await.refusal(405, "method_not_allowed");
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let house = House::new().await;
    let get = house.get("/v1/agents").await;
    let head = house.send(request("HEAD", "/v1/agents", KEY).body(Body::empty()).expect("a request")).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()));
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let house = House::new().await;
    let send = async |id: &str| {
        let request = request("GET", "/v1/agents", KEY).header("x-request-id", id);
        let answer = house.send(request.body(Body::empty()).expect("a request")).await;
        answer.header("x-request-id").expect("an id").to_owned()
    };
    assert_eq!(send("mine-7").await, "mine-7");
    let long = "x".repeat(129);
    for strange in ["", "two words", "<script>", &long] {
        assert!(send(strange).await.starts_with("req_"), "{strange}");
    }
    assert_ne!(send("").await, send("").await);
}

#[tokio::test]
async fn the_probes_need_no_key() {
    let house = House::new().await;
    let probe =
        async |path: &str| house.send(Request::builder().uri(path).body(Body::empty()).expect("a request")).await;
    assert_eq!(probe("/healthz").await.success(200), json!({"status": "ok"}));
    assert_eq!(probe("/readyz").await.success(200), json!({"status": "ok"}));
    house.app.ready.store(false, std::sync::atomic::Ordering::Relaxed);
    probe("/readyz").await.refusal(503, "unavailable");
    probe("/healthz").await.success(200);
    house.app.ready.store(true, std::sync::atomic::Ordering::Relaxed);
    house.app.db.close().await;
    probe("/readyz").await.refusal(503, "unavailable");
    house.get("/v1/agents").await.refusal(503, "unavailable");
}

#[tokio::test]
async fn a_key_does_only_what_its_scopes_say() {
    let house = House::new().await;
    for scope in ["read", "run", "manage"] {
        let secret = format!("dv_the_key_that_may_{scope}");
        house.add_key(ApiKey { scopes: scope.parse().expect("a scope"), ..house.new_key(&secret) }).await;
    }
    let (agent, build) = house.agent().await;
    let run = text(&house.post("/v1/runs", json!({"agent_id": agent})).await.success(201)["run"]["id"]);
    let sandbox = text(&house.post("/v1/sandboxes", json!({})).await.success(201)["sandbox_id"]);
    for (needed, method, path) in [
        ("read", "GET", "/v1/agents".to_owned()),
        ("manage", "POST", "/v1/agents".to_owned()),
        ("read", "GET", format!("/v1/agents/{agent}")),
        ("read", "GET", format!("/v1/agents/{agent}/builds")),
        ("manage", "POST", "/v1/builds".to_owned()),
        ("read", "GET", format!("/v1/builds/{build}")),
        ("read", "GET", "/v1/runs".to_owned()),
        ("run", "POST", "/v1/runs".to_owned()),
        ("read", "GET", format!("/v1/runs/{run}")),
        ("read", "GET", format!("/v1/runs/{run}/messages")),
        ("run", "POST", format!("/v1/runs/{run}/messages")),
        ("run", "POST", format!("/v1/runs/{run}/human-requests/{NOBODY}/respond")),
        ("read", "GET", format!("/v1/sandboxes/{sandbox}/files")),
        ("run", "POST", format!("/v1/sandboxes/{sandbox}/files?path=a")),
        ("read", "GET", format!("/v1/sandboxes/{sandbox}/files/content?path=a")),
        ("run", "POST", "/v1/sandboxes".to_owned()),
        ("run", "POST", format!("/v1/runs/{run}/stop")),
        ("read", "GET", format!("/v1/runs/{run}/events")),
    ] {
        for scope in ["read", "run", "manage"] {
            let key = format!("dv_the_key_that_may_{scope}");
            let asked = request(method, &path, &key).header("content-type", "application/json");
            let asked = asked.body(Body::from("{}")).expect("a request");
            if scope == needed {
                if !path.ends_with("/events") {
                    let answer = house.send(asked).await;
                    assert!(answer.status != 403 && answer.status != 401, "{scope} {method} {path}: {}", answer.status);
                }
            } else {
                let told = house.send(asked).await.refusal(403, "insufficient_scope");
                assert!(told.contains(needed), "{method} {path}: {told}");
            }
        }
    }
}

#[tokio::test]
async fn a_key_ends_when_its_time_is_over_and_its_use_is_noted() {
    let house = House::new().await;
    let (secret, end) = ("dv_the_key_that_ends", house.ambient.now().plus_ms(1_000));
    let key = ApiKey { expires_at: Some(end), ..house.new_key(secret) };
    let (team, id) = (key.team, key.id);
    house.add_key(key).await;
    house.get_as(secret, "/v1/agents").await.success(200);
    let used = async || {
        let read = async |tx: &mut storage::Tx<'_>| storage::api_keys::get(tx, team, id).await;
        house.app.db.read::<_, StoreError, _>(read).await.expect("a read").expect("the key").last_used_at
    };
    // It is noted beside the request.
    while used().await.is_none() {
        tokio::task::yield_now().await;
    }
    house.ambient.advance_ms(999);
    house.get_as(secret, "/v1/agents").await.success(200);
    house.ambient.advance_ms(1);
    let told = house.get_as(secret, "/v1/agents").await.refusal(401, "invalid_token");
    assert!(told.contains("expired"), "{told}");
}

/// Who has no key can make the server look into its store so often and no oftener; who has one is not kept out by that.
#[tokio::test]
async fn guessed_keys_are_looked_for_so_often_and_no_oftener() {
    const LOOKS: usize = 500;
    let house = House::new().await;
    house.get("/v1/agents").await.success(200);
    let guess = async |round: usize, n: usize| house.get_as(&format!("dv_guess_{round}_{n}"), "/v1/agents").await;
    for round in 0..2 {
        let (mut looked, mut refused) = (0, 0);
        for n in 0..LOOKS + 200 {
            let answer = guess(round, n).await;
            if answer.status == 401 {
                looked += 1;
            } else {
                answer.refusal(429, "rate_limited");
                assert_eq!(answer.header("retry-after"), Some("1"));
                refused += 1;
            }
        }
        // In the first second the good key was looked for once, too.
        assert_eq!((looked, refused), if round == 0 { (LOOKS - 1, 201) } else { (LOOKS, 200) });
        // Long after it was last found, and still it is looked for.
        house.ambient.advance_ms(300);
        house.get("/v1/agents").await.success(200);
        house.get_as(OTHER_KEY, "/v1/agents").await.refusal(429, "rate_limited");
        house.ambient.advance_ms(1_000);
    }
    house.get_as(OTHER_KEY, "/v1/agents").await.success(200);
}

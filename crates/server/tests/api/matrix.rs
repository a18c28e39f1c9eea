//! Who may do what: each operation of the document, with each kind of key, and with each of its ids another team's.
//!
//! The operations come from the document and the rows from here; one without the other fails. A row says only how to ask: what must be answered
//! is the same for all. Kinds of keys that are refused are in [`REFUSED`]; what a key with too small a scope is told, `x-errand-scope` of each
//! operation says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use domain::Ambient;
use domain::api_keys::{ApiKey, Scope};
use domain::human_requests::{HumanRequest, Kind};
use domain::runs::{Event, Status};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::house::{House, KEY, OTHER_KEY, config, text};

/// How to ask for an operation: its query string and its body, with the names of ids in braces as in the path.
struct Row(&'static str, &'static str, &'static str);

const ROWS: [Row; 32] = [
    Row("agent.list", "", ""),
    Row("agent.create", "", r#"{"name": "B"}"#),
    Row("agent.get", "", ""),
    Row("build.list", "", ""),
    Row(
        "build.create",
        "",
        r#"{"agent_id": "{agent_id}", "name": "b", "config": {"version": "v1", "data": {"model": "m", "input": "i"}}}"#,
    ),
    Row("build.get", "", ""),
    Row("run.start", "", r#"{"agent_id": "{agent_id}", "sandbox_id": "{sandbox_id}"}"#),
    Row("run.list", "agent_id={agent_id}", ""),
    Row("run.get", "", ""),
    Row("event.stream", "", ""),
    Row("message.list", "", ""),
    Row("message.post", "", r#"{"message": "hi"}"#),
    Row("human_request.respond", "", r#"{"approved": true}"#),
    Row("run.stop", "", ""),
    Row("sandbox.create", "", ""),
    Row("sandbox.list_files", "", ""),
    Row("sandbox.upload", "path=/workspace/b", "bytes"),
    Row("sandbox.download", "path=/workspace/a", ""),
    Row("upload_url.create", "", r#"{"path": "/workspace/c"}"#),
    Row("upload_url.put", "", "bytes"),
    Row("upload_url.post", "", "bytes"),
    Row("file.list", "", ""),
    Row("file.push", "path=b", "bytes"),
    Row("file.download", "", ""),
    Row("file.remove", "", ""),
    Row("dead_letter.list", "", ""),
    Row("dead_letter.replay", "", ""),
    Row("documentation.page", "", ""),
    Row("documentation.openapi", "", ""),
    Row("documentation.older", "", ""),
    Row("health.alive", "", ""),
    Row("health.ready", "", ""),
];

/// Operations that find things by an id rather than name them: a foreign one finds nothing, as an unknown one does.
const FINDERS: [&str; 1] = ["run.list"];

const REVOKED: &str = "dv_a_key_that_was_revoked";

/// Keys that get nobody in. `None` is no header at all.
const EXPIRED: &str = "dv_a_key_that_has_expired";

const REFUSED: [(&str, Option<&str>); 5] = [
    ("no key", None),
    ("not a key", Some("Bearer %00'\";--")),
    ("unknown", Some("Bearer dv_nobody_ever_made_this_key")),
    ("revoked", Some("Bearer dv_a_key_that_was_revoked")),
    ("expired", Some("Bearer dv_a_key_that_has_expired")),
];

/// Headers that are another's for each request.
const OF_THE_REQUEST: [&str; 1] = ["x-request-id"];
// The tests of the matrix set no limit, so no answer counts down.

/// An operation with its row.
struct Asked {
    id: String,
    method: String,
    /// Path, query and body, with the names of ids in braces.
    target: String,
    body: &'static str,
    json: bool,
    open: bool,
    scope: Option<String>,
}

type Ids = BTreeMap<&'static str, String>;

impl Asked {
    fn all() -> Vec<Self> {
        let document = server::openapi_document();
        let mut rows: BTreeMap<_, _> = ROWS.iter().map(|row| (row.0, row)).collect();
        let mut all = Vec::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                let id = text(&operation["operationId"]);
                let Row(_, query, body) =
                    rows.remove(id.as_str()).unwrap_or_else(|| panic!("{id} has no row in the matrix"));
                all.push(Self {
                    id,
                    method: method.to_uppercase(),
                    target: if query.is_empty() { path.clone() } else { format!("{path}?{query}") },
                    body,
                    json: operation.pointer("/requestBody/content/application~1json").is_some(),
                    open: operation["security"] == json!([]),
                    scope: operation["x-errand-scope"].as_str().map(str::to_owned),
                });
            }
        }
        assert!(rows.is_empty(), "rows without an operation: {:?}", rows.keys());
        all
    }

    /// The names of the ids it takes.
    fn positions(&self, ids: &Ids) -> Vec<&'static str> {
        let named = |name: &&&str| format!("{}{}", self.target, self.body).contains(&format!("{{{name}}}"));
        ids.keys().filter(named).copied().collect()
    }

    fn request(&self, authorization: Option<&str>, ids: &Ids) -> Request<Body> {
        let filled =
            |text: &str| ids.iter().fold(text.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), id));
        let mut request = Request::builder().method(self.method.as_str()).uri(filled(&self.target));
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let kind = if self.json { "application/json" } else { "application/octet-stream" };
        request.header("content-type", kind).body(Body::from(filled(self.body))).expect("a request")
    }
}

/// Everything of one team: something for each kind of id.
async fn team(house: &House, key: &str) -> Ids {
    let body = json!({"name": "A", "build": {"name": "v1", "config": config("Go.")}});
    let made = house.post_as(key, "/v1/agents", body).await.success(201);
    let agent = text(&made["agent"]["id"]);
    let started = house
        .post_as(key, "/v1/runs", json!({"agent_id": agent, "webhook_url": "https://example.com/hook"}))
        .await
        .success(201);
    let sandbox = text(&started["run"]["sandbox_id"]);
    house
        .post_bytes(key, &format!("/v1/sandboxes/{sandbox}/files?path=/workspace/a"), "text/csv", "1")
        .await
        .success(201);
    let asked = json!({"path": "/workspace/c"});
    let url = house.post_as(key, &format!("/v1/sandboxes/{sandbox}/upload-urls"), asked).await.success(200);
    let token = text(&url["upload_url"]).rsplit('/').next().expect("a token").to_owned();
    let pushed = house.post_bytes(key, "/v1/files?path=a", "text/csv", "1").await.success(201);
    let id = house.ambient.id(house.ambient.now());
    let request = HumanRequest::new(id, Kind::Approval, "Go on?");
    let mut claimed = house.claim().await;
    house.step(&mut claimed, vec![Event::PersonAsked { request }], Status::Waiting).await;
    BTreeMap::from([
        ("agent_id", agent),
        ("build_id", text(&made["build"]["id"])),
        ("run_id", text(&started["run"]["id"])),
        ("request_id", id.to_string()),
        ("sandbox_id", sandbox),
        ("upload_token", token),
        ("file_id", text(&pushed["file"]["id"])),
        ("letter_id", dead_letter(house, key).await),
    ])
}

/// The delivery of what the team's run asks, given up.
async fn dead_letter(house: &House, key: &str) -> String {
    house.give_up_deliveries().await;
    let listed = house.get_as(key, "/v1/webhooks/dead-letters").await.success(200);
    text(&listed["dead_letters"][0]["id"])
}

fn nobodys() -> Ids {
    let id = |last: u8| format!("0190a0c5-7e3f-7c1a-9d2b-0000000000{last:02x}");
    let names = ["agent_id", "build_id", "run_id", "request_id", "file_id"];
    let ids = names.into_iter().zip(1..).map(|(name, last)| (name, id(last)));
    ids.chain([("sandbox_id", format!("sbx_{:032x}", 7)), ("letter_id", format!("msg_{:032x}_7", 7))]).collect()
}

/// Asks, and gives all of the answer that may not depend on whose an id is.
async fn answer(house: &House, request: Request<Body>) -> (u16, HeaderMap, String) {
    let answer = tokio::time::timeout(Duration::from_secs(10), house.send(request)).await.expect("an answer that ends");
    let mut headers = answer.headers;
    for name in OF_THE_REQUEST {
        headers.remove(name);
    }
    (answer.status, headers, String::from_utf8_lossy(&answer.body).into_owned())
}

#[tokio::test]
async fn whoever_has_no_good_key_gets_nowhere() {
    let house = House::new().await;
    let ids = team(&house, KEY).await;
    let revoked = house.add_team(REVOKED).await;
    house.revoke(revoked, REVOKED).await;
    house.add_key(ApiKey { expires_at: Some(house.ambient.now()), ..house.new_key(EXPIRED) }).await;
    for asked in Asked::all() {
        let mut answers = BTreeSet::new();
        for (kind, key) in REFUSED {
            let (status, headers, body) = answer(&house, asked.request(key, &ids)).await;
            if asked.open {
                assert_eq!(status, 200, "{}, {kind}: {body}", asked.id);
                answers.insert(body);
            } else {
                assert_eq!(status, 401, "{}, {kind}: {body}", asked.id);
                assert_eq!(headers["www-authenticate"], "Bearer", "{}, {kind}", asked.id);
                assert!(body.starts_with(r#"{"error":"invalid_token","message":""#), "{}, {kind}: {body}", asked.id);
            }
        }
        assert!(answers.len() <= 1, "{} tells more to some", asked.id);
    }
    // And nothing came of it.
    assert_eq!(house.get("/v1/agents").await.success(200)["total"], 1);
    assert_eq!(house.get("/v1/runs").await.success(200)["total"], 1);
}

#[tokio::test]
async fn a_key_does_what_its_scope_says_and_nothing_else() {
    let house = House::new().await;
    for scope in Scope::ALL {
        let key = format!("dv_a_key_that_may_{}", scope.word());
        let scopes = scope.word().parse().expect("a scope");
        house.add_key(ApiKey { scopes, ..house.new_key(&key) }).await;
    }
    let ids = team(&house, KEY).await;
    for asked in Asked::all().iter().filter(|asked| !asked.open) {
        let needed = asked.scope.as_deref().expect("what it needs");
        for scope in Scope::ALL.map(Scope::word) {
            let request = asked.request(Some(&format!("Bearer dv_a_key_that_may_{scope}")), &ids);
            let response = house.router.clone().oneshot(request).await.expect("an answer");
            assert_eq!(response.status().as_u16() == 403, scope != needed, "{} with {scope}", asked.id);
        }
    }
}

#[tokio::test]
async fn another_teams_ids_are_those_of_nobody() {
    let house = House::new().await;
    let (foreign, own, unknown) = (team(&house, KEY).await, team(&house, OTHER_KEY).await, nobodys());
    let key = format!("Bearer {OTHER_KEY}");
    let mut held_apart = 0;
    for asked in Asked::all().iter().filter(|asked| !asked.open) {
        let positions = asked.positions(&own);
        // Each way to put at least one foreign id beside own ones, which would be found.
        for choice in 1..1_u32 << positions.len() {
            let with = |others: &Ids| {
                let mut ids = own.clone();
                for (at, name) in positions.iter().enumerate().filter(|(at, _)| choice & (1 << at) != 0) {
                    assert!(at < 32);
                    ids.insert(name, others[name].clone());
                }
                asked.request(Some(&key), &ids)
            };
            let (theirs, nobodys) = (answer(&house, with(&foreign)).await, answer(&house, with(&unknown)).await);
            assert_eq!(theirs, nobodys, "{} with {choice:b} of {positions:?}", asked.id);
            let wanted = if FINDERS.contains(&asked.id.as_str()) { 200 } else { 404 };
            assert_eq!(theirs.0, wanted, "{} with {choice:b} of {positions:?}: {}", asked.id, theirs.2);
            held_apart += 1;
        }
        if positions.is_empty() {
            let (_, _, body) = answer(&house, asked.request(Some(&key), &own)).await;
            for id in foreign.values() {
                assert!(!body.contains(id), "{} shows another team's {id}: {body}", asked.id);
            }
        }
    }
    assert!(held_apart >= 19, "{held_apart}");
}

/// Without this the test above could ask in ways that are refused for other reasons.
#[tokio::test]
async fn ones_own_ids_are_found() {
    let house = House::new().await;
    let own = team(&house, OTHER_KEY).await;
    // What takes something away comes after what looks for it.
    let (removing, others): (Vec<_>, Vec<_>) = Asked::all().into_iter().partition(|asked| asked.method == "DELETE");
    for asked in others.into_iter().chain(removing) {
        // Only the head of the answer: the stream of a run that waits has no end.
        let answer = house.router.clone().oneshot(asked.request(Some(&format!("Bearer {OTHER_KEY}")), &own)).await;
        let status = answer.expect("an answer").status().as_u16();
        // Some come too late for others: a run that was stopped takes no answer.
        let late = status == 400 && asked.id == "human_request.respond";
        assert!((200..300).contains(&status) || late, "{}: {status}", asked.id);
    }
}

/// The whole answer of a listing is compared, so it must have something to show.
#[tokio::test]
async fn what_finds_by_an_id_finds_ones_own() {
    let house = House::new().await;
    let own = team(&house, OTHER_KEY).await;
    for asked in Asked::all().iter().filter(|asked| FINDERS.contains(&asked.id.as_str())) {
        let (_, _, body) = answer(&house, asked.request(Some(&format!("Bearer {OTHER_KEY}")), &own)).await;
        let found: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(found["total"], 1, "{}", asked.id);
    }
}

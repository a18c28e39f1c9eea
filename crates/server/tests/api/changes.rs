//! What is true of every request that changes something: sent twice it is done once, and each leaves one row in the audit log.

use axum::body::Body;
use domain::Ambient;
use domain::audit::{BEGINNING, Entry};
use domain::human_requests::{HumanRequest, Kind};
use domain::runs::{Event, Status};
use serde_json::{Value, json};
use storage::StoreError;
use tower::ServiceExt;

use crate::house::{Answer, House, KEY, OTHER_KEY, config, request, text};

async fn once(house: &House, idempotency_key: &str, path: &str, body: &Value) -> Answer {
    once_as(house, KEY, idempotency_key, path, body).await
}

async fn once_as(house: &House, key: &str, idempotency_key: &str, path: &str, body: &Value) -> Answer {
    let request = request("POST", path, key).header("content-type", "application/json");
    let request = request.header("idempotency-key", idempotency_key);
    house.send(request.body(Body::from(body.to_string())).expect("a request")).await
}

fn is_replay(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == Some("true")
}

/// The first team's log, whose chain must hold.
async fn log(house: &House) -> Vec<Entry> {
    let team = house.team;
    let read = async |tx: &mut storage::Tx<'_>| storage::audit::page(tx, team, 0, 1_000).await;
    let log = house.app.db.read::<_, StoreError, _>(read).await.expect("the log");
    let mut last = (0, BEGINNING);
    for entry in &log {
        assert!(entry.follows(last), "{entry:?}");
        last = (entry.seq, entry.hash);
    }
    log
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_answered_the_same_and_done_once() {
    let mut house = House::new().await;
    // The config is changed to be served, which a header says.
    let mut odd = config("Go.");
    odd["data"]["plugins"] = Value::Null;
    let body = json!({"name": "A", "build": {"name": "b", "config": odd}});
    let first = once(&house, "k-1", "/v1/agents", &body).await;
    first.success(201);
    assert!(!is_replay(&first));
    house.restart(|_| {});
    let again = once(&house, "k-1", "/v1/agents", &body).await;
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert!(is_replay(&again));
    assert_eq!(again.header("x-errand-normalized"), first.header("x-errand-normalized"));
    assert_eq!(house.get("/v1/agents").await.success(200)["total"], 1);
    // Another body, another operation, another team, another day.
    once(&house, "k-1", "/v1/agents", &json!({"name": "B"})).await.refusal(422, "idempotency_key_reused");
    once(&house, "k-1", "/v1/sandboxes", &json!({})).await.success(201);
    assert!(!is_replay(&once_as(&house, OTHER_KEY, "k-1", "/v1/agents", &body).await));
    house.ambient.advance_ms(24 * 60 * 60 * 1000);
    assert!(!is_replay(&once(&house, "k-1", "/v1/agents", &body).await));
    assert_eq!(house.get("/v1/agents").await.success(200)["total"], 2);
}

#[tokio::test]
async fn a_request_without_a_body_is_the_same_however_its_ids_are_spelled_and_another_with_one() {
    let house = House::new().await;
    let run = house.run().await;
    let stop = format!("/v1/runs/{run}/stop");
    let first = once(&house, "k", &stop, &json!({})).await;
    first.success(200);
    assert!(is_replay(&once(&house, "k", &stop, &json!({})).await));
    let spelled = format!("/v1/runs/{}/stop", run.to_uppercase().replace('0', "%30"));
    let again = once(&house, "k", &spelled, &json!({})).await;
    assert_eq!((is_replay(&again), &again.body), (true, &first.body));
    once(&house, "k", &stop, &json!({"now": true})).await.refusal(422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_refused_request_may_be_mended_under_its_key() {
    let house = House::new().await;
    once(&house, "k", "/v1/agents", &json!({"name": ""})).await.refusal(400, "invalid_request");
    assert!(!is_replay(&once(&house, "k", "/v1/agents", &json!({"name": "A"})).await));
    let long = "k".repeat(256);
    for key in ["", long.as_str()] {
        once(&house, key, "/v1/agents", &json!({"name": "A"})).await.refusal(400, "invalid_request");
    }
}

#[tokio::test]
async fn many_equal_requests_at_once_are_done_once() {
    let house = House::new().await;
    let (agent, _) = house.agent().await;
    let body = json!({"agent_id": agent, "message": "Hi"});
    let asked = (0..50).map(|_| once(&house, "k", "/v1/runs", &body));
    let answers = futures_util::future::join_all(asked).await;
    let done: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert!(!done.is_empty());
    assert!(done.iter().all(|answer| answer.body == done[0].body));
    for busy in answers.iter().filter(|answer| answer.status != 201) {
        busy.refusal(409, "idempotency_key_in_use");
        assert_eq!(busy.header("retry-after"), Some("1"));
    }
    assert_eq!(house.get("/v1/runs").await.success(200)["total"], 1);
}

#[tokio::test]
async fn a_form_is_the_same_request_whatever_its_boundary() {
    let house = House::new().await;
    let sandbox = text(&house.post("/v1/sandboxes", json!({})).await.success(201)["sandbox_id"]);
    let path = format!("/v1/sandboxes/{sandbox}/files");
    let send = async |boundary: &str, content: &str| {
        let body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n{content}\r\n--{boundary}--\r\n"
        );
        let request = request("POST", &path, KEY).header("idempotency-key", "k");
        let request = request.header("content-type", format!("multipart/form-data; boundary={boundary}"));
        house.send(request.body(Body::from(body)).expect("a request")).await
    };
    let first = send("one", "x").await;
    first.success(201);
    let again = send("two", "x").await;
    assert_eq!(again.body, first.body);
    assert!(is_replay(&again));
    send("three", "y").await.refusal(422, "idempotency_key_reused");
    assert_eq!(house.get(&format!("{path}/content?path=a.txt")).await.body, "x");
}

#[tokio::test]
async fn every_change_leaves_one_row_and_nothing_else_does() {
    let house = House::new().await;
    let (agent, build) = house.agent().await;
    let config = config("Go.");
    let second = house.post("/v1/builds", json!({"agent_id": agent, "name": "2", "config": config})).await.success(201);
    let run = text(&house.post("/v1/runs", json!({"agent_id": agent})).await.success(201)["run"]["id"]);
    let message = house.post(&format!("/v1/runs/{run}/messages"), json!({"message": "Hi"})).await.success(201);
    let mut claimed = house.claim().await;
    let asked = house.ambient.id(house.ambient.now());
    let request = HumanRequest::new(asked, Kind::Approval, "May I?");
    let events = vec![Event::PersonAsked { request }];
    house.step(&mut claimed, events, Status::Waiting).await;
    let respond = format!("/v1/runs/{run}/human-requests/{asked}/respond");
    let answered = once(&house, "k", &respond, &json!({"approved": true})).await;
    answered.success(200);
    assert!(is_replay(&once(&house, "k", &respond, &json!({"approved": true})).await));
    house.post(&respond, json!({"approved": false})).await.refusal(400, "request_already_answered");
    house.post(&format!("/v1/runs/{run}/stop"), json!({})).await.success(200);
    let sandbox = text(&house.post("/v1/sandboxes", json!({})).await.success(201)["sandbox_id"]);
    house.post(&format!("/v1/sandboxes/{sandbox}/files?path=a"), json!({})).await.success(201);
    house.post("/v1/agents", json!({"name": ""})).await.refusal(400, "invalid_request");
    house.get(&format!("/v1/runs/{run}")).await.success(200);

    let log = log(&house).await;
    let rows: Vec<_> = log.iter().map(|entry| (entry.what.as_str(), entry.object.clone())).collect();
    assert_eq!(
        rows,
        [
            ("agent.create", agent),
            ("build.create", text(&second["build"]["id"])),
            ("run.start", run.clone()),
            ("message.post", text(&message["message"]["id"])),
            ("human_request.respond", asked.to_string()),
            ("run.stop", run),
            ("sandbox.create", sandbox.clone()),
            ("sandbox.upload", format!("{sandbox}/workspace/a")),
        ]
    );
    assert!(log.iter().all(|entry| entry.who.starts_with("key:") && entry.after.is_some()));
    assert_eq!(log[4].after, Some(domain::audit::hash(&answered.body)));
    assert_eq!(log[4].request_id.as_deref(), answered.header("x-request-id"));
    let was: Vec<_> = log.iter().map(|entry| entry.before.is_some()).collect();
    assert_eq!(was, [false, false, false, false, true, true, false, false]);
    assert_ne!(build, text(&second["build"]["id"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_uploads_at_once_with_one_key_only_the_one_that_is_told_so_is_there() {
    let house = House::new().await;
    let sandbox = text(&house.post("/v1/sandboxes", json!({})).await.success(201)["sandbox_id"]);
    let path = format!("/v1/sandboxes/{sandbox}/files");
    for round in 0..20 {
        let sends = (1..=4_usize).map(|size| {
            let asked = request("POST", &format!("{path}?path=a"), KEY).header("idempotency-key", format!("k{round}"));
            let asked = asked.body(Body::from("x".repeat(size * 10_000))).expect("a request");
            let router = house.router.clone();
            tokio::spawn(async move { (size, router.oneshot(asked).await.expect("an answer").status().as_u16()) })
        });
        let told = futures_util::future::join_all(sends).await;
        let told: Vec<_> = told.into_iter().map(|sent| sent.expect("an answer")).collect();
        let done: Vec<_> = told.iter().filter(|(_, status)| *status == 201).map(|(size, _)| size * 10_000).collect();
        let listed = house.get(&path).await.success(200);
        assert_eq!(json!([listed["files"][0]["size_bytes"]]), json!(done), "{told:?}");
        assert!(told.iter().all(|(_, status)| matches!(status, 201 | 409 | 422)), "{told:?}");
    }
}

//! Webhooks on their way out: what is sent, how it is signed, and what becomes of receivers that do not take it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::Ambient;
use domain::human_requests::{HumanRequest, Kind};
use domain::runs::{Cause, Event, Status};
use domain::webhooks::{ID, SIGNATURE, Secret, TIMESTAMP, sign};
use serde_json::{Value, json};
use server::{Deliveries, Delivering};
use storage::{StoreError, Tx, webhooks};
use testkit::hook::{Conduct, Hook, Received};
use testkit::schemas::Contract;
use uuid::Uuid;

use crate::house::{House, OTHER_KEY, text};

const SERVER_KEY: [u8; 32] = [9; 32];

pub(crate) fn deliver(house: &House) -> Delivering {
    Deliveries {
        db: house.app.db.clone(),
        bell: house.app.bell.clone(),
        ambient: house.ambient.clone(),
        client: house.app.egress.clone(),
        key: SERVER_KEY,
        meters: server::Meters::default(),
    }
    .start()
}

/// A run that calls back there.
async fn run(house: &House, url: &str) -> String {
    let (agent, _) = house.agent().await;
    let started = house.post("/v1/runs", json!({"agent_id": agent, "webhook_url": url})).await;
    assert_eq!(started.header("x-errand-warning"), None);
    text(&started.success(201)["run"]["id"])
}

/// Such a run, failed at once.
pub(crate) async fn failed(house: &House, url: &str) -> String {
    let run = run(house, url).await;
    let mut claimed = house.claim().await;
    let cause = Cause { code: "c".into(), message: "m".into() };
    house.step(&mut claimed, vec![Event::Failed { cause }], Status::Failed).await;
    house.app.bell.ring_outbox();
    run
}

/// Lets the pause before the next try go by.
fn later(house: &House, ms: u64) {
    house.ambient.advance_ms(ms);
    house.app.bell.ring_outbox();
}

async fn dead(house: &House) -> Vec<webhooks::Dead> {
    let team = house.team;
    let read = async |tx: &mut Tx<'_>| webhooks::dead(tx, team, 100, 0).await;
    house.app.db.read::<_, StoreError, _>(read).await.expect("the dead").0
}

async fn until_dead(house: &House, count: usize) -> Vec<webhooks::Dead> {
    for _ in 0..2_000 {
        let dead = dead(house).await;
        if dead.len() >= count {
            return dead;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{count} were not given up");
}

pub(crate) fn body(received: &Received) -> Value {
    serde_json::from_slice(&received.body).expect("JSON")
}

#[tokio::test]
async fn the_next_try_is_made_as_soon_as_it_is_due() {
    let house = House::new().await;
    let hook = Hook::start(|_, number| if number == 1 { Conduct::Status(500) } else { Conduct::Ok }).expect("a hook");
    let delivering = deliver(&house);
    failed(&house, &hook.url("/")).await;
    hook.until("/", 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Nobody rings; five seconds and a fifth is the longest of the first pauses.
    let began = std::time::Instant::now();
    house.ambient.advance_ms(6_000);
    hook.until("/", 2).await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    drop(delivering);
}

#[tokio::test]
async fn what_happens_to_a_run_is_sent_signed() {
    let house = House::new().await;
    let hook = Hook::start(|_, _| Conduct::Ok).expect("a hook");
    let delivering = deliver(&house);
    let id = run(&house, &hook.url("/a?token=1")).await;
    let mut claimed = house.claim().await;
    let asked = Uuid::from_u128(7);
    let request =
        HumanRequest { description: Some("Really?".into()), ..HumanRequest::new(asked, Kind::Approval, "May I?") };
    let at = house.app.ambient.now().to_string();
    house.step(&mut claimed, vec![Event::PersonAsked { request }], Status::Waiting).await;
    house.app.bell.ring_outbox();
    let first = hook.until("/a?token=1", 1).await.remove(0);
    let run_now = house.get(&format!("/v1/runs/{id}")).await.success(200);
    assert_eq!(
        body(&first),
        json!({
            "event": "human_request", "run_id": id, "status": "waiting", "agent_id": run_now["run"]["agent_id"],
            "build_id": run_now["run"]["build_id"], "timestamp": at, "seq": 3,
            "human_request": run_now["pending_human_request"]
        })
    );
    assert_eq!(first.id, format!("msg_{}_3", id.replace('-', "")));
    let seconds: i64 = first.timestamp.parse().expect("seconds");
    assert_eq!(seconds, house.app.ambient.now().0 / 1000);
    let secret = |generation| Secret::derive(&SERVER_KEY, house.team, generation);
    assert_eq!(first.signature, sign(&[secret(1)], &first.id, seconds, &first.body));

    // A new secret, and the old one beside it for an hour.
    let (team, until) = (house.team, house.app.ambient.now().plus_ms(3_600_000));
    let rotate = async move |tx: &mut Tx<'_>| webhooks::rotate(tx, team, until).await;
    house.app.db.write::<_, StoreError, _>(rotate).await.expect("a new secret");
    failed(&house, &hook.url("/b")).await;
    let second = hook.until("/b", 1).await.remove(0);
    assert_eq!(body(&second)["event"], "run_failed");
    assert_eq!(body(&second)["human_request"], Value::Null);
    assert_eq!(second.signature, sign(&[secret(2), secret(1)], &second.id, seconds, &second.body));
    house.ambient.advance_ms(3_600_000);
    failed(&house, &hook.url("/c")).await;
    let third = hook.until("/c", 1).await.remove(0);
    let seconds: i64 = third.timestamp.parse().expect("seconds");
    assert_eq!(third.signature, sign(&[secret(2)], &third.id, seconds, &third.body));
    delivering.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn what_is_sent_is_what_the_document_says() {
    let document = server::openapi_document();
    let told = document["webhooks"].as_object().expect("webhooks");
    // As paths of a document of its own, since the judge knows no other requests. Its answers are ours to give.
    let mut paths = server::older_openapi_document()["x-webhooks"].clone();
    for (_, webhook) in paths.as_object_mut().expect("webhooks") {
        webhook["post"]["responses"] = json!({});
    }
    let judge = json!({"paths": paths, "components": server::older_openapi_document()["components"]});
    let judge = Contract::of(judge).expect("a document that can be judged by");

    let house = House::new().await;
    let hook = Hook::start(|_, _| Conduct::Ok).expect("a hook");
    let delivering = deliver(&house);
    let request = HumanRequest {
        id: Uuid::from_u128(7),
        kind: Kind::Question,
        title: "Which?".into(),
        description: None,
        questions: vec![],
        call: None,
        expires_at: None,
    };
    let mut sent = BTreeSet::new();
    for (path, event, status) in [
        ("/asked", Event::PersonAsked { request }, Status::Waiting),
        ("/completed", Event::Completed { result: None }, Status::Completed),
        ("/failed", Event::Failed { cause: Cause { code: "c".into(), message: "m".into() } }, Status::Failed),
        ("/interrupted", Event::Interrupted { by: "stop_request".into() }, Status::Interrupted),
    ] {
        run(&house, &hook.url(path)).await;
        let mut claimed = house.claim().await;
        house.step(&mut claimed, vec![event], status).await;
        house.app.bell.ring_outbox();
        let body = body(&hook.until(path, 1).await.remove(0));
        let name = text(&body["event"]);
        let webhook = &told[&name]["post"];
        judge.check_request("POST", &name, &body).expect("a documented body");
        let schema = &webhook["requestBody"]["content"]["application/json"]["schema"];
        for (field, narrowed) in schema["properties"].as_object().expect("what is its own") {
            assert_eq!(body[field], narrowed["const"], "{name}: {field}");
        }
        assert_eq!(schema["required"] == json!(["human_request"]), body["human_request"].is_object(), "{name}");
        sent.insert(name);
    }
    assert_eq!(sent, told.keys().cloned().collect(), "each event is sent, and no other");
    for (name, webhook) in told {
        judge
            .check_request("POST", name, &webhook["post"]["requestBody"]["content"]["application/json"]["example"])
            .expect(name);
        let headers = webhook["post"]["parameters"].as_array().expect("headers").iter();
        let names: Vec<_> = headers.map(|header| (text(&header["in"]), text(&header["name"]))).collect();
        let sent = [ID, TIMESTAMP, SIGNATURE].map(|name| ("header".to_owned(), name.to_owned()));
        assert_eq!(names, sent, "{name}");
        let answers: Vec<_> = webhook["post"]["responses"].as_object().expect("answers").keys().collect();
        assert_eq!(answers, ["2XX", "410", "default"], "{name}");
    }
    delivering.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_try_that_fails_is_made_again_with_the_same_bytes() {
    let house = House::new().await;
    let elsewhere = Hook::start(|_, _| Conduct::Ok).expect("a hook");
    let there = elsewhere.url("/");
    let hook = Hook::start(move |_, times| match times {
        1 => Conduct::Status(500),
        2 => Conduct::Redirect(there.clone()),
        3 => Conduct::Huge(1_000_000),
        _ => Conduct::Ok,
    })
    .expect("a hook");
    let delivering = deliver(&house);
    failed(&house, &hook.url("/")).await;
    for (count, pause) in [(1, 6_000), (2, 36_000), (3, 144_000)] {
        hook.until("/", count).await;
        // What came of it is written down a moment later; only then there is a pause to go by.
        tokio::time::sleep(Duration::from_millis(300)).await;
        later(&house, pause / 2);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(hook.received().len(), count, "too early");
        later(&house, pause);
    }
    // The third was an answer of 200, however large.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let received = hook.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|each| each.body == received[0].body && each.id == received[0].id));
    assert_ne!(received[0].timestamp, received[2].timestamp);
    assert!(elsewhere.received().is_empty());
    assert!(dead(&house).await.is_empty());
    delivering.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_gets_nothing_more_until_it_is_asked_for() {
    let house = House::new().await;
    let back = Arc::new(AtomicBool::new(false));
    let is_back = Arc::clone(&back);
    let hook = Hook::start(move |_, _| if is_back.load(Ordering::SeqCst) { Conduct::Ok } else { Conduct::Status(410) })
        .expect("a hook");
    let delivering = deliver(&house);
    failed(&house, &hook.url("/")).await;
    until_dead(&house, 1).await;
    failed(&house, &hook.url("/")).await;
    let dead = until_dead(&house, 2).await;
    assert_eq!(hook.received().len(), 1, "one answer of 410 is enough");
    assert!(dead[0].outcome.contains("410") && dead[1].outcome.contains("410"), "{dead:?}");

    let listed = house.get("/v1/webhooks/dead-letters").await.success(200);
    assert_eq!((&listed["total"], text(&listed["dead_letters"][0]["id"])), (&json!(2), dead[0].id.to_string()));
    assert_eq!(house.get_as(OTHER_KEY, "/v1/webhooks/dead-letters").await.success(200)["total"], 0);
    let replay = format!("/v1/webhooks/dead-letters/{}/replay", dead[0].id);
    house.post_as(OTHER_KEY, &replay, json!({})).await.refusal(404, "not_found");
    back.store(true, Ordering::SeqCst);
    house.post(&replay, json!({})).await.success(200);
    hook.until("/", 2).await;
    house.post(&replay, json!({})).await.refusal(404, "not_found");
    house.post("/v1/webhooks/dead-letters/x/replay", json!({})).await.refusal(404, "not_found");
    failed(&house, &hook.url("/")).await;
    hook.until("/", 3).await;
    delivering.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn what_may_never_be_called_is_said_at_once_and_given_up() {
    let house = House::new().await;
    let (agent, _) = house.agent().await;
    let delivering = deliver(&house);
    for url in ["ftp://example.com/", "example.com", "http://", ""] {
        let told = house.post("/v1/runs", json!({"agent_id": agent, "webhook_url": url})).await;
        assert!(told.refusal(400, "invalid_request").contains("/webhook_url"), "{url}");
    }
    for url in ["https://me:secret@example.com/hook", "https://secret@example.com/", "https://:secret@example.com"] {
        let told = house.post("/v1/runs", json!({"agent_id": agent, "webhook_url": url})).await;
        let told = told.refusal(400, "invalid_request");
        assert!(told.contains("/webhook_url") && told.contains("password") && !told.contains("secret"), "{told}");
    }
    let url = "https://example.com./hook?token=secret";
    let started = house.post("/v1/runs", json!({"agent_id": agent, "webhook_url": url})).await;
    let warning = started.header("x-errand-warning").expect("a warning").to_owned();
    assert!(warning.starts_with("webhook_url: ") && !warning.contains("secret"), "{warning}");
    let mut claimed = house.claim().await;
    house.step(&mut claimed, vec![Event::Completed { result: None }], Status::Completed).await;
    house.app.bell.ring_outbox();
    let dead = until_dead(&house, 1).await;
    assert!(dead[0].outcome.starts_with("invalid_url: "), "{dead:?}");
    // Addresses in place of names, however they are written. Those that the operator opened are no such.
    for (number, host) in
        (2..).zip(["10.0.0.1", "[::ffff:10.0.0.1]", "169.254.169.254", "0xa000001", "[::1]", "1.1.1.1"])
    {
        let url = format!("https://{host}/hook");
        let started = house.post("/v1/runs", json!({"agent_id": agent, "webhook_url": url})).await;
        assert!(started.header("x-errand-warning").is_some_and(|text| text.contains("blocked")), "{host}");
        let mut claimed = house.claim().await;
        house.step(&mut claimed, vec![Event::Completed { result: None }], Status::Completed).await;
        house.app.bell.ring_outbox();
        let dead = until_dead(&house, number).await;
        assert!(dead[0].outcome.starts_with("blocked_address: ") && dead[0].tries == 1, "{dead:?}");
    }
    delivering.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_server_that_dies_with_a_delivery_leaves_it_to_the_next() {
    let house = House::new().await;
    let hook = Hook::start(|_, times| if times == 1 { Conduct::Hang } else { Conduct::Ok }).expect("a hook");
    let delivering = deliver(&house);
    failed(&house, &hook.url("/")).await;
    hook.until("/", 1).await;
    drop(delivering);
    house.ambient.advance_ms(20_000);
    let delivering = deliver(&house);
    let received = hook.until("/", 2).await;
    assert_eq!((&received[0].id, &received[0].body), (&received[1].id, &received[1].body));
    delivering.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn the_patience_that_a_receiver_asks_for_is_kept_to() {
    let house = House::new().await;
    let hook = Hook::start(|_, times| if times == 1 { Conduct::Later(100) } else { Conduct::Ok }).expect("a hook");
    let delivering = deliver(&house);
    failed(&house, &hook.url("/")).await;
    hook.until("/", 1).await;
    // What came of it is written down a moment later.
    tokio::time::sleep(Duration::from_millis(300)).await;
    later(&house, 90_000);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(hook.received().len(), 1, "too early");
    later(&house, 11_000);
    hook.until("/", 2).await;
    delivering.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn what_is_settled_is_forgotten_after_thirty_days_and_what_is_due_is_not() {
    const DAYS_MS: u64 = 30 * 24 * 60 * 60 * 1000;
    let cluster = testkit::postgres::Cluster::start().expect("a PostgreSQL");
    for house in [House::new().await, House::on_postgres(&cluster).await] {
        let hook = Hook::start(|path, _| match path {
            "/gone" => Conduct::Status(410),
            "/ok" => Conduct::Ok,
            _ => Conduct::Status(500),
        });
        let hook = hook.expect("a hook");
        let delivering = deliver(&house);
        for path in ["/gone", "/ok", "/later"] {
            failed(&house, &hook.url(path)).await;
            hook.until(path, 1).await;
        }
        assert_eq!(until_dead(&house, 1).await.len(), 1);
        delivering.drain(Duration::from_secs(5)).await;
        let sweep = async || {
            let now = house.ambient.now();
            let sweep = async move |tx: &mut Tx<'_>| webhooks::sweep(tx, now, 100).await;
            house.app.db.write::<_, StoreError, _>(sweep).await.expect("a sweep")
        };
        house.ambient.advance_ms(DAYS_MS - 60_000);
        assert_eq!((sweep().await, dead(&house).await.len()), (0, 1), "not yet");
        house.ambient.advance_ms(120_000);
        assert_eq!((sweep().await, dead(&house).await.len()), (2, 0), "the dead one and the delivered one");
        assert_eq!(sweep().await, 0, "what is due stays, however old");
    }
}

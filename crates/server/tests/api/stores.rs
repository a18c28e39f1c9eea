//! Both databases answer alike, also to what nobody should send: the same status and the same words, and never a 5xx.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use serde_json::{Value, json};
use testkit::postgres::Cluster;

use crate::house::{House, KEY, NOBODY, config, request, text};

/// What is asked of both: method, path, body.
type Asked = (&'static str, String, Option<Vec<u8>>);

/// Texts that some layer beneath might not like.
const ODD: [&str; 14] = [
    "%00",
    "a%00b",
    "%F0%9F%A6%80",
    "%ED%A0%80",
    "%FF",
    "%25%5F%21",
    "%27%3B--",
    "%22",
    "%5C",
    "%7F",
    "%EF%BF%BF",
    "%E2%80%AE",
    "..%2F..",
    "%0A",
];

/// Bodies that two readers could take for two things, or that no database could keep.
const NO_JSON: [&[u8]; 12] = [
    br#"{"name":"\ud800"}"#,
    br#"{"name":"\udc00\ud800"}"#,
    br#"{"name":"\u0000"}"#,
    b"{\"name\":\"\xff\"}",
    br#"{"name":"a","name":"b"}"#,
    br#"{"name":1e999}"#,
    br#"{"name":NaN}"#,
    b"\xef\xbb\xbf{\"name\":\"a\"}",
    b"",
    b"null",
    b"[]",
    b"{\"name\":\"a\"}{}",
];

fn everything(agent: &str, build: &str, run: &str, sandbox: &str) -> Vec<Asked> {
    let mut all: Vec<Asked> = Vec::new();
    let mut get = |path: String| all.push(("GET", path, None));
    for odd in ODD {
        for path in [
            format!("/v1/runs?search={odd}"),
            format!("/v1/runs?source={odd}"),
            format!("/v1/runs?since={odd}"),
            format!("/v1/runs?agent_id={odd}"),
            format!("/v1/runs?{odd}=1"),
            format!("/v1/agents/{odd}"),
            format!("/v1/agents/{odd}/builds"),
            format!("/v1/builds/{odd}"),
            format!("/v1/runs/{odd}"),
            format!("/v1/runs/{odd}/messages"),
            format!("/v1/runs/{run}/events?after={odd}"),
            format!("/v1/sandboxes/{odd}/files"),
            format!("/v1/sandboxes/{odd}/files/content?path=a"),
            format!("/v1/sandboxes/{sandbox}/files?path={odd}"),
            format!("/v1/sandboxes/{sandbox}/files/content?path={odd}"),
        ] {
            get(path);
        }
    }
    for number in ["0", "-1", "1e3", "9007199254740991", "9007199254740992", "18446744073709551616", "NaN", "%00", "١"]
    {
        get(format!("/v1/agents?limit={number}"));
        get(format!("/v1/runs?offset={number}"));
        get(format!("/v1/agents/{agent}/builds?offset={number}"));
        get(format!("/v1/runs/{run}/messages?offset={number}"));
        get(format!("/v1/runs/{run}/events?after={number}0"));
    }
    for search in ["x".repeat(1_000), "!".repeat(1_000), "x".repeat(1_001), "%21".repeat(20_000)] {
        get(format!("/v1/runs?search={search}"));
    }
    for since in ["2026-11-23T14:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "+275760-09-13T00:00:00Z"]
    {
        get(format!("/v1/runs?since={}", since.replace('+', "%2B")));
    }
    get(format!("/v1/builds/{build}?x"));
    let texts =
        ["\0", "a\0b", "\u{fffd}", "\u{202e}", "🦀", "'; DROP TABLE runs; --", "\u{7f}", "\\u0000", &"é".repeat(900)];
    for odd in texts {
        for (path, body) in [
            ("/v1/agents".to_owned(), json!({ "name": odd })),
            ("/v1/agents".to_owned(), json!({ "name": "A", "build": { "name": odd, "config": config(odd) } })),
            ("/v1/builds".to_owned(), json!({ "agent_id": agent, "name": odd, "config": config(odd) })),
            ("/v1/builds".to_owned(), json!({ "agent_id": odd, "name": "b", "config": config("x") })),
            ("/v1/runs".to_owned(), json!({ "agent_id": agent, "message": odd })),
            ("/v1/runs".to_owned(), json!({ "agent_id": agent, "sandbox_id": odd })),
            ("/v1/runs".to_owned(), json!({ "agent_id": agent, "webhook_url": odd })),
            (format!("/v1/runs/{run}/messages"), json!({ "message": odd })),
            (format!("/v1/runs/{run}/human-requests/{NOBODY}/respond"), json!({ "answers": { odd: odd } })),
        ] {
            all.push(("POST", path, Some(body.to_string().into_bytes())));
        }
    }
    for raw in NO_JSON {
        all.push(("POST", "/v1/agents".to_owned(), Some(raw.to_vec())));
    }
    let deep = format!("{{\"name\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    all.push(("POST", "/v1/agents".to_owned(), Some(deep.into_bytes())));
    all
}

/// What an answer says, without what is new in each: ids, times, names of events.
async fn answered(house: &House, (method, path, body): &Asked) -> (u16, Value) {
    let asked = request(method, path, KEY).header("content-type", "application/json");
    let Ok(asked) = asked.body(Body::from(body.clone().unwrap_or_default())) else {
        return (0, Value::Null); // no client can send that
    };
    if path.contains("/events?") {
        // A stream has no end; what is refused has.
        let status = tower::ServiceExt::oneshot(house.router.clone(), asked).await.expect("an answer").status();
        return (status.as_u16(), Value::Null);
    }
    let answer = house.send(asked).await;
    if answer.status < 400 {
        let shown: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        return (
            answer.status,
            json!({ "total": shown["total"], "keys": shown.as_object().map(|all| all.keys().cloned().collect::<Vec<_>>()) }),
        );
    }
    (answer.status, answer.json())
}

#[tokio::test]
async fn both_databases_answer_alike_to_anything() {
    let cluster = Cluster::start().expect("a PostgreSQL");
    let houses = [House::new().await, House::on_postgres(&cluster).await];
    let mut all = Vec::new();
    for house in &houses {
        let (agent, build) = house.agent().await;
        let run = house.post("/v1/runs", json!({"agent_id": agent})).await.success(201);
        let (run, sandbox) = (text(&run["run"]["id"]), text(&run["run"]["sandbox_id"]));
        let mut answers = Vec::new();
        for asked in everything(&agent, &build, &run, &sandbox) {
            let answer = answered(house, &asked).await;
            assert!(answer.0 < 500, "{} {}: {answer:?}", asked.0, asked.1);
            if asked.2.as_deref().is_some_and(|body| NO_JSON.contains(&body)) {
                assert_eq!((answer.0, &answer.1["error"]), (400, &json!("invalid_request")), "{:?}", asked.2);
            }
            answers.push((
                asked.0,
                asked.1.replace(&run, "RUN").replace(&agent, "AGENT").replace(&sandbox, "SANDBOX"),
                answer,
            ));
        }
        all.push(answers);
    }
    assert!(all[0].len() > 300, "{}", all[0].len());
    for (sqlite, postgres) in all[0].iter().zip(&all[1]) {
        assert_eq!(sqlite, postgres);
    }
}

/// Whoever claims a run takes its work first and then its row. What people do to it at that moment waits for the first with the second still free,
/// or the two would wait in a circle until PostgreSQL ends one of them.
#[tokio::test]
async fn what_people_do_to_a_run_waits_for_its_claim_and_never_in_a_circle() {
    let cluster = Arc::new(Cluster::start().expect("a PostgreSQL"));
    let house = House::on_postgres(&cluster).await;
    let run = house.run().await;
    for (what, body, status) in
        [("messages", json!({ "message": "Leave out the drafts." }), 201), ("stop", json!({}), 200)]
    {
        let claim = format!(
            "BEGIN; UPDATE work SET due_at = due_at WHERE run_id = '{run}'; SELECT pg_sleep(0.5); \
             UPDATE runs SET updated_at = updated_at WHERE id = '{run}'; COMMIT"
        );
        let claiming = tokio::task::spawn_blocking({
            let cluster = Arc::clone(&cluster);
            move || cluster.psql("errand", &claim)
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        house.post(&format!("/v1/runs/{run}/{what}"), body).await.success(status);
        claiming.await.expect("a task").expect("a claim");
    }
}

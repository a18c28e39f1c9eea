//! Runs and their transcripts: starting, listing, talking, stopping.

use std::time::Duration;

use domain::runs::{Cause, Event, Status};
use domain::turns::{Outcome, Replay, Reply, Stop, ToolCall, Usage};
use serde_json::{Value, json};
use storage::StoreError;

use crate::house::{House, NOBODY, text};

#[tokio::test]
async fn a_start_answers_at_once_and_shows_its_sandbox() {
    let house = House::new().await;
    let (agent, build) = house.agent().await;
    let run = house.post("/v1/runs", json!({"agent_id": agent})).await.success(201)["run"].clone();
    assert_eq!(
        (&run["status"], &run["build_id"], &run["source"], &run["started_at"], &run["completed_at"]),
        (&json!("pending"), &json!(build), &json!("api"), &Value::Null, &Value::Null)
    );
    assert_eq!(run["human_in_the_loop_enabled"], true);
    let sandbox = text(&run["sandbox_id"]);
    assert!(sandbox.starts_with("sbx_") && sandbox.len() == 36, "{sandbox}");
    house.get(&format!("/v1/sandboxes/{sandbox}/files")).await.success(200);
    let read = house.get(&format!("/v1/runs/{}", text(&run["id"]))).await.success(200);
    assert_eq!(read, json!({"run": run}));

    // It stays on its Build when a newer one comes.
    let body = json!({"agent_id": agent, "name": "v2", "config": crate::house::config("Other.")});
    house.post("/v1/builds", body).await.success(201);
    assert_eq!(house.get(&format!("/v1/runs/{}", text(&run["id"]))).await.json()["run"]["build_id"], json!(build));
}

#[tokio::test]
async fn a_start_rings_for_a_worker() {
    let house = House::new().await;
    house.run().await;
    house.app.bell.work().await;
    house.claim().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_takes_no_ring_with_it() {
    let house = House::new().await;
    let run = format!("/v1/runs/{}", house.run().await);
    house.app.bell.work().await;
    for (path, body) in [(format!("{run}/messages"), json!({"message": "Go on"})), (format!("{run}/stop"), json!({}))] {
        let mut post = Box::pin(house.post(&path, body));
        // The write has been asked for and is under way when the request is dropped.
        assert!(futures_util::poll!(&mut post).is_pending(), "{path}");
        drop(post);
        let rung = tokio::time::timeout(Duration::from_secs(5), house.app.bell.work()).await;
        assert!(rung.is_ok(), "{path}");
    }
    let waiting = house.app.db.read::<_, StoreError, _>(async |tx| {
        storage::runs::inbox(tx, run.strip_prefix("/v1/runs/").expect("an id").parse().expect("an id"), 0).await
    });
    assert_eq!(waiting.await.expect("an inbox").len(), 2);
}

#[tokio::test]
async fn what_a_start_refuses() {
    let house = House::new().await;
    let (agent, _) = house.agent().await;
    let bare = text(&house.post("/v1/agents", json!({"name": "B"})).await.success(201)["agent"]["id"]);
    house.post("/v1/runs", json!({"agent_id": bare})).await.refusal(400, "agent_has_no_build");
    house.post("/v1/runs", json!({"agent_id": NOBODY})).await.refusal(404, "not_found");
    house.post("/v1/runs", json!({"agent_id": agent, "sandbox_id": "sbx_0"})).await.refusal(404, "not_found");
    let wrong = ["", "hook", "/hook", "ftp://h/x", "https://", "http:///x", "https://h/ x", "javascript:alert(1)"];
    for url in wrong {
        let message = house.post("/v1/runs", json!({"agent_id": agent, "webhook_url": url})).await;
        assert!(message.refusal(400, "invalid_request").starts_with("/webhook_url"), "{url}");
    }
    for url in ["http://localhost:9/hook", "https://h.example/a?b=c"] {
        house.post("/v1/runs", json!({"agent_id": agent, "webhook_url": url})).await.success(201);
    }
    assert_eq!(house.get("/v1/runs").await.success(200)["total"], 2);
}

#[tokio::test]
async fn a_sandbox_lives_for_a_day_or_as_long_as_a_run_names_it() {
    let house = House::new().await;
    let (agent, _) = house.agent().await;
    let mut bodies = Vec::new();
    for _ in 0..2 {
        let sandbox = text(&house.post("/v1/sandboxes", json!({})).await.success(201)["sandbox_id"]);
        bodies.push(json!({"agent_id": agent, "sandbox_id": sandbox}));
    }
    let [used, unused] = bodies.try_into().expect("two");
    let run = house.post("/v1/runs", used.clone()).await.success(201);
    assert_eq!(run["run"]["sandbox_id"], used["sandbox_id"]);
    house.ambient.advance_ms(domain::sandboxes::LIFETIME_MS);
    let files = |of: &Value| format!("/v1/sandboxes/{}/files", text(&of["sandbox_id"]));
    house.get(&files(&used)).await.success(200);
    house.post_bytes(crate::house::KEY, &format!("{}?path=a", files(&used)), "text/csv", "a").await.success(201);
    house.post("/v1/runs", used.clone()).await.success(201);
    house.get_as(crate::house::OTHER_KEY, &files(&used)).await.refusal(404, "not_found");
    house.get(&files(&unused)).await.refusal(404, "not_found");
    house.post("/v1/runs", unused).await.refusal(404, "not_found");
}

#[tokio::test]
async fn a_title_is_the_first_line_of_the_message_or_the_agents_name() {
    let house = House::new().await;
    let (agent, _) = house.agent().await;
    for message in [Some("\n  Sort these \nplease"), Some(""), None, Some(&*"ä".repeat(200))] {
        let mut body = json!({"agent_id": agent});
        message.inspect(|text| body["message"] = json!(text));
        house.post("/v1/runs", body).await.success(201);
    }
    let page = house.get("/v1/runs?sort_order=asc").await.success(200);
    let rows = page["data"].as_array().expect("rows");
    let titles: Vec<_> = rows.iter().map(|row| text(&row["title"])).collect();
    assert_eq!(titles, ["Sort these", "Sorter", "Sorter", &"ä".repeat(80)]);
    let prompts: Vec<_> = rows.iter().map(|row| row["submitted_prompt_count"].as_u64()).collect();
    assert_eq!(prompts, [Some(1), Some(0), Some(0), Some(1)]);
    let numbers: Vec<_> = rows.iter().map(|row| row["run_number"].as_u64()).collect();
    assert_eq!(numbers, [Some(1), Some(2), Some(3), Some(4)]);
}

#[tokio::test]
async fn the_list_is_filtered_by_what_runs_have_here() {
    let house = House::new().await;
    let (agent, _) = house.agent().await;
    let first = house.run().await;
    let mut claimed = house.claim().await;
    let cause = Cause { code: "no_model".into(), message: "No model.".into() };
    house.step(&mut claimed, vec![Event::Failed { cause }], Status::Failed).await;
    house.ambient.advance_ms(1_000);
    house.post("/v1/runs", json!({"agent_id": agent, "message": "Find 100% of Bugs_"})).await.success(201);
    let matching = async |query: &str| house.get(&format!("/v1/runs?{query}")).await.success(200)["total"].as_u64();
    for (query, total) in [
        ("", 2),
        ("status=failed", 1),
        ("status=needs_attention", 1),
        ("status=pending", 1),
        ("status=stopped", 0),
        ("status=not_started", 0),
        (&format!("agent_id={agent}"), 1),
        (&format!("agent_id={NOBODY}"), 0),
        ("source=api", 2),
        ("source=schedule", 0),
        ("search=100%25", 1),
        ("search=BUGS_", 1),
        ("search=_orter", 0),
        ("search=", 2),
        ("since=2026-11-23T14:00:01Z", 1),
        ("since=2026-11-23T15:00:00%2B01:00", 2),
        (&format!("user_id={NOBODY}"), 0),
        (&format!("case_queue_id={NOBODY}"), 0),
        (&format!("digest_id={NOBODY}"), 0),
        ("has_issues=true", 0),
        ("has_issues=false", 2),
        ("issue_severity=low", 0),
        ("sort_by=created_at&sort_order=asc&limit=1", 2),
    ] {
        assert_eq!(matching(query).await, Some(total), "{query}");
    }
    let page = house.get("/v1/runs?limit=1&offset=1").await.success(200);
    assert_eq!((&page["data"][0]["id"], &page["data"][0]["agent_name"]), (&json!(first), &json!("Sorter")));
    for query in ["status=done", "since=yesterday", "agent_id=1", "limit=0", "team=x", "has_issues=1"] {
        house.get(&format!("/v1/runs?{query}")).await.refusal(400, "invalid_request");
    }
}

#[tokio::test]
async fn stopping_tells_the_run_and_is_a_no_op_afterwards() {
    let house = House::new().await;
    let run = house.run().await;
    let stop = format!("/v1/runs/{run}/stop");
    let answer = house.post(&stop, json!({})).await.success(200);
    assert_eq!(answer["success"], true);
    let id: domain::RunId = run.parse().expect("an id");
    let inbox = house
        .app
        .db
        .read::<_, StoreError, _>(async |tx| storage::runs::inbox(tx, id, 0).await)
        .await
        .expect("an inbox");
    assert_eq!(inbox[0].1, Event::Interrupted { by: "stop_request".into() });

    let mut claimed = house.claim().await;
    house.step(&mut claimed, vec![Event::Interrupted { by: "stop_request".into() }], Status::Interrupted).await;
    let again = house.post(&stop, json!({})).await.success(200);
    assert!(again["success"] == true && text(&again["message"]).contains("interrupted already"), "{again}");
    let inbox = house
        .app
        .db
        .read::<_, StoreError, _>(async |tx| storage::runs::inbox(tx, id, 0).await)
        .await
        .expect("an inbox");
    assert_eq!(inbox, vec![]);
    house.post(&format!("/v1/runs/{NOBODY}/stop"), json!({})).await.refusal(404, "not_found");
    house.post("/v1/runs/x/stop", json!({})).await.refusal(400, "invalid_request");
}

#[tokio::test]
async fn a_posted_message_resumes_a_run_that_ended_but_not_one_that_failed() {
    let house = House::new().await;
    let run = house.run().await;
    let path = format!("/v1/runs/{run}/messages");
    let mut claimed = house.claim().await;
    house.step(&mut claimed, vec![Event::Completed { result: Some("Done.".into()) }], Status::Completed).await;

    let posted = house.post(&path, json!({"message": "And now?"})).await.success(201)["message"].clone();
    assert_eq!(
        (&posted["type"], &posted["role"], &posted["text_content"]),
        (&json!("text"), &json!("user"), &json!("And now?"))
    );
    let status = house.get(&format!("/v1/runs/{run}")).await.json()["run"].clone();
    assert_eq!((&status["status"], &status["completed_at"]), (&json!("pending"), &Value::Null));

    let mut claimed = house.claim().await;
    let run_id = claimed.lease.run;
    let inbox = house
        .app
        .db
        .read::<_, StoreError, _>(async |tx| storage::runs::inbox(tx, run_id, 0).await)
        .await
        .expect("an inbox");
    let cause = Cause { code: "limit_reached".into(), message: "Too long.".into() };
    house.step(&mut claimed, vec![inbox[0].1.clone(), Event::Failed { cause }], Status::Failed).await;
    let listed = house.get(&path).await.success(200);
    assert_eq!(listed["messages"][1]["id"], posted["id"], "the id it was given is the id it has");
    assert_eq!(listed["messages"][2]["text_content"], "Failed: Too long. (limit_reached)");

    house.post(&path, json!({"message": "Again"})).await.refusal(400, "run_not_resumable");
    house.post(&format!("/v1/runs/{NOBODY}/messages"), json!({"message": "x"})).await.refusal(404, "not_found");
    let message = house.post(&path, json!({"message": ""})).await.refusal(400, "invalid_request");
    assert!(message.starts_with("/message"), "{message}");
}

#[tokio::test]
async fn the_transcript_shows_words_calls_and_results_in_order() {
    let house = House::new().await;
    let (agent, _) = house.agent().await;
    let body = json!({"agent_id": agent, "message": "Read a.csv"});
    let run = text(&house.post("/v1/runs", body).await.success(201)["run"]["id"]);
    let mut claimed = house.claim().await;
    let call = |number: u128| ToolCall {
        id: "call_1".into(),
        key: uuid::Uuid::from_u128(number),
        name: "read_file".into(),
        arguments: json!({"path": "a.csv"}).as_object().expect("an object").clone(),
        replay: Replay::Safe,
        target: None,
    };
    let usage = Usage::default();
    let reply =
        Reply { text: "I read.".into(), calls: vec![], stop: Stop::Done, model: "m".into(), usage, carry: None };
    let events = vec![
        Event::Replied { turn: 1, reply },
        Event::ToolStarted { call: call(1) },
        Event::ToolFinished { key: call(1).key, outcome: Outcome::Ok(Value::Null) },
        Event::ToolStarted { call: call(2) },
        Event::ToolFinished { key: call(2).key, outcome: Outcome::Error("no such file".into()) },
        Event::Completed { result: None },
    ];
    house.step(&mut claimed, events, Status::Completed).await;
    let path = format!("/v1/runs/{run}/messages");
    let all = house.get(&path).await.success(200);
    let messages = all["messages"].as_array().expect("a list");
    let shape: Vec<_> = messages.iter().map(|message| (text(&message["role"]), text(&message["type"]))).collect();
    let shape: Vec<_> = shape.iter().map(|(role, kind)| (role.as_str(), kind.as_str())).collect();
    assert_eq!(
        shape,
        [
            ("user", "text"),
            ("assistant", "text"),
            ("assistant", "tool_call"),
            ("tool", "tool_result"),
            ("assistant", "tool_call"),
            ("tool", "tool_result")
        ]
    );
    assert_eq!(messages[2]["tool_call"]["id"], messages[3]["tool_result"]["tool_call_id"]);
    assert_ne!(messages[2]["tool_call"]["id"], messages[4]["tool_call"]["id"]);
    assert_eq!(messages[3]["tool_result"].get("result"), Some(&Value::Null));
    assert_eq!(messages[5]["tool_result"]["error"], "no such file");
    assert_eq!((&all["total"], &all["limit"]), (&json!(6), &json!(20)));

    let page = house.get(&format!("{path}?limit=2&offset=3")).await.success(200);
    assert_eq!(page["messages"].as_array().map(Vec::as_slice), Some(&messages[3..5]));
    let beyond = house.get(&format!("{path}?offset=6")).await.success(200);
    assert_eq!((&beyond["messages"], &beyond["total"]), (&json!([]), &json!(6)));
    house.get(&format!("{path}?limit=100")).await.success(200);
    house.get(&format!("{path}?limit=101")).await.refusal(400, "invalid_request");
    house.get(&format!("/v1/runs/{NOBODY}")).await.refusal(404, "not_found");
    house.get("/v1/runs/x").await.refusal(400, "invalid_request");
}

#[tokio::test]
async fn a_run_is_told_so_much_and_no_more() {
    let house = House::new().await;
    let path = format!("/v1/runs/{}/messages", house.run().await);
    let mebibyte = json!({"message": "x".repeat(1024 * 1024)});
    for _ in 0..16 {
        house.post(&path, mebibyte.clone()).await.success(201);
    }
    house.post(&path, json!({"message": "x"})).await.refusal(413, "run_full");
    house.post(&path.replace("messages", "stop"), json!({})).await.success(200);
}

#[tokio::test]
async fn what_only_a_newer_version_can_move_is_not_promised() {
    let house = House::new().await;
    let run = format!("/v1/runs/{}", house.run().await);
    assert_eq!(house.get(&run).await.header("x-errand-warning"), None);
    let message = json!({"message": "Hurry."});
    let sent = house.post(&format!("{run}/messages"), message.clone()).await;
    assert_eq!((sent.status, sent.header("x-errand-warning")), (201, None));
    let leave = async |tx: &mut storage::Tx<'_>| tx.exec("UPDATE work SET needs = 1000", &[]).await;
    house.app.db.write::<_, StoreError, _>(leave).await.expect("left to a newer version");
    for answer in [
        house.get(&run).await,
        house.post(&format!("{run}/messages"), message).await,
        house.post(&format!("{run}/stop"), json!({})).await,
    ] {
        let warning = answer.header("x-errand-warning").expect("a warning");
        assert!(warning.contains("newer version of Errand"), "{warning}");
        if answer.json()["success"].is_boolean() {
            assert_eq!(answer.json()["success"], false);
        }
    }
}

//! Builds: numbers without gaps, secrets that stay inside.

use domain::AgentId;
use serde_json::{Value, json};
use storage::StoreError;

use crate::house::{House, NOBODY, config, text};

#[tokio::test]
async fn fifty_at_once_are_numbered_one_to_fifty() {
    let house = House::new().await;
    let agent = text(&house.post("/v1/agents", json!({"name": "A"})).await.success(201)["agent"]["id"]);
    let requests = (0..50).map(|_| {
        let body = json!({"agent_id": agent, "name": "b", "config": config("Go.")});
        house.post("/v1/builds", body)
    });
    let answers = futures_util::future::join_all(requests).await;
    let mut numbers: Vec<u64> = answers
        .iter()
        .map(|answer| answer.success(201)["build"]["revision_number"].as_u64().expect("a number"))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=50).collect::<Vec<_>>());

    let page = house.get(&format!("/v1/agents/{agent}/builds?limit=2&offset=1")).await.success(200);
    let listed: Vec<_> =
        page["builds"].as_array().expect("a list").iter().map(|build| &build["revision_number"]).collect();
    assert_eq!((listed, &page["total"]), (vec![&json!(49), &json!(48)], &json!(50)));
}

#[tokio::test]
async fn a_new_build_is_the_latest_and_can_be_read() {
    let house = House::new().await;
    let (agent, first) = house.agent().await;
    house.ambient.advance_ms(1);
    let body = json!({"agent_id": agent, "name": "second", "config": config("Faster.")});
    let made = house.post("/v1/builds", body).await.success(201);
    assert_eq!(made["agent"], json!({"id": agent}));
    let id = text(&made["build"]["id"]);
    assert_eq!(house.get(&format!("/v1/builds/{id}")).await.success(200)["build"], made["build"]);
    let read = house.get(&format!("/v1/agents/{agent}")).await.success(200);
    assert_eq!(read["build"], made["build"]);
    assert_eq!(read["agent"]["updated_at"], "2026-11-23T14:00:00.001Z");
    assert_eq!(house.get(&format!("/v1/builds/{first}")).await.success(200)["build"]["name"], "v1");
}

#[tokio::test]
async fn failures() {
    let house = House::new().await;
    let (agent, _) = house.agent().await;
    let body = |agent: &str, config: Value| json!({"agent_id": agent, "name": "b", "config": config});
    house.post("/v1/builds", body(NOBODY, config("Go."))).await.refusal(404, "not_found");
    house.get(&format!("/v1/builds/{NOBODY}")).await.refusal(404, "not_found");
    house.get("/v1/builds/x").await.refusal(400, "invalid_request");
    house.get(&format!("/v1/agents/{NOBODY}/builds")).await.refusal(404, "not_found");
    house.get(&format!("/v1/agents/{agent}/builds?limit=101")).await.refusal(400, "invalid_request");
    let message =
        house.post("/v1/builds", body(&agent, json!({"version": "v3"}))).await.refusal(400, "invalid_request");
    assert!(message.starts_with("/config/version"), "{message}");
    house.post("/v1/builds", body("1", config("Go."))).await.refusal(400, "invalid_request");
    let page = house.get(&format!("/v1/agents/{agent}/builds")).await.success(200);
    assert_eq!(page["total"], 1, "what was refused took no number");
}

#[tokio::test]
async fn header_values_are_kept_but_never_shown() {
    let house = House::new().await;
    let with = |value: &str| {
        json!({"version": "v1", "data": {"model": "gpt-5", "input": "Go.", "tools": [{
            "type": "mcp", "server_label": "crm", "server_url": "https://crm.example/mcp",
            "headers": {"Authorization": value}
        }]}})
    };
    let body = json!({"name": "A", "build": {"name": "v1", "config": with("Bearer s3cret")}});
    let answer = house.post("/v1/agents", body).await;
    let agent = text(&answer.success(201)["agent"]["id"]);
    assert!(!String::from_utf8_lossy(&answer.body).contains("s3cret"));

    // What was shown can be sent back and means the stored value, on this agent only.
    let shown = answer.json()["build"]["config"].clone();
    let again = house.post("/v1/builds", json!({"agent_id": agent, "name": "v2", "config": shown})).await;
    assert!(!String::from_utf8_lossy(&again.body).contains("s3cret"));
    again.success(201);
    let (team, id): (_, AgentId) = (house.team, agent.parse().expect("an id"));
    let secrets = house
        .app
        .db
        .read::<_, StoreError, _>(async |tx| storage::builds::latest_secrets(tx, &house.app.keyring, team, id).await)
        .await
        .expect("readable");
    assert_eq!(secrets.expect("secrets").get("crm", "https://crm.example/mcp", "Authorization"), Some("Bearer s3cret"));

    let (other, _) = house.agent().await;
    let refused = house.post("/v1/builds", json!({"agent_id": other, "name": "v2", "config": shown})).await;
    let message = refused.refusal(400, "invalid_request");
    assert!(message.starts_with("/config/data/tools/0/headers/Authorization"), "{message}");
}

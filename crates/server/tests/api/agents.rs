//! Agents: the published example, atomic creation, the list.

use serde_json::{Value, json};

use crate::house::{House, NOBODY, config, text};

#[tokio::test]
async fn the_published_example_works_and_its_answer_is_valid() {
    let house = House::new().await;
    let answer = house
        .post(
            "/v1/agents",
            json!({"name": "Invoice Processor", "build": {"name": "v1", "config": {"version": "v2", "data": {
                "models": {
                    "agent": {"model": "claude-sonnet-4-20250514"},
                    "browsing": {"provider": "browserbase", "model": "gpt-4o"}
                },
                "input": "Process invoices from the uploaded files and extract line items.",
                "files": [],
                "skills": []
            }}}}),
        )
        .await;
    let made = answer.success(201);
    assert_eq!(
        made["build"]["config"],
        json!({"version": "v2", "data": {
            "models": {
                "agent": {"model": "claude-sonnet-4-20250514"},
                "browsing": {"provider": "anthropic", "model": "claude-sonnet-4-5"}
            },
            "input": "Process invoices from the uploaded files and extract line items.",
            "files": [], "skills": [], "plugins": [],
            "options": {"browserProvider": "browserbase"}
        }})
    );
    let notes = answer.header("x-errand-normalized").expect("a changed config");
    assert!(notes.contains("data.models.browsing") && notes.contains("data.options.browserProvider"), "{notes}");
    assert_eq!(made["build"]["revision_number"], 1);
    assert_eq!(made["build"]["agent_id"], made["agent"]["id"]);
    assert_eq!(made["agent"]["created_at"], "2026-11-23T14:00:00.000Z");

    let run = house.post("/v1/runs", json!({"agent_id": made["agent"]["id"]})).await.success(201);
    assert_eq!(run["run"]["build_id"], made["build"]["id"]);

    let read = house.get(&format!("/v1/agents/{}", text(&made["agent"]["id"]))).await.success(200);
    assert_eq!(read, made);
}

#[tokio::test]
async fn an_agent_may_be_bare_and_a_plain_config_is_not_noted() {
    let house = House::new().await;
    let bare = house.post("/v1/agents", json!({"name": " "})).await.success(201);
    assert_eq!((bare["agent"]["name"].as_str(), bare.get("build")), (Some(" "), None));
    let read = house.get(&format!("/v1/agents/{}", text(&bare["agent"]["id"]))).await.success(200);
    assert_eq!(read, bare);

    let body = json!({"name": "A", "build": {"name": "v1", "config": config("Go.")}});
    let answer = house.post("/v1/agents", body).await;
    answer.success(201);
    assert_eq!(answer.header("x-errand-normalized"), None);
}

#[tokio::test]
async fn what_is_refused_leaves_nothing_behind() {
    let house = House::new().await;
    let mut no_model = config("Go.");
    no_model["data"]["models"]["agent"]["model"] = json!("gpt-9");
    let cases: [(Value, &str); 6] = [
        (json!({"name": "A", "build": {"name": "v1", "config": {}}}), "/build/config/data"),
        (json!({"name": "A", "build": {"name": "v1", "config": no_model}}), "/build/config/data/models/agent/model"),
        (json!({"name": "A", "build": {"name": "", "config": config("Go.")}}), "/build/name"),
        (json!({"name": "A", "build": {"name": "x".repeat(1001), "config": config("Go.")}}), "/build/name"),
        (json!({"name": "ä".repeat(1001)}), "/name: expected at most 1000"),
        (json!({"name": "A", "build": null}), "/build"),
    ];
    for (body, place) in cases {
        let message = house.post("/v1/agents", body).await.refusal(400, "invalid_request");
        assert!(message.starts_with(place), "{message}");
    }
    assert_eq!(house.get("/v1/agents").await.success(200), json!({"agents": [], "total": 0, "limit": 20, "offset": 0}));
    house.post("/v1/agents", json!({"name": "ä".repeat(1000)})).await.success(201);
}

#[tokio::test]
async fn the_list_is_newest_first_and_stable_while_paging() {
    let house = House::new().await;
    for number in 0..7 {
        house.post("/v1/agents", json!({"name": number.to_string()})).await.success(201);
    }
    let mut names = Vec::new();
    for offset in [0, 3, 6, 9] {
        let page = house.get(&format!("/v1/agents?limit=3&offset={offset}")).await.success(200);
        assert_eq!((&page["total"], &page["limit"], &page["offset"]), (&json!(7), &json!(3), &json!(offset)));
        names.extend(page["agents"].as_array().expect("a list").iter().map(|agent| text(&agent["name"])));
    }
    assert_eq!(names, ["6", "5", "4", "3", "2", "1", "0"]);
    let beyond = house.get("/v1/agents?offset=9007199254740991").await.success(200);
    assert_eq!((&beyond["agents"], &beyond["total"]), (&json!([]), &json!(7)));
    for query in ["limit=0", "limit=101", "offset=-1", "limit=x", "page=2", "limit=1&limit=1"] {
        let message = house.get(&format!("/v1/agents?{query}")).await.refusal(400, "invalid_request");
        let name = query.split('=').next().expect("a name");
        assert!(message.contains(&format!("`{name}`")), "{message}");
    }
}

#[tokio::test]
async fn an_unknown_agent_is_a_404_and_a_malformed_id_a_400() {
    let house = House::new().await;
    house.get(&format!("/v1/agents/{NOBODY}")).await.refusal(404, "not_found");
    for id in ["1", "0190a0c57e3f7c1a9d2b000000000001", "%FF", "0190a0c5-7e3f-7c1a-9d2b-00000000000g"] {
        let message = house.get(&format!("/v1/agents/{id}")).await.refusal(400, "invalid_request");
        assert!(message.starts_with("agent_id"), "{message}");
    }
    house.get(&format!("/v1/agents/{NOBODY}?x=1")).await.refusal(400, "invalid_request");
}

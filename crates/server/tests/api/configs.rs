//! The shape of configs is written three times: in the published schemas, in `contract`, and in the rules by which `domain` reads them. Here they are
//! held against each other, on a config with everything in it and on each that is one step away from it.

use std::sync::LazyLock;

use domain::builds::{Defaults, normalise};
use serde_json::{Value, json};
use testkit::schemas::Contract;

use crate::house::{House, NOBODY};

const WHEN: &str = "2026-11-23T14:00:00.000Z";

/// What stands where something else should.
fn wrong() -> [Value; 9] {
    [json!(null), json!(true), json!(7), json!(-1), json!(0.5), json!("text"), json!([]), json!(["text"]), json!({})]
}

/// One config of each version, with every key that there is.
fn whole() -> [Value; 2] {
    let input = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "type": "message", "content": [
            {"type": "input_text", "text": "Look at these."},
            {"type": "input_image", "detail": "low", "file_id": "f1", "url": "https://example.com/a.png"},
            {"type": "input_file", "file_id": "f2"},
        ]},
    ]);
    let tool = |label: &str, allowed: Value, approval: Value| {
        json!({"type": "mcp", "server_label": label, "server_url": "https://crm.example/mcp", "allowed_tools": allowed,
            "headers": {"X-Team": "a"}, "require_approval": approval})
    };
    let names = json!({"tool_names": ["read"]});
    let v1 = json!({"version": "v1", "data": {
        "model": "claude-sonnet-4-6", "input": input, "temperature": 1.5, "max_output_tokens": 100, "top_p": 0.5, "store": false,
        "tools": [tool("crm", json!(["read"]), json!("never")), tool("erp", names.clone(), json!({"always": names, "never": {"tool_names": null}}))],
        "text": {"format": {"type": "json_object"}}, "files": ["a"], "skills": ["b"],
    }});
    let v2 = json!({"version": "v2", "data": {
        "models": {"agent": {"model": "gpt-5"}, "browsing": {"provider": "anthropic", "model": "claude-sonnet-4-5"}},
        "input": "Sort the invoices.", "files": ["a"], "skills": ["b"], "plugins": ["c"],
        "options": {"browserProvider": "browserbase", "evaluationSchemaId": "e", "more": {"x": 1},
            "benchmarkExpectedOutcomes": [{"description": "d", "criteria": "c"}]},
    }});
    [v1, v2]
}

/// Every config that differs from `config` in one place: a key or an item less, one more, another value.
fn neighbours(config: &Value) -> Vec<Value> {
    let mut all: Vec<Value> = wrong().into_iter().filter(|other| other != config).collect();
    match config {
        Value::Object(members) => {
            for (key, value) in members {
                let mut less = members.clone();
                less.remove(key);
                all.push(less.into());
                for other in neighbours(value) {
                    let mut changed = members.clone();
                    changed.insert(key.clone(), other);
                    all.push(changed.into());
                }
            }
            let mut more = members.clone();
            more.insert("surprise".into(), json!("x"));
            all.push(more.into());
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                for other in neighbours(item) {
                    let mut changed = items.clone();
                    changed[at] = other;
                    all.push(changed.into());
                }
            }
        }
        Value::Number(_) => all.extend([json!(0), json!(1), json!(2), json!(2.5)]),
        _ => {}
    }
    all
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(_, value)| !value.is_null());
            kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        plain => plain.clone(),
    }
}

fn fits(schemas: &Contract, config: &Value) -> bool {
    let build = json!({"id": NOBODY, "agent_id": NOBODY, "name": "n", "config": config, "revision_number": 1, "created_at": WHEN, "updated_at": WHEN});
    schemas.check_response("GET", "/v1/builds/{build_id}", 200, &json!({ "build": build })).is_ok()
}

#[test]
fn the_shapes_of_configs_are_those_that_are_taken() {
    static OWN: LazyLock<Contract> =
        LazyLock::new(|| Contract::of(server::older_openapi_document()).expect("a document"));
    let (mut taken, mut refused, mut repaired) = (0, 0, 0);
    for config in whole() {
        assert!(fits(Contract::load(), &config), "{config}");
        normalise(&config, "", &Defaults::default(), None).expect("a config that is taken");
        for config in neighbours(&config) {
            // A config as a whole may be null in an answer, of a build that has none; nobody can submit that.
            let shape = fits(Contract::load(), &config) && !config.is_null();
            assert_eq!(
                fits(&OWN, &config) && !config.is_null(),
                shape,
                "the document and the contract differ: {config}"
            );
            match normalise(&config, "", &Defaults::default(), None) {
                Ok(read) => {
                    let served = serde_json::to_value(&read.config).expect("JSON");
                    assert!(fits(Contract::load(), &served), "{config} is served as {served}");
                    // A key that may be left out may be null, too: what is served does without it, and means the same.
                    let known = shape || !read.notes.is_empty() || fits(Contract::load(), &without_nulls(&config));
                    assert!(known, "taken without a note, and no config by the contract: {config}");
                    if shape { taken += 1 } else { repaired += 1 }
                }
                Err(flaw) => {
                    assert!(!shape, "a config by the contract, and refused: {flaw}: {config}");
                    refused += 1;
                }
            }
        }
    }
    println!("{taken} taken, {repaired} repaired, {refused} refused");
    assert!(taken > 100 && refused > 300 && repaired > 5, "{taken} taken, {repaired} repaired, {refused} refused");
}

#[tokio::test]
async fn a_server_that_can_never_be_called_is_warned_of() {
    let house = House::new().await;
    let (agent, _) = house.agent().await;
    for (url, warned) in [
        ("https://crm.example/mcp", false),
        ("errand://mcp/files", false),
        ("https://10.0.0.1/mcp", true),
        ("ftp://crm.example/", true),
        ("nonsense", true),
    ] {
        let tool = json!({"type": "mcp", "server_label": "crm", "server_url": url});
        let config = json!({"version": "v1", "data": {"model": "m", "input": "i", "tools": [tool]}});
        let of_agent = json!({"name": "A", "build": {"name": "b", "config": config}});
        let of_build = json!({"agent_id": agent, "name": "b", "config": config});
        for (path, body) in [("/v1/agents", of_agent), ("/v1/builds", of_build)] {
            let made = house.post(path, body).await;
            made.success(201);
            let told = made.header("x-errand-warning");
            assert_eq!(
                told.is_some_and(|told| told.starts_with(&format!("server_url \"{url}\": "))),
                warned,
                "{url}: {told:?}"
            );
        }
    }
}

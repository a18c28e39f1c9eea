//! The judge is judged: what it must refuse, and what it must let through.
//!
//! Whether our own wire types satisfy it is in `tests/wire_types.rs`.

use super::*;

mod samples;
mod wire_types;

const BUILD: (&str, &str) = ("GET", "/v1/builds/{build_id}");

fn response(method: &str, path: &str, status: u16, body: &Value) -> Result<(), String> {
    Contract::load().check_response(method, path, status, body)
}

fn build_with(pointer: &str, value: Value) -> Value {
    let mut body = json!({"build": samples::build()});
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    body.pointer_mut(parent).expect(pointer)[key] = value;
    body
}

fn check_build(pointer: &str, value: Value) -> Result<(), String> {
    response(BUILD.0, BUILD.1, 200, &build_with(pointer, value))
}

fn refused(result: Result<(), String>, because: &str) {
    let wrong = result.expect_err(because);
    assert!(wrong.contains(because), "{wrong}");
}

#[test]
fn every_published_operation_is_there() {
    let names: Vec<&str> = Contract::load().operations.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "GET /v1/agents",
            "GET /v1/agents/{agent_id}",
            "GET /v1/agents/{agent_id}/builds",
            "GET /v1/builds/{build_id}",
            "GET /v1/runs",
            "GET /v1/runs/{run_id}",
            "GET /v1/runs/{run_id}/messages",
            "GET /v1/sandboxes/{sandbox_id}/files",
            "POST /v1/agents",
            "POST /v1/builds",
            "POST /v1/runs",
            "POST /v1/runs/{run_id}/human-requests/{request_id}/respond",
            "POST /v1/runs/{run_id}/messages",
            "POST /v1/runs/{run_id}/stop",
            "POST /v1/sandboxes",
            "POST /v1/sandboxes/{sandbox_id}/files",
            "POST /v1/sandboxes/{sandbox_id}/upload-urls",
        ]
    );
    for (name, operation) in &Contract::load().operations {
        assert!(operation.responses.values().all(Option::is_some), "{name} has an answer without a schema");
    }
}

#[test]
fn null_without_a_type_beside_it_passes_only_leniently() {
    refused(check_build("/build/config", Value::Null), "strict reading of nullable: /build/config");

    let body = build_with("/build/config", Value::Null);
    let schema = &Contract::load().operations["GET /v1/builds/{build_id}"].responses[&200];
    let schema = schema.as_ref().expect("a schema");
    let verdicts = schema.readings.each_ref().map(|(reading, v)| (*reading, v.is_valid(&body)));
    assert_eq!(verdicts, [(Reading::Strict, false), (Reading::Lenient, true)]);
}

#[test]
fn null_with_a_type_beside_it_passes_both_ways() {
    assert_eq!(check_build("/build/created_at", Value::Null), Ok(()));
    assert_eq!(check_build("/build/config/data/files", Value::Null), Ok(()));
}

#[test]
fn null_must_be_listed_by_an_enum_to_pass_strictly() {
    let image = |detail: Value| json!([{"role": "user", "content": [{"type": "input_image", "detail": detail}]}]);
    assert_eq!(check_build("/build/config/data/input", image(json!("low"))), Ok(()));
    refused(check_build("/build/config/data/input", image(Value::Null)), "strict reading");
}

#[test]
fn null_where_nothing_allows_it_never_passes() {
    for pointer in ["/build/name", "/build/config/data/options", "/build/config/data/input"] {
        let body = build_with(pointer, Value::Null);
        let schema = &Contract::load().operations["GET /v1/builds/{build_id}"].responses[&200];
        for (reading, validator) in &schema.as_ref().expect("a schema").readings {
            assert!(!validator.is_valid(&body), "{pointer} {reading}");
        }
    }
}

#[test]
fn objects_are_closed_except_where_they_are_open() {
    refused(check_build("/build/status", json!("live")), "status");
    refused(check_build("/build/config/data/subAgents", json!([])), "subAgents");
    assert_eq!(check_build("/build/config/data/options", json!({"mine": null})), Ok(()));
}

#[test]
fn formats_and_bounds_are_asserted() {
    refused(check_build("/build/id", json!("7")), "/build/id");
    refused(check_build("/build/config/data/models/agent/model", json!("my-model")), "my-model");

    let v1 =
        |tokens: Value| json!({"version": "v1", "data": {"model": "any", "input": "x", "max_output_tokens": tokens}});
    assert_eq!(check_build("/build/config", v1(json!(0.5))), Ok(()));
    refused(check_build("/build/config", v1(json!(0))), "/build/config/data/max_output_tokens");

    let mut page = json!({"data": [samples::run_row()], "total": 1});
    page["data"][0]["created_at"] = json!("2026-01-02 03:04");
    refused(response("GET", "/v1/runs", 200, &page), "/data/0/created_at");
}

#[test]
fn undeclared_errors_need_the_common_body_and_undeclared_successes_fail() {
    let error = json!({"error": "method_not_allowed", "message": "use GET or POST"});
    assert_eq!(response("PUT", "/v1/agents", 405, &error), Ok(()));
    assert_eq!(response("GET", "/nowhere", 404, &json!({"error": "not_found"})), Ok(()));
    assert_eq!(response("POST", "/v1/agents", 429, &error), Ok(()));

    let more = json!({"error": "x", "request_id": "1"});
    refused(response("POST", "/v1/agents", 429, &more), "request_id");
    refused(response("POST", "/v1/agents", 400, &more), "request_id");
    refused(response("GET", "/nowhere", 404, &json!({"message": "x"})), "error");
    refused(response("GET", "/v1/agents", 202, &json!({})), "declares no answer 202");
}

#[test]
fn a_keyword_it_cannot_translate_is_an_error() {
    let wrong = modernise(&json!({"items": {"not": {}}}), Reading::Strict).expect_err("unknown");
    assert!(wrong.contains("`not`"), "{wrong}");
}

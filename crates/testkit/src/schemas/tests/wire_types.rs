//! The types of the room `contract` against the published schemas, in both directions.

use contract::agents::{AgentAnswer, CreateAgent};
use contract::builds::{BuildAnswer, CreateBuild};
use contract::errors::ErrorBody;
use contract::human_requests::Respond;
use contract::messages::PostMessage;
use contract::runs::{CreateRun, RunAnswer, RunDetail, RunPage, StopAnswer};
use contract::sandboxes::UploadedFile;
use contract::strict_json;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::samples::*;
use super::{refused, response};
use crate::schemas::Contract;

#[test]
fn the_wire_types_satisfy_their_schemas() {
    let run_path = "/v1/runs/{run_id}";
    let answers: [(&str, &str, u16, Value); 18] = [
        ("GET", "/v1/agents", 200, sent(agent_page())),
        ("POST", "/v1/agents", 201, sent(AgentAnswer { agent: agent(), build: None })),
        ("GET", "/v1/agents/{agent_id}", 200, sent(agent_answer())),
        ("GET", "/v1/agents/{agent_id}/builds", 200, sent(build_page())),
        ("GET", "/v1/builds/{build_id}", 200, sent(BuildAnswer { build: build() })),
        ("POST", "/v1/builds", 201, sent(new_build_answer())),
        ("GET", "/v1/runs", 200, sent(RunPage { data: vec![run_row()], total: 1 })),
        ("POST", "/v1/runs", 201, sent(RunAnswer { run: run() })),
        ("GET", run_path, 200, sent(RunDetail { run: run(), pending_human_request: None })),
        ("GET", run_path, 200, sent(waiting_run())),
        ("GET", "/v1/runs/{run_id}/messages", 200, sent(message_page())),
        ("POST", "/v1/runs/{run_id}/messages", 201, sent(posted_message())),
        ("POST", "/v1/runs/{run_id}/human-requests/{request_id}/respond", 200, sent(respond_answer())),
        ("POST", "/v1/runs/{run_id}/stop", 200, sent(StopAnswer { success: true, message: None })),
        ("POST", "/v1/sandboxes", 201, sent(sandbox())),
        ("GET", "/v1/sandboxes/{sandbox_id}/files", 200, sent(files())),
        (
            "POST",
            "/v1/sandboxes/{sandbox_id}/files",
            201,
            sent(UploadedFile { path: text("/workspace/a"), size_bytes: 3 }),
        ),
        ("GET", "/v1/runs", 401, sent(ErrorBody { error: text("x"), message: some("y") })),
    ];
    for (method, path, status, body) in answers {
        assert_eq!(response(method, path, status, &body), Ok(()));
    }
}

#[test]
fn the_request_types_take_what_the_schemas_take() {
    agree::<CreateAgent>(
        "/v1/agents",
        &[
            json!({"name": "A"}),
            json!({"name": " ", "build": {"name": "v1", "config": {"any": [null]}}}),
            json!({"name": ""}),
            json!({"name": null}),
            json!({}),
            json!([]),
            json!(["A"]),
            json!({"name": "A", "build": null}),
            json!({"name": "A", "build": ["v1", {}]}),
            json!({"name": "A", "build": {"name": "", "config": {}}}),
            json!({"name": "A", "build": {"name": "v1"}}),
            json!({"name": "A", "build": {"name": "v1", "config": null}}),
            json!({"name": "A", "build": {"name": "v1", "config": []}}),
            json!({"name": "A", "build": {"name": "v1", "config": {}, "x": 1}}),
            json!({"name": "A", "x": 1}),
        ],
    );
    agree::<CreateBuild>(
        "/v1/builds",
        &[
            json!({"agent_id": ID, "name": "v2", "config": {}}),
            json!({"agent_id": ID.to_uppercase(), "name": "v2", "config": {}}),
            json!({"agent_id": ID.replace('-', ""), "name": "v2", "config": {}}),
            json!({"agent_id": "x", "name": "v2", "config": {}}),
            json!({"agent_id": ID, "name": "v2", "config": "{}"}),
            json!({"name": "v2", "config": {}}),
        ],
    );
    agree::<CreateRun>(
        "/v1/runs",
        &[
            json!({"agent_id": ID}),
            json!({"agent_id": ID, "message": "", "sandbox_id": "", "webhook_url": "http://h/"}),
            json!({"agent_id": ID, "message": null}),
            json!({"agent_id": ID, "sandbox_id": 1}),
            json!({"agent_id": ID, "build_id": ID}),
        ],
    );
    agree::<PostMessage>(
        "/v1/runs/{run_id}/messages",
        &[json!({"message": "x"}), json!({"message": ""}), json!({"message": null}), json!({})],
    );
    agree::<Respond>(
        "/v1/runs/{run_id}/human-requests/{request_id}/respond",
        &[
            json!({}),
            json!({"approved": true, "answers": {"Q?": "A"}}),
            json!({"approved": null}),
            json!({"approved": "yes"}),
            json!({"answers": {"Q?": 1}}),
            json!({"answers": []}),
            json!({"response": "x"}),
        ],
    );
    let none = Contract::load().check_request("POST", "/v1/runs/{run_id}/stop", &json!({}));
    refused(none, "declares no JSON body");
}

fn agree<T: DeserializeOwned>(path: &str, bodies: &[Value]) {
    for body in bodies {
        let schema = Contract::load().check_request("POST", path, body);
        let typed = strict_json::from_slice::<T>(body.to_string().as_bytes());
        let typed = typed.map(|_| ()).map_err(|flaw| flaw.to_string());
        assert_eq!(schema.is_ok(), typed.is_ok(), "{body}: {schema:?}, but {typed:?}");
    }
}

fn sent(answer: impl Serialize) -> Value {
    serde_json::to_value(answer).expect("serializable")
}

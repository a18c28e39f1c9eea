//! The attributes of spans, by the names of OpenTelemetry's conventions (GenAI 1.41, HTTP 1.41) and, where they have none, by our own.
//!
//! The conventions of GenAI are still moving; a change of names is a change of this file. What they would have of messages, of a tool's arguments and
//! results, is not there to be sent: the rooms do not say it.

use opentelemetry::{Array, KeyValue, StringValue, Value};

pub(super) const CHAT: &str = "chat";
pub(super) const EXECUTE_TOOL: &str = "execute_tool";
pub(super) const INVOKE_AGENT: &str = "invoke_agent";

pub(super) const CONVERSATION_ID: &str = "gen_ai.conversation.id";
pub(super) const ERROR_TYPE: &str = "error.type";
/// The kind of error of a step that was dropped half-way: the run was stopped, or ran out of time.
pub(super) const CANCELLED: &str = "cancelled";

const OPERATION_NAME: &str = "gen_ai.operation.name";
const PROVIDER_NAME: &str = "gen_ai.provider.name";
const OUTPUT_TYPE: &str = "gen_ai.output.type";
const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
const TOOL_TYPE: &str = "gen_ai.tool.type";

/// What a room says of a thing, and what the conventions call it.
type Names = [(&'static str, &'static str)];

const OF_CHAT: &Names = &[
    ("model", "gen_ai.request.model"),
    ("temperature", "gen_ai.request.temperature"),
    ("top_p", "gen_ai.request.top_p"),
    ("max_tokens", "gen_ai.request.max_tokens"),
    ("answered_by", "gen_ai.response.model"),
    ("input_tokens", "gen_ai.usage.input_tokens"),
    ("cached_tokens", "gen_ai.usage.cache_read.input_tokens"),
    ("output_tokens", "gen_ai.usage.output_tokens"),
    ("host", "server.address"),
    ("turn", "errand.turn"),
];
const OF_TOOL: &Names =
    &[("tool", "gen_ai.tool.name"), ("call", "gen_ai.tool.call.id"), ("outcome", "errand.tool.outcome")];
const OF_ROUND: &Names = &[
    ("agent", "gen_ai.agent.id"),
    ("build", "gen_ai.agent.version"),
    ("status", "errand.run.status"),
    ("round", "errand.run.round"),
];
const OF_REQUEST: &Names = &[
    ("method", "http.request.method"),
    ("route", "http.route"),
    ("status", "http.response.status_code"),
    ("request_id", "errand.request.id"),
    ("team", "errand.team.id"),
    ("key", "errand.key.id"),
];
const OF_WEBHOOK: &Names = &[
    ("host", "server.address"),
    ("event", "errand.webhook.event"),
    ("tries", "errand.webhook.tries"),
    ("outcome", "errand.webhook.outcome"),
];

/// A call of a model.
pub(super) fn chat(said: &[(&'static str, Value)]) -> Vec<KeyValue> {
    let mut all = named(OF_CHAT, said);
    all.push(KeyValue::new(OPERATION_NAME, CHAT));
    for (name, value) in said {
        match (*name, value) {
            ("provider", Value::String(provider)) => all.push(KeyValue::new(PROVIDER_NAME, vendor(provider.as_str()))),
            ("json", Value::Bool(json)) => all.push(KeyValue::new(OUTPUT_TYPE, if *json { "json" } else { "text" })),
            ("stop", Value::String(stop)) => all.push(KeyValue::new(FINISH_REASONS, one(stop))),
            _ => {}
        }
    }
    all
}

/// A call of a tool.
pub(super) fn tool(said: &[(&'static str, Value)]) -> Vec<KeyValue> {
    let mut all = named(OF_TOOL, said);
    all.push(KeyValue::new(OPERATION_NAME, EXECUTE_TOOL));
    all.push(KeyValue::new(TOOL_TYPE, "function"));
    all
}

/// A run from a start to an end.
pub(super) fn round(said: &[(&'static str, Value)]) -> Vec<KeyValue> {
    let mut all = named(OF_ROUND, said);
    all.push(KeyValue::new(OPERATION_NAME, INVOKE_AGENT));
    all.push(KeyValue::new(PROVIDER_NAME, "errand"));
    all
}

/// A request to the API.
pub(super) fn request(said: &[(&'static str, Value)]) -> Vec<KeyValue> {
    named(OF_REQUEST, said)
}

/// A try to deliver a webhook.
pub(super) fn webhook(said: &[(&'static str, Value)]) -> Vec<KeyValue> {
    named(OF_WEBHOOK, said)
}

fn named(names: &Names, said: &[(&'static str, Value)]) -> Vec<KeyValue> {
    let name = |said: &str| names.iter().find(|(room, _)| *room == said).map(|(_, name)| *name);
    said.iter().filter_map(|(said, value)| Some(KeyValue::new(name(said)?, value.clone()))).collect()
}

/// A provider in the conventions' words. Whoever speaks OpenAI's language is not OpenAI.
fn vendor(provider: &str) -> String {
    if provider == "gemini" { "gcp.gemini".to_owned() } else { provider.to_owned() }
}

fn one(text: &StringValue) -> Value {
    Value::Array(Array::String(vec![text.clone()]))
}

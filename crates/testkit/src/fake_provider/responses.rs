//! OpenAI Responses, as the vendor reads and writes it.

use serde_json::{Value, json};

use super::openai;
use super::reply::{FakeStop, Reply};
use super::request::{Asked, Refusal, demand, items, text};

/// How often the model has answered: each unbroken run of its items is one answer.
pub(super) fn assistant_turns(body: &Value) -> usize {
    let own =
        |item: &Value| matches!(text(item, "type"), "function_call" | "reasoning") || text(item, "role") == "assistant";
    items(body, "input")
        .chunk_by(|one, next| own(one) == own(next))
        .filter(|group| group.first().is_some_and(own))
        .count()
}

/// What the vendor would refuse.
pub(super) fn check(asked: &Asked) -> Result<(), Refusal> {
    let body = &asked.body;
    openai::check_common(asked)?;
    openai::check_json_word(body["text"]["format"]["type"] == "json_object", &body["input"])?;
    demand(!items(body, "input").is_empty(), || {
        "One of \"input\" or \"previous_response_id\" must be provided.".to_owned()
    })?;
    for tool in items(body, "tools") {
        demand(tool["type"] == "function" && tool["parameters"].is_object(), || "tools: invalid function".to_owned())?;
    }
    let mut wanted: Vec<&str> = Vec::new();
    for item in items(body, "input") {
        match text(item, "type") {
            "function_call" => {
                demand(item["arguments"].is_string(), || "input: arguments must be a string".to_owned())?;
                openai::check_call(text(item, "name"), text(item, "call_id"), 64)?;
                wanted.push(text(item, "call_id"));
            }
            "function_call_output" => {
                let id = text(item, "call_id");
                demand(wanted.contains(&id), || {
                    format!("No tool call found for function call output with call_id {id}.")
                })?;
                wanted.retain(|open| *open != id);
            }
            "reasoning" => {
                demand(item["encrypted_content"].is_string(), || "input: reasoning without content".to_owned())?;
            }
            _ => items(item, "content").iter().try_for_each(|part| check_part(part, text(item, "role")))?,
        }
    }
    demand(wanted.is_empty(), || format!("No tool output found for function call {wanted:?}."))
}

fn check_part(part: &Value, role: &str) -> Result<(), Refusal> {
    let good = match (role, text(part, "type")) {
        ("assistant", "output_text") | (_, "input_text") => part["text"].is_string(),
        ("user", "input_image") => {
            part["image_url"].is_string() && matches!(text(part, "detail"), "auto" | "low" | "high")
        }
        _ => false,
    };
    demand(good, || format!("input: invalid part {part} for role {role}"))
}

/// The vendor says every request again in its answers. These instructions are full of words that also name errors.
const INSTRUCTIONS: &str = "Report each insufficient_quota, rate_limit, authentication and invalid_request problem.";

/// An event that ends the stream; what is said of the response is said in full.
pub(super) fn error_event(error: &Value) -> String {
    let mut event = error.clone();
    if event["response"].is_object() {
        event["response"]["instructions"] = json!(INSTRUCTIONS);
    }
    format!("event: {}\ndata: {event}\n\n", error["type"].as_str().unwrap_or("error"))
}

/// The events of a whole answer.
pub(super) fn events(model: &str, reply: &Reply) -> Vec<String> {
    let mut tape = Tape { out: Vec::new(), output: Vec::new() };
    let response = |status: &str, output: &[Value], usage: Value, details: Value| {
        json!({ "id": "resp_fake", "object": "response", "created_at": 1_700_000_000, "status": status, "model": model, "output": output,
            "instructions": INSTRUCTIONS, "error": null, "incomplete_details": details, "usage": usage })
    };
    for kind in ["response.created", "response.in_progress"] {
        tape.send(&json!({ "type": kind, "response": response("in_progress", &[], Value::Null, Value::Null) }));
    }
    if let Some(thoughts) = &reply.thinking {
        let item = json!({ "id": "rs_fake", "type": "reasoning", "summary": [] });
        tape.item(
            &item,
            &[],
            json!({ "id": "rs_fake", "type": "reasoning", "summary": [], "encrypted_content": thoughts }),
        );
    }
    if !reply.text.is_empty() {
        let refused = reply.stop == FakeStop::Refused;
        let (kind, part) = if refused { ("refusal", "refusal") } else { ("output_text", "text") };
        let message = |content: Value, status: &str| json!({ "id": "msg_fake", "type": "message", "role": "assistant", "status": status, "content": content });
        let place = json!({ "item_id": "msg_fake", "content_index": 0 });
        let mut inner =
            vec![with(&place, json!({ "type": "response.content_part.added", "part": { "type": kind, part: "" } }))];
        let pieces = reply.pieces(&reply.text).into_iter();
        inner.extend(
            pieces.map(|piece| with(&place, json!({ "type": format!("response.{kind}.delta"), "delta": piece }))),
        );
        inner.push(with(&place, json!({ "type": format!("response.{kind}.done"), part: reply.text })));
        let whole = json!([{ "type": kind, part: reply.text }]);
        inner.push(with(&place, json!({ "type": "response.content_part.done", "part": whole[0] })));
        tape.item(&message(json!([]), "in_progress"), &inner, message(whole, "completed"));
    }
    for (index, call) in reply.calls.iter().enumerate() {
        let id = format!("fc_fake_{index}");
        let item = |arguments: &str, status: &str| json!({ "id": id, "type": "function_call", "status": status, "call_id": call.id, "name": call.name, "arguments": arguments });
        let delta = |piece| json!({ "type": "response.function_call_arguments.delta", "item_id": id, "delta": piece });
        let mut inner: Vec<_> = reply.pieces(&call.arguments).into_iter().map(delta).collect();
        inner.push(
            json!({ "type": "response.function_call_arguments.done", "item_id": id, "arguments": call.arguments }),
        );
        tape.item(&item("", "in_progress"), &inner, item(&call.arguments, "completed"));
    }
    let usage = json!({ "input_tokens": reply.usage.input, "input_tokens_details": { "cached_tokens": reply.usage.cached },
        "output_tokens": reply.usage.output, "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": reply.usage.input + reply.usage.output });
    let (kind, status, details) = match reply.stop {
        FakeStop::Length => ("response.incomplete", "incomplete", json!({ "reason": "max_output_tokens" })),
        FakeStop::Done | FakeStop::Refused => ("response.completed", "completed", Value::Null),
    };
    let whole = response(status, &tape.output, usage, details);
    tape.send(&json!({ "type": kind, "response": whole }));
    tape.out
}

/// The stream while it is written: every event has a number, every item a place.
struct Tape {
    out: Vec<String>,
    output: Vec<Value>,
}

impl Tape {
    fn send(&mut self, data: &Value) {
        let data = with(data, json!({ "sequence_number": self.out.len() }));
        self.out.push(format!("event: {}\ndata: {data}\n\n", text(&data, "type")));
    }

    fn item(&mut self, begun: &Value, inner: &[Value], done: Value) {
        let place = json!({ "output_index": self.output.len() });
        self.send(&with(&place, json!({ "type": "response.output_item.added", "item": begun })));
        for event in inner {
            self.send(&with(&place, event.clone()));
        }
        self.send(&with(&place, json!({ "type": "response.output_item.done", "item": done })));
        self.output.push(done);
    }
}

/// Two objects in one.
fn with(base: &Value, more: Value) -> Value {
    let mut all = base.as_object().cloned().unwrap_or_default();
    if let Value::Object(more) = more {
        all.extend(more);
    }
    Value::Object(all)
}

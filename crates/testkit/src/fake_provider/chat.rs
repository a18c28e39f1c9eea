//! OpenAI Chat Completions, as the vendor reads and writes it.

use serde_json::{Value, json};

use super::openai;
use super::reply::{FakeStop, Reply};
use super::request::{Asked, Refusal, demand, items, text};

/// How often the model has answered.
pub(super) fn assistant_turns(body: &Value) -> usize {
    items(body, "messages").iter().filter(|message| text(message, "role") == "assistant").count()
}

/// What the vendor would refuse.
pub(super) fn check(asked: &Asked) -> Result<(), Refusal> {
    let body = &asked.body;
    openai::check_common(asked)?;
    openai::check_json_word(body["response_format"]["type"] == "json_object", &body["messages"])?;
    let messages = items(body, "messages");
    demand(!messages.is_empty(), || "messages: array too short".to_owned())?;
    for tool in items(body, "tools") {
        let function = &tool["function"];
        demand(tool["type"] == "function" && function["parameters"].is_object(), || {
            "tools: invalid function".to_owned()
        })?;
    }
    let mut wanted: Vec<&str> = Vec::new();
    for (place, message) in messages.iter().enumerate() {
        if text(message, "role") == "tool" {
            let id = text(message, "tool_call_id");
            demand(wanted.contains(&id), || {
                format!(
                    "messages.[{place}]: messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
                )
            })?;
            wanted.retain(|open| *open != id);
            continue;
        }
        demand(wanted.is_empty(), || {
            format!("An assistant message with 'tool_calls' must be followed by tool messages: {wanted:?}")
        })?;
        items(message, "content").iter().try_for_each(|part| check_part(part, place))?;
        for call in items(message, "tool_calls") {
            demand(call["function"]["arguments"].is_string(), || {
                format!("messages.[{place}]: arguments must be a string")
            })?;
            openai::check_call(text(&call["function"], "name"), text(call, "id"), 40)?;
            wanted.push(text(call, "id"));
        }
    }
    demand(wanted.is_empty(), || {
        format!("An assistant message with 'tool_calls' must be followed by tool messages: {wanted:?}")
    })
}

fn check_part(part: &Value, place: usize) -> Result<(), Refusal> {
    let good = match text(part, "type") {
        "text" => part["text"].is_string(),
        "image_url" => part["image_url"]["url"].is_string(),
        _ => false,
    };
    demand(good, || format!("messages.[{place}]: invalid part {part}"))
}

/// The events of a whole answer.
pub(super) fn events(model: &str, reply: &Reply) -> Vec<String> {
    let chunk = |choices: Value, usage: Value| {
        let data = json!({ "id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": model,
            "system_fingerprint": "fp_fake", "choices": choices, "usage": usage });
        format!("data: {data}\n\n")
    };
    let delta = |delta: Value| {
        chunk(json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": null }]), Value::Null)
    };
    let mut out = vec![delta(json!({ "role": "assistant", "content": "", "refusal": null }))];
    let thoughts = reply.thinking.as_deref().unwrap_or_default();
    out.extend(reply.pieces(thoughts).into_iter().map(|piece| delta(json!({ "reasoning_content": piece }))));
    let key = if reply.stop == FakeStop::Refused { "refusal" } else { "content" };
    out.extend(reply.pieces(&reply.text).into_iter().map(|piece| delta(json!({ key: piece }))));
    for (index, call) in reply.calls.iter().enumerate() {
        let first = json!({ "index": index, "id": call.id, "type": "function", "function": { "name": call.name, "arguments": "" } });
        out.push(delta(json!({ "tool_calls": [first] })));
        let pieces = reply.pieces(&call.arguments).into_iter();
        out.extend(
            pieces
                .map(|piece| delta(json!({ "tool_calls": [{ "index": index, "function": { "arguments": piece } }] }))),
        );
    }
    let reason = match reply.stop {
        FakeStop::Done if reply.calls.is_empty() => "stop",
        FakeStop::Done => "tool_calls",
        FakeStop::Length => "length",
        FakeStop::Refused => "stop",
    };
    out.push(chunk(json!([{ "index": 0, "delta": {}, "logprobs": null, "finish_reason": reason }]), Value::Null));
    let usage = json!({ "prompt_tokens": reply.usage.input, "completion_tokens": reply.usage.output,
        "total_tokens": reply.usage.input + reply.usage.output, "prompt_tokens_details": { "cached_tokens": reply.usage.cached } });
    out.push(chunk(json!([]), usage));
    out.push("data: [DONE]\n\n".to_owned());
    out
}

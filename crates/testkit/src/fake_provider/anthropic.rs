//! Anthropic Messages, as the vendor reads and writes it.

use serde_json::{Value, json};

use super::reply::{FakeStop, Reply};
use super::request::{Asked, Refusal, demand, is_name, items, text, within};

/// The error body of this vendor.
pub(super) fn error(status: u16, words: &str) -> Value {
    let kind = match status {
        401 => "authentication_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    json!({ "type": "error", "error": { "type": kind, "message": words }, "request_id": "req_fake" })
}

/// How often the model has answered.
pub(super) fn assistant_turns(body: &Value) -> usize {
    items(body, "messages").iter().filter(|message| text(message, "role") == "assistant").count()
}

/// What the vendor would refuse.
pub(super) fn check(asked: &Asked) -> Result<(), Refusal> {
    let body = &asked.body;
    if !asked.headers.contains_key("x-api-key") {
        return Err((401, "x-api-key header is required".to_owned()));
    }
    demand(asked.headers.contains_key("anthropic-version"), || "anthropic-version: header is required".to_owned())?;
    demand(body["max_tokens"].as_u64().is_some_and(|n| n > 0), || "max_tokens: Field required".to_owned())?;
    within(body, "temperature", 0.0, 1.0)?;
    within(body, "top_p", 0.0, 1.0)?;
    check_newer(asked)?;
    let messages = items(body, "messages");
    demand(messages.first().is_some_and(|first| text(first, "role") == "user"), || {
        "messages: first message must use the \"user\" role".to_owned()
    })?;
    for tool in items(body, "tools") {
        demand(tool["input_schema"].is_object(), || "tools.0.custom.input_schema: Field required".to_owned())?;
    }
    let mut wanted: Vec<&str> = Vec::new();
    for (place, message) in messages.iter().enumerate() {
        let role = text(message, "role");
        demand(matches!(role, "user" | "assistant"), || format!("messages.{place}.role: unexpected {role}"))?;
        let blocks = items(message, "content");
        let words = text(message, "content");
        demand(!blocks.is_empty() || !words.is_empty(), || format!("messages.{place}: must have non-empty content"))?;
        blocks.iter().try_for_each(|block| check_block(block, place))?;
        let answered: Vec<&str> = of_type(blocks, "tool_result").map(|block| text(block, "tool_use_id")).collect();
        demand(answered.iter().all(|id| wanted.contains(id)), || {
            format!("messages.{place}: unexpected `tool_use_id` found in `tool_result` blocks")
        })?;
        demand(wanted.iter().all(|id| answered.contains(id)), || {
            format!(
                "messages.{place}: `tool_use` ids were found without `tool_result` blocks immediately after: {wanted:?}"
            )
        })?;
        wanted = of_type(blocks, "tool_use").map(|block| text(block, "id")).collect();
    }
    demand(wanted.is_empty(), || format!("`tool_use` ids were found without `tool_result` blocks: {wanted:?}"))
}

/// What models refuse that older ones took.
fn check_newer(asked: &Asked) -> Result<(), Refusal> {
    let (body, model) = (&asked.body, asked.model.as_str());
    let knobs = ["temperature", "top_p"].iter().filter(|knob| body.get(**knob).is_some()).count();
    let newest = model.contains("opus-4-7");
    demand(!newest || knobs == 0, || "`temperature` is deprecated for this model.".to_owned())?;
    let one_at_a_time = ["opus-4-1", "-4-5", "-4-6"].iter().any(|part| model.contains(part));
    demand(!one_at_a_time || knobs < 2, || {
        "`temperature` and `top_p` cannot both be specified for this model. Please use only one.".to_owned()
    })?;
    let last = items(body, "messages").last().map(|message| text(message, "role"));
    demand(!newest || last == Some("user"), || {
        "This model does not support assistant message prefill. The conversation must end with a user message."
            .to_owned()
    })
}

fn of_type<'a>(blocks: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    blocks.iter().filter(move |block| text(block, "type") == kind)
}

fn check_block(block: &Value, place: usize) -> Result<(), Refusal> {
    let good = match text(block, "type") {
        "text" => !text(block, "text").trim().is_empty(),
        "image" => match text(&block["source"], "type") {
            "base64" => {
                text(&block["source"], "media_type").starts_with("image/") && block["source"]["data"].is_string()
            }
            "url" => text(&block["source"], "url").starts_with("http"),
            _ => false,
        },
        "thinking" => !text(block, "signature").is_empty() && block["thinking"].is_string(),
        "tool_use" => {
            is_name(text(block, "id"), usize::MAX) && is_name(text(block, "name"), 128) && block["input"].is_object()
        }
        "tool_result" => {
            items(block, "content").iter().try_for_each(|inner| check_block(inner, place))?;
            !text(block, "tool_use_id").is_empty()
        }
        _ => false,
    };
    demand(good, || format!("messages.{place}: invalid block {block}"))
}

/// The events of a whole answer.
pub(super) fn events(model: &str, reply: &Reply) -> Vec<String> {
    let mut out = Vec::new();
    let mut send = |data: Value| out.push(format!("event: {}\ndata: {data}\n\n", text(&data, "type")));
    let usage = json!({ "input_tokens": reply.usage.input - reply.usage.cached, "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": reply.usage.cached, "output_tokens": 1 });
    send(
        json!({ "type": "message_start", "message": { "id": "msg_fake", "type": "message", "role": "assistant", "model": model,
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage } }),
    );
    send(json!({ "type": "ping" }));
    let mut index = 0;
    let mut block = |start: Value, deltas: Vec<Value>| {
        send(json!({ "type": "content_block_start", "index": index, "content_block": start }));
        for delta in deltas {
            send(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
        }
        send(json!({ "type": "content_block_stop", "index": index }));
        index += 1;
    };
    if let Some(thoughts) = &reply.thinking {
        let mut deltas: Vec<_> =
            reply.pieces(thoughts).into_iter().map(|t| json!({ "type": "thinking_delta", "thinking": t })).collect();
        deltas.push(json!({ "type": "signature_delta", "signature": "c2lnbmVk" }));
        block(json!({ "type": "thinking", "thinking": "", "signature": "" }), deltas);
    }
    if !reply.text.is_empty() {
        let deltas = reply.pieces(&reply.text).into_iter().map(|t| json!({ "type": "text_delta", "text": t }));
        block(json!({ "type": "text", "text": "" }), deltas.collect());
    }
    for call in &reply.calls {
        let mut deltas = vec![json!({ "type": "input_json_delta", "partial_json": "" })];
        deltas.extend(
            reply.pieces(&call.arguments).into_iter().map(|t| json!({ "type": "input_json_delta", "partial_json": t })),
        );
        block(json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": {} }), deltas);
    }
    let reason = match reply.stop {
        FakeStop::Done if reply.calls.is_empty() => "end_turn",
        FakeStop::Done => "tool_use",
        FakeStop::Length => "max_tokens",
        FakeStop::Refused => "refusal",
    };
    send(json!({ "type": "message_delta", "delta": { "stop_reason": reason, "stop_sequence": null },
        "usage": { "output_tokens": reply.usage.output } }));
    send(json!({ "type": "message_stop" }));
    out
}

//! Gemini `streamGenerateContent`, as the vendor reads and writes it.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::reply::{FakeCall, FakeStop, Reply};
use super::request::{Asked, Refusal, demand, is_name, items, text, within};

/// The error body of this vendor.
pub(super) fn error(status: u16, words: &str) -> Value {
    let kind = match status {
        401 => "UNAUTHENTICATED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    };
    json!({ "error": { "code": status, "message": words, "status": kind } })
}

/// How often the model has answered.
pub(super) fn assistant_turns(body: &Value) -> usize {
    items(body, "contents").iter().filter(|content| text(content, "role") == "model").count()
}

/// What the vendor would refuse.
pub(super) fn check(asked: &Asked) -> Result<(), Refusal> {
    let body = &asked.body;
    if !asked.headers.contains_key("x-goog-api-key") {
        return Err((401, "Method doesn't allow unregistered callers. Please use API Key.".to_owned()));
    }
    let known = ["contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings"];
    let strange = body.as_object().into_iter().flatten().map(|(key, _)| key).find(|key| !known.contains(&key.as_str()));
    demand(strange.is_none(), || format!("Invalid JSON payload received. Unknown name {strange:?}"))?;
    within(&body["generationConfig"], "temperature", 0.0, 2.0)?;
    within(&body["generationConfig"], "topP", 0.0, 1.0)?;
    let contents = items(body, "contents");
    demand(contents.first().is_some_and(|first| text(first, "role") == "user"), || {
        "Please ensure that the conversation begins with a user turn.".to_owned()
    })?;
    let mut wanted: Vec<&str> = Vec::new();
    for content in contents {
        let parts = items(content, "parts");
        demand(!parts.is_empty(), || "contents.parts must not be empty.".to_owned())?;
        let names =
            |kind: &'static str| parts.iter().filter_map(move |part| part.get(kind)).map(|call| text(call, "name"));
        let answered: Vec<&str> = names("functionResponse").collect();
        demand(answered == wanted, || {
            "Please ensure that the number of function response parts is equal to the number of function call parts."
                .to_owned()
        })?;
        wanted = names("functionCall").collect();
        let known = |name: &&str| is_name(&name.replace(['.', ':'], "_"), 64);
        demand(wanted.iter().all(known), || format!("Invalid function name. {wanted:?}"))?;
        demand(wanted.is_empty() || text(content, "role") == "model", || {
            "Function calls come from the model.".to_owned()
        })?;
    }
    demand(wanted.is_empty(), || {
        "Please ensure that function call turn is followed by a function response turn.".to_owned()
    })
}

/// The events of a whole answer.
pub(super) fn events(model: &str, reply: &Reply) -> Vec<String> {
    let usage = json!({ "promptTokenCount": reply.usage.input, "cachedContentTokenCount": reply.usage.cached,
        "candidatesTokenCount": reply.usage.output, "totalTokenCount": reply.usage.input + reply.usage.output });
    let chunk = |parts: Value, reason: Option<&str>| {
        let mut candidate = json!({ "content": { "parts": parts, "role": "model" }, "index": 0 });
        if let Some(reason) = reason {
            candidate["finishReason"] = json!(reason);
        }
        let data =
            json!({ "candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": "fake" });
        format!("data: {data}\r\n\r\n")
    };
    let mut out: Vec<_> =
        reply.pieces(&reply.text).into_iter().map(|piece| chunk(json!([{ "text": piece }]), None)).collect();
    // Whatever is JSON goes out as it is written, also what no `Value` could hold.
    let raw = |call: &FakeCall| serde_json::from_str::<&RawValue>(&call.arguments).is_ok();
    let calls = reply.calls.iter().enumerate().map(|(index, call)| {
        let arguments = if raw(call) { json!(stand_in(index)) } else { json!(call.arguments) };
        let mut part = json!({ "functionCall": { "name": call.name, "args": arguments } });
        if !call.id.is_empty() {
            part["functionCall"]["id"] = json!(call.id);
        }
        // Only the first of parallel calls is signed.
        if let (0, Some(thoughts)) = (index, &reply.thinking) {
            part["thoughtSignature"] = json!(thoughts);
        }
        part
    });
    let calls: Vec<_> = calls.collect();
    if !calls.is_empty() {
        let mut event = chunk(json!(calls), None);
        for (index, call) in reply.calls.iter().enumerate().filter(|(_, call)| raw(call)) {
            event = event.replacen(&json!(stand_in(index)).to_string(), &call.arguments, 1);
        }
        out.push(event);
    }
    let reason = match reply.stop {
        FakeStop::Done => "STOP",
        FakeStop::Length => "MAX_TOKENS",
        FakeStop::Refused => "SAFETY",
    };
    out.push(chunk(json!([{ "text": "" }]), Some(reason)));
    out
}

/// Holds the place of the arguments of a call.
fn stand_in(index: usize) -> String {
    format!("@arguments {index}@")
}

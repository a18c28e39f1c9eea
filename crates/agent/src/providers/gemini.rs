//! Gemini `streamGenerateContent`.

use domain::turns::{Stop, Usage};
use serde_json::{Map, Value, json};

use super::draft::{Draft, DraftCall, End, Read};
use super::json::{count, items, text};
use super::route::Route;
use super::sampling::knobs;
use super::talk::{JSON_RULE, Part, Picture, ToolResult, Turn, pictures_after, plain_name};
use crate::models::TurnRequest;

/// Gemini 3 refuses calls without a signature; this stands in for those that another provider made.
const UNSIGNED: &str = "skip_thought_signature_validator";

/// The path of a request; the model's name is one segment of it.
pub(super) fn path(model: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let name = model.strip_prefix("models/").unwrap_or(model).bytes();
    let name: String =
        name.map(|byte| if safe(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect();
    format!("/v1beta/models/{name}:streamGenerateContent?alt=sse")
}

/// The body of a request. JSON is asked for in words: the switch does not go together with tools, which every Job has.
pub(super) fn body(request: &TurnRequest<'_>, route: &Route<'_>, turns: Vec<Turn<'_>>, limit: Option<u32>) -> Value {
    let rule = if request.json_object { format!("\n\n{JSON_RULE}") } else { String::new() };
    let needs_signature = route.model.contains("gemini-3");
    let mut contents = Vec::new();
    for turn in turns {
        add(&mut contents, turn, needs_signature);
    }
    let mut body = json!({
        "systemInstruction": { "parts": [{ "text": format!("{}{rule}", request.instructions) }] },
        "contents": contents,
    });
    if !request.tools.is_empty() {
        let tools = request.tools.iter().map(|tool| {
            json!({ "name": tool.name, "description": tool.description, "parametersJsonSchema": tool.parameters })
        });
        body["tools"] = json!([{ "functionDeclarations": tools.collect::<Vec<_>>() }]);
    }
    let mut config = Map::new();
    let knobs = knobs(route, request.sampling);
    if let Some(temperature) = knobs.temperature {
        config.insert("temperature".to_owned(), json!(temperature));
    }
    if let Some(top_p) = knobs.top_p {
        config.insert("topP".to_owned(), json!(top_p));
    }
    if let Some(limit) = limit {
        config.insert("maxOutputTokens".to_owned(), json!(limit));
    }
    if !config.is_empty() {
        body["generationConfig"] = Value::Object(config);
    }
    body
}

fn add(contents: &mut Vec<Value>, turn: Turn<'_>, needs_signature: bool) {
    match turn {
        Turn::User(parts) => contents.push(user(parts)),
        Turn::Assistant { text, calls, kept } => {
            let kept = kept.unwrap_or_default();
            let signed = |mut part: Value, signature: &Value| {
                if signature.is_string() {
                    part["thoughtSignature"] = signature.clone();
                }
                part
            };
            let mut parts = Vec::new();
            if !text.is_empty() || kept["text"].is_string() {
                parts.push(signed(json!({ "text": text }), &kept["text"]));
            }
            let unsigned = json!(UNSIGNED);
            parts.extend(calls.iter().enumerate().map(|(place, call)| {
                let part =
                    json!({ "functionCall": with_id(&call.id, json!({ "name": plain_name(&call.name), "args": call.arguments })) });
                match &kept["calls"][place] {
                    Value::Null if place == 0 && needs_signature => signed(part, &unsigned),
                    signature => signed(part, signature),
                }
            }));
            contents.push(json!({ "role": "model", "parts": parts }));
        }
        Turn::Results(mut results) => {
            let pictures = pictures_after(&mut results);
            contents.push(json!({ "role": "user", "parts": results.iter().map(result).collect::<Vec<_>>() }));
            if !pictures.is_empty() {
                contents.push(user(pictures));
            }
        }
    }
}

fn user(parts: Vec<Part>) -> Value {
    let part = |part| match part {
        Part::Text(text) => json!({ "text": text }),
        Part::Picture(Picture::Bytes { media_type, base64 }, _) => {
            json!({ "inlineData": { "mimeType": media_type, "data": base64 } })
        }
        Part::Picture(Picture::Address(url), _) => {
            json!({ "fileData": { "mimeType": media_type(&url), "fileUri": url } })
        }
    };
    json!({ "role": "user", "parts": parts.into_iter().map(part).collect::<Vec<_>>() })
}

fn result(result: &ToolResult<'_>) -> Value {
    let key = if result.failed { "error" } else { "output" };
    json!({ "functionResponse": with_id(result.id, json!({ "name": plain_name(result.name), "response": { key: result.text } })) })
}

/// Ids of our own making stay at home: calls without one are matched by their order.
fn with_id(id: &str, mut call: Value) -> Value {
    if !id.starts_with("call_") {
        call["id"] = json!(id);
    }
    call
}

/// A guess from the ending of the path, which this wire wants to have.
fn media_type(url: &str) -> &'static str {
    let path = url.split(['?', '#']).next().unwrap_or(url).to_ascii_lowercase();
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("png") => "image/png",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        _ => "image/jpeg",
    }
}

/// Signatures to send back: of each call, and of the text.
#[derive(Debug, Default)]
pub(super) struct State {
    calls: Vec<Value>,
    text: Value,
}

impl State {
    pub(super) fn read(&mut self, event: &Value, draft: &mut Draft) -> Read {
        if event.get("error").is_some() || event.pointer("/promptFeedback/blockReason").is_some() {
            return Read::Failed;
        }
        if let Some(model) = event["modelVersion"].as_str() {
            draft.model = Some(model.to_owned());
        }
        let candidate = &event["candidates"][0];
        for part in items(candidate, "/content/parts") {
            self.part(part, draft);
        }
        if let Some(usage) = event.get("usageMetadata") {
            draft.usage = Usage {
                input_tokens: count(usage, "/promptTokenCount")
                    .saturating_add(count(usage, "/toolUsePromptTokenCount")),
                output_tokens: count(usage, "/candidatesTokenCount")
                    .saturating_add(count(usage, "/thoughtsTokenCount")),
                cached_tokens: count(usage, "/cachedContentTokenCount"),
                cost_micro_usd: None,
            };
        }
        let Some(reason) = candidate["finishReason"].as_str() else { return Read::More };
        draft.end = Some(end(reason));
        if self.text.is_string() || self.calls.iter().any(Value::is_string) {
            draft.kept = json!({ "calls": self.calls, "text": self.text });
        }
        Read::Done
    }

    fn part(&mut self, part: &Value, draft: &mut Draft) {
        let signature = part.get("thoughtSignature").cloned().unwrap_or_default();
        if let Some(call) = part.get("functionCall") {
            draft.calls.push(DraftCall {
                id: text(call, "/id").to_owned(),
                name: text(call, "/name").to_owned(),
                arguments: call.get("args").map_or_else(String::new, Value::to_string),
            });
            self.calls.push(signature);
        } else if part["thought"] != json!(true) {
            draft.text.push_str(text(part, "/text"));
            if signature.is_string() {
                self.text = signature;
            }
        }
    }
}

fn end(reason: &str) -> End {
    match reason {
        "STOP" => End::Stop(Stop::Done),
        "MAX_TOKENS" => End::Stop(Stop::Length),
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "LANGUAGE" | "IMAGE_SAFETY" => {
            End::Stop(Stop::Refused)
        }
        "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" => End::Stop(Stop::Malformed),
        other => End::Other(other.to_owned()),
    }
}

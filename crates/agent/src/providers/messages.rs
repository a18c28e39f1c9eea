//! Anthropic Messages.

use std::collections::HashMap;

use domain::turns::Stop;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::draft::{Draft, DraftCall, End, Read};
use super::json::{append, count, text};
use super::route::Route;
use super::sampling::knobs;
use super::talk::{JSON_RULE, Part, Picture, ToolResult, Turn, plain_name};
use crate::models::TurnRequest;

/// The version of the API that this module speaks, and what makes it take a million tokens.
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");
const LONG_CONTEXT: (&str, &str) = ("anthropic-beta", "context-1m-2025-08-07");

/// Headers besides the key.
pub(super) fn headers(http: RequestBuilder, route: &Route<'_>) -> RequestBuilder {
    let http = http.header(VERSION.0, VERSION.1);
    if route.long_context { http.header(LONG_CONTEXT.0, LONG_CONTEXT.1) } else { http }
}

/// The body of a request.
pub(super) fn body(request: &TurnRequest<'_>, route: &Route<'_>, turns: Vec<Turn<'_>>, limit: Option<u32>) -> Value {
    let rule = if request.json_object { format!("\n\n{JSON_RULE}") } else { String::new() };
    let mut body = json!({
        "model": route.model,
        "stream": true,
        "max_tokens": limit.unwrap_or_else(|| most_tokens(&route.model)),
        "system": format!("{}{rule}", request.instructions),
        "messages": turns.into_iter().map(message).collect::<Vec<_>>(),
    });
    if !request.tools.is_empty() {
        let tools = request
            .tools
            .iter()
            .map(|tool| json!({ "name": tool.name, "description": tool.description, "input_schema": tool.parameters }));
        body["tools"] = tools.collect();
    }
    knobs(route, request.sampling).write(&mut body);
    body
}

/// The API insists on a limit; this is the largest that the vendor documents for the model.
fn most_tokens(model: &str) -> u32 {
    let is = |parts: &[&str]| parts.iter().any(|part| model.contains(part));
    if is(&["3-opus", "3-haiku"]) {
        4096
    } else if is(&["3-5-"]) {
        8192
    } else if is(&["opus-4-0", "opus-4-1", "opus-4-2025"]) {
        32_000
    } else {
        64_000
    }
}

fn message(turn: Turn<'_>) -> Value {
    match turn {
        Turn::User(parts) => json!({ "role": "user", "content": parts.into_iter().map(part).collect::<Vec<_>>() }),
        Turn::Assistant { text, calls, kept } => {
            // Signed thoughts come before everything else.
            let mut content = kept.and_then(|kept| kept.as_array().cloned()).unwrap_or_default();
            if !text.is_empty() {
                content.push(json!({ "type": "text", "text": text }));
            }
            content.extend(calls.iter().map(
                |call| json!({ "type": "tool_use", "id": plain(&call.id), "name": plain_name(&call.name), "input": call.arguments }),
            ));
            json!({ "role": "assistant", "content": content })
        }
        Turn::Results(results) => {
            json!({ "role": "user", "content": results.into_iter().map(result).collect::<Vec<_>>() })
        }
    }
}

fn part(part: Part) -> Value {
    match part {
        Part::Text(text) => json!({ "type": "text", "text": text }),
        Part::Picture(picture, _) => image(picture),
    }
}

fn image(picture: Picture) -> Value {
    let source = match picture {
        Picture::Bytes { media_type, base64 } => json!({ "type": "base64", "media_type": media_type, "data": base64 }),
        Picture::Address(url) => json!({ "type": "url", "url": url }),
    };
    json!({ "type": "image", "source": source })
}

fn result(result: ToolResult<'_>) -> Value {
    // A blank text block is refused, an empty result is not.
    let mut content: Vec<_> =
        Some(result.text).filter(|text| !text.trim().is_empty()).map(Part::Text).map(part).into_iter().collect();
    content.extend(result.picture.map(image));
    let mut block = json!({ "type": "tool_result", "tool_use_id": plain(result.id), "content": content });
    if result.failed {
        block["is_error"] = json!(true);
    }
    block
}

/// This vendor takes fewer characters in an id than others make, and a run may have changed provider on its way.
fn plain(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' }).collect()
}

/// Where the pieces of each block go.
#[derive(Debug, Default)]
pub(super) struct State {
    blocks: HashMap<u64, Block>,
    thoughts: Vec<Value>,
}

#[derive(Debug, Clone, Copy)]
enum Block {
    /// Place among the draft's calls.
    Call(usize),
    /// Place among the thoughts.
    Thought(usize),
}

impl State {
    pub(super) fn read(&mut self, event: &Value, draft: &mut Draft) -> Read {
        match text(event, "/type") {
            "message_start" => {
                draft.model = event.pointer("/message/model").and_then(Value::as_str).map(str::to_owned);
                usage(&event["message"]["usage"], draft);
            }
            "content_block_start" => self.start(event, draft),
            "content_block_delta" => self.delta(event, draft),
            "message_delta" => {
                draft.end = event.pointer("/delta/stop_reason").and_then(Value::as_str).map(end);
                usage(&event["usage"], draft);
            }
            "message_stop" => {
                if !self.thoughts.is_empty() {
                    draft.kept = Value::Array(std::mem::take(&mut self.thoughts));
                }
                return Read::Done;
            }
            "error" => return Read::Failed,
            // Pings, ends of blocks, and what the vendor may add.
            _ => {}
        }
        Read::More
    }

    fn start(&mut self, event: &Value, draft: &mut Draft) {
        let block = &event["content_block"];
        let place = match text(block, "/type") {
            "text" => {
                draft.text.push_str(text(block, "/text"));
                return;
            }
            "tool_use" => {
                // Some gateways send the whole input at once.
                let input = block["input"].as_object().filter(|input| !input.is_empty());
                draft.calls.push(DraftCall {
                    id: text(block, "/id").to_owned(),
                    name: text(block, "/name").to_owned(),
                    arguments: input.map_or_else(String::new, |_| block["input"].to_string()),
                });
                Block::Call(draft.calls.len() - 1)
            }
            "thinking" | "redacted_thinking" => {
                self.thoughts.push(block.clone());
                Block::Thought(self.thoughts.len() - 1)
            }
            _ => return,
        };
        self.blocks.insert(event["index"].as_u64().unwrap_or_default(), place);
    }

    fn delta(&mut self, event: &Value, draft: &mut Draft) {
        let delta = &event["delta"];
        draft.text.push_str(text(delta, "/text"));
        match self.blocks.get(&event["index"].as_u64().unwrap_or_default()) {
            Some(Block::Call(place)) => draft.calls[*place].arguments.push_str(text(delta, "/partial_json")),
            Some(Block::Thought(place)) => {
                append(&mut self.thoughts[*place], "thinking", text(delta, "/thinking"));
                append(&mut self.thoughts[*place], "signature", text(delta, "/signature"));
            }
            None => {}
        }
    }
}

/// Cached tokens are counted apart; for us they are part of the prompt.
fn usage(usage: &Value, draft: &mut Draft) {
    if usage["input_tokens"].is_u64() {
        draft.usage.cached_tokens = count(usage, "/cache_read_input_tokens");
        let written = count(usage, "/cache_creation_input_tokens");
        let fresh = count(usage, "/input_tokens").saturating_add(written);
        draft.usage.input_tokens = fresh.saturating_add(draft.usage.cached_tokens);
    }
    if usage["output_tokens"].is_u64() {
        draft.usage.output_tokens = count(usage, "/output_tokens");
    }
}

fn end(reason: &str) -> End {
    match reason {
        "end_turn" | "tool_use" | "stop_sequence" => End::Stop(Stop::Done),
        "max_tokens" | "model_context_window_exceeded" => End::Stop(Stop::Length),
        "refusal" => End::Stop(Stop::Refused),
        other => End::Other(other.to_owned()),
    }
}

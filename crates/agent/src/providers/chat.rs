//! OpenAI Chat Completions, and the many servers that speak it more or less.

use std::collections::HashMap;

use domain::models::{Provider, provider_for};
use domain::turns::{Stop, Usage};
use serde_json::{Value, json};

use super::draft::{Draft, DraftCall, End, Read};
use super::json::{count, items, push, text};
use super::route::Route;
use super::sampling::{knobs, reasons};
use super::talk::{JSON_RULE, Part, Turn, pictures_after, plain_name};
use crate::models::TurnRequest;
use crate::settings::Service;

/// The body of a request.
pub(super) fn body(request: &TurnRequest<'_>, route: &Route<'_>, turns: Vec<Turn<'_>>, limit: Option<u32>) -> Value {
    let rule = if request.json_object { format!("\n\n{JSON_RULE}") } else { String::new() };
    let mut messages = vec![json!({ "role": "system", "content": format!("{}{rule}", request.instructions) })];
    for turn in turns {
        add(&mut messages, turn);
    }
    let mut body = json!({
        "model": route.model,
        "stream": true,
        "stream_options": { "include_usage": true },
        "messages": messages,
    });
    if !request.tools.is_empty() {
        let tools = request.tools.iter().map(|tool| {
            let function = json!({ "name": tool.name, "description": tool.description, "parameters": tool.parameters });
            json!({ "type": "function", "function": function })
        });
        body["tools"] = tools.collect();
    }
    // Many small servers force the switch upon tool calls as well, so beside tools only OpenAI's own models get it; others have the rule.
    let own = route.service == Service::OpenAi && provider_for(&route.model) == Provider::OpenAiResponses;
    if request.json_object && (own || request.tools.is_empty()) {
        body["response_format"] = json!({ "type": "json_object" });
    }
    let sampling = request.sampling;
    if let Some(store) = sampling.store {
        body["store"] = json!(store);
    }
    // OpenAI's reasoning models know the limit by another name.
    let reasons = route.service == Service::OpenAi && reasons(&route.model);
    if let Some(limit) = limit {
        body[if reasons { "max_completion_tokens" } else { "max_tokens" }] = json!(limit);
    }
    knobs(route, sampling).write(&mut body);
    body
}

fn add(messages: &mut Vec<Value>, turn: Turn<'_>) {
    match turn {
        Turn::User(parts) => messages.push(user(parts)),
        Turn::Assistant { text, calls, kept } => {
            let mut message = json!({ "role": "assistant", "content": text });
            if !calls.is_empty() {
                let calls = calls.iter().map(|call| {
                    let arguments = Value::Object(call.arguments.clone()).to_string();
                    json!({ "id": call.id, "type": "function", "function": { "name": plain_name(&call.name), "arguments": arguments } })
                });
                message["tool_calls"] = calls.collect();
            }
            if let Some(thoughts) = kept {
                message["reasoning_content"] = thoughts;
            }
            messages.push(message);
        }
        Turn::Results(mut results) => {
            let pictures = pictures_after(&mut results);
            let output = |id, text| json!({ "role": "tool", "tool_call_id": id, "content": text });
            messages.extend(results.into_iter().map(|result| output(result.id, result.text)));
            if !pictures.is_empty() {
                messages.push(user(pictures));
            }
        }
    }
}

/// Plain text where there is nothing else: small servers know no parts.
fn user(parts: Vec<Part>) -> Value {
    let texts: Option<Vec<&str>> =
        parts.iter().map(|part| if let Part::Text(text) = part { Some(text.as_str()) } else { None }).collect();
    if let Some(texts) = texts {
        return json!({ "role": "user", "content": texts.join("\n\n") });
    }
    let part = |part| match part {
        Part::Text(text) => json!({ "type": "text", "text": text }),
        Part::Picture(picture, detail) => {
            let mut image = json!({ "url": picture.into_url() });
            if let Some(detail) = detail {
                image["detail"] = json!(detail);
            }
            json!({ "type": "image_url", "image_url": image })
        }
    };
    json!({ "role": "user", "content": parts.into_iter().map(part).collect::<Vec<_>>() })
}

/// The latest call of the draft with each of the server's numbers.
#[derive(Debug, Default)]
pub(super) struct State {
    numbers: HashMap<u64, usize>,
}

impl State {
    pub(super) fn read(&mut self, event: &Value, draft: &mut Draft) -> Read {
        if event.get("error").is_some_and(|error| !error.is_null()) {
            return Read::Failed;
        }
        if draft.model.is_none() {
            draft.model = event["model"].as_str().map(str::to_owned);
        }
        let choice = &event["choices"][0];
        let delta = &choice["delta"];
        draft.text.push_str(text(delta, "/content"));
        draft.refusal.push_str(text(delta, "/refusal"));
        // Two names for thoughts in clear; who sends them wants them back with the calls that they led to.
        let thoughts = [text(delta, "/reasoning_content"), text(delta, "/reasoning")]
            .into_iter()
            .find(|thoughts| !thoughts.is_empty());
        if let Some(thoughts) = thoughts {
            push(&mut draft.kept, thoughts);
        }
        for piece in items(delta, "/tool_calls") {
            self.call(piece, draft);
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            draft.end = Some(end(reason));
        }
        if event["usage"].is_object() {
            draft.usage = Usage {
                input_tokens: count(event, "/usage/prompt_tokens"),
                output_tokens: count(event, "/usage/completion_tokens"),
                cached_tokens: count(event, "/usage/prompt_tokens_details/cached_tokens"),
                cost_micro_usd: None,
            };
        }
        // The final event is `[DONE]`, which is no JSON: the caller knows it.
        Read::More
    }

    /// A piece belongs to the call of its number. Some servers number nothing, or everything 0: then a new id begins a new call.
    fn call(&mut self, piece: &Value, draft: &mut Draft) {
        let number = piece["index"].as_u64();
        let id = text(piece, "/id");
        let known = match number {
            Some(number) => self.numbers.get(&number).copied(),
            None => draft.calls.len().checked_sub(1),
        };
        let same =
            known.filter(|place| id.is_empty() || draft.calls[*place].id.is_empty() || draft.calls[*place].id == id);
        let place = same.unwrap_or_else(|| {
            draft.calls.push(DraftCall::default());
            let place = draft.calls.len() - 1;
            self.numbers.extend(number.map(|number| (number, place)));
            place
        });
        let call = &mut draft.calls[place];
        if call.id.is_empty() {
            id.clone_into(&mut call.id);
        }
        if call.name.is_empty() {
            text(piece, "/function/name").clone_into(&mut call.name);
        }
        call.arguments.push_str(text(piece, "/function/arguments"));
    }
}

fn end(reason: &str) -> End {
    match reason {
        "stop" | "tool_calls" | "function_call" => End::Stop(Stop::Done),
        "length" => End::Stop(Stop::Length),
        "content_filter" => End::Stop(Stop::Refused),
        other => End::Other(other.to_owned()),
    }
}

//! OpenAI Responses.

use std::collections::HashMap;

use domain::builds::Detail;
use domain::turns::{Stop, Usage};
use serde_json::{Value, json};

use super::draft::{Draft, DraftCall, End, Read};
use super::json::{count, items, text};
use super::route::Route;
use super::sampling::{knobs, reasons};
use super::talk::{JSON_RULE, Part, Turn, pictures_after, plain_name};
use crate::models::TurnRequest;

/// The body of a request.
pub(super) fn body(request: &TurnRequest<'_>, route: &Route<'_>, turns: Vec<Turn<'_>>, limit: Option<u32>) -> Value {
    let mut input = Vec::new();
    if request.json_object {
        // The switch looks for the word among the messages, not in the instructions.
        input.push(json!({ "role": "system", "content": JSON_RULE }));
    }
    for turn in turns {
        add(&mut input, turn);
    }
    let sampling = request.sampling;
    let mut body = json!({
        "model": route.model,
        "stream": true,
        // Nobody keeps a conversation unless the Build says so.
        "store": sampling.store.unwrap_or(false),
        "instructions": request.instructions,
        "input": input,
    });
    if !request.tools.is_empty() {
        let tools = request.tools.iter().map(|tool| {
            json!({ "type": "function", "name": tool.name, "description": tool.description, "parameters": tool.parameters, "strict": false })
        });
        body["tools"] = tools.collect();
    }
    if request.json_object {
        body["text"] = json!({ "format": { "type": "json_object" } });
    }
    if let Some(limit) = limit {
        body["max_output_tokens"] = json!(limit);
    }
    if reasons(&route.model) {
        body["include"] = json!(["reasoning.encrypted_content"]);
    }
    knobs(route, sampling).write(&mut body);
    body
}

fn add(input: &mut Vec<Value>, turn: Turn<'_>) {
    match turn {
        Turn::User(parts) => input.push(user(parts)),
        Turn::Assistant { text, calls, kept } => {
            input.extend(kept.and_then(|kept| kept.as_array().cloned()).unwrap_or_default());
            if !text.is_empty() {
                input.push(json!({ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": text }] }));
            }
            input.extend(calls.iter().map(|call| {
                let arguments = Value::Object(call.arguments.clone()).to_string();
                json!({ "type": "function_call", "call_id": call.id, "name": plain_name(&call.name), "arguments": arguments })
            }));
        }
        Turn::Results(mut results) => {
            let pictures = pictures_after(&mut results);
            let output = |id, text| json!({ "type": "function_call_output", "call_id": id, "output": text });
            input.extend(results.into_iter().map(|result| output(result.id, result.text)));
            if !pictures.is_empty() {
                input.push(user(pictures));
            }
        }
    }
}

fn user(parts: Vec<Part>) -> Value {
    let part = |part| match part {
        Part::Text(text) => json!({ "type": "input_text", "text": text }),
        Part::Picture(picture, detail) => {
            json!({ "type": "input_image", "detail": detail.unwrap_or(Detail::Auto), "image_url": picture.into_url() })
        }
    };
    json!({ "role": "user", "content": parts.into_iter().map(part).collect::<Vec<_>>() })
}

/// Which item of the output is which call of the draft.
#[derive(Debug, Default)]
pub(super) struct State {
    calls: HashMap<u64, usize>,
    reasoning: Vec<Value>,
}

impl State {
    pub(super) fn read(&mut self, event: &Value, draft: &mut Draft) -> Read {
        match text(event, "/type") {
            "response.created" => {
                draft.model = event.pointer("/response/model").and_then(Value::as_str).map(str::to_owned);
            }
            "response.output_text.delta" => draft.text.push_str(text(event, "/delta")),
            "response.refusal.delta" => draft.refusal.push_str(text(event, "/delta")),
            "response.output_item.added" if text(event, "/item/type") == "function_call" => {
                self.call(event, draft);
            }
            "response.function_call_arguments.delta" => {
                if let Some(place) = self.calls.get(&count(event, "/output_index")) {
                    draft.calls[*place].arguments.push_str(text(event, "/delta"));
                }
            }
            "response.output_item.done" => self.done(event, draft),
            "response.completed" | "response.incomplete" => {
                self.close(&event["response"], draft);
                return Read::Done;
            }
            "response.failed" | "error" => return Read::Failed,
            _ => {}
        }
        Read::More
    }

    /// The call of an item, taken up now if it is new.
    fn call<'d>(&mut self, event: &Value, draft: &'d mut Draft) -> &'d mut DraftCall {
        let place = *self.calls.entry(count(event, "/output_index")).or_insert_with(|| {
            draft.calls.push(DraftCall {
                id: text(event, "/item/call_id").to_owned(),
                name: text(event, "/item/name").to_owned(),
                arguments: String::new(),
            });
            draft.calls.len() - 1
        });
        &mut draft.calls[place]
    }

    /// A finished item says everything again, whole.
    fn done(&mut self, event: &Value, draft: &mut Draft) {
        let item = &event["item"];
        match text(item, "/type") {
            "function_call" => text(item, "/arguments").clone_into(&mut self.call(event, draft).arguments),
            "reasoning" if item["encrypted_content"].is_string() => {
                // Without its id, which means nothing where nothing is stored.
                let kept = json!({ "type": "reasoning", "summary": item["summary"], "encrypted_content": item["encrypted_content"] });
                self.reasoning.push(kept);
            }
            "message" if draft.text.is_empty() => {
                for part in items(item, "/content") {
                    draft.text.push_str(text(part, "/text"));
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, response: &Value, draft: &mut Draft) {
        // Some servers tell everything in the last event only.
        if draft.text.is_empty() && draft.calls.is_empty() {
            for (place, item) in items(response, "/output").iter().enumerate() {
                self.done(&json!({ "output_index": place, "item": item }), draft);
            }
        }
        draft.usage = Usage {
            input_tokens: count(response, "/usage/input_tokens"),
            output_tokens: count(response, "/usage/output_tokens"),
            cached_tokens: count(response, "/usage/input_tokens_details/cached_tokens"),
            cost_micro_usd: None,
        };
        if !self.reasoning.is_empty() {
            draft.kept = Value::Array(std::mem::take(&mut self.reasoning));
        }
        draft.end = Some(match (text(response, "/status"), text(response, "/incomplete_details/reason")) {
            ("completed", _) => End::Stop(Stop::Done),
            ("incomplete", "max_output_tokens") => End::Stop(Stop::Length),
            ("incomplete", "content_filter") => End::Stop(Stop::Refused),
            (status, reason) => End::Other(format!("{status} {reason}")),
        });
    }
}

//! `plan`: the to-do list. It lives in the transcript alone, where people follow it and the model finds it again; nothing is stored here.

use domain::turns::{Outcome, ToolCall, ToolSpec};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, arguments};

pub(super) const NAME: &str = "plan";

/// Longer lists are several Jobs.
const ITEMS_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    text: String,
    status: Status,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Status {
    Todo,
    Doing,
    Done,
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: NAME.into(),
        description: "Write down or update your to-do list, which the people who follow this Job see. Call it first, before any other \
            tool, and again whenever a step begins or is done. Always give the whole list: it replaces the one before. Use 2 to 12 short \
            steps, with one \"doing\" at a time. Returns the list as text.".into(),
        parameters: json!({
            "type": "object",
            "properties": { "items": {
                "type": "array",
                "description": "All steps in order, finished ones included.",
                "items": {
                    "type": "object",
                    "properties": {
                        "text": { "type": "string", "description": "The step, in one line." },
                        "status": { "type": "string", "enum": ["todo", "doing", "done"] },
                    },
                    "required": ["text", "status"],
                    "additionalProperties": false,
                },
            } },
            "required": ["items"],
            "additionalProperties": false,
        }),
    }
}

/// Returns `{"plan": text, "done": n, "total": n}`.
pub(super) fn run(call: &ToolCall) -> Answer {
    let Arguments { items } = arguments::parse(call)?;
    if items.is_empty() || items.len() > ITEMS_MAX {
        return Err(format!("argument \"items\": expected 1 to {ITEMS_MAX} steps, not {}", items.len()));
    }
    if let Some(empty) = items.iter().position(|item| item.text.trim().is_empty()) {
        return Err(format!("argument \"items[{empty}].text\": expected the step in words"));
    }
    let lines: Vec<String> = items.iter().map(line).collect();
    let done = items.iter().filter(|item| item.status == Status::Done).count();
    Ok(Outcome::Ok(json!({ "plan": lines.join("\n"), "done": done, "total": items.len() })))
}

fn line(item: &Item) -> String {
    let mark = match item.status {
        Status::Todo => ' ',
        Status::Doing => '>',
        Status::Done => 'x',
    };
    // One step, one line, whatever the model put in between.
    format!("[{mark}] {}", item.text.split_whitespace().collect::<Vec<_>>().join(" "))
}

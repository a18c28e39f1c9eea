//! A run's journal as a person reads it on a terminal, entry by entry. Text in, text out: nothing is fetched or printed here.

use std::collections::HashMap;

use domain::human_requests::{ASK_PERSON, HumanRequest, Kind, Response};
use domain::runs::{Event, FINISH};
use domain::turns::{Outcome, ToolCall};
use serde_json::Value;
use uuid::Uuid;

use crate::paint::{self, Paint};

/// Characters of a line of prose, and of a tool's line before its result.
const WIDTH: usize = 96;
const CALL_WIDTH: usize = 70;

/// Shows one run.
pub(crate) struct Transcript {
    paint: Paint,
    /// Calls whose outcome is still to come.
    open: HashMap<Uuid, ToolCall>,
    /// The call whose line has no end yet, waiting for its outcome.
    dangling: Option<Uuid>,
    plan_shown: bool,
}

impl Transcript {
    /// A blank page.
    pub(crate) fn new(paint: Paint) -> Self {
        Self { paint, open: HashMap::new(), dangling: None, plan_shown: false }
    }

    /// What to print for the next entry; may be nothing, and may lack the line's end while a tool is at work.
    pub(crate) fn show(&mut self, event: &Event) -> String {
        let continued = matches!((event, self.dangling), (Event::ToolFinished { key, .. }, Some(open)) if *key == open);
        let shown = match event {
            Event::Claimed { attempt: attempt @ 2.. } => self.aside(&format!("taken up again, attempt {attempt}")),
            Event::MessageReceived(said) => paint::paragraph(&format!("> {}", said.text), "  ", WIDTH),
            Event::Noted { text } => self.aside(text),
            Event::Replied { reply, .. } => paint::paragraph(reply.text.trim(), "  ", WIDTH),
            Event::TurnFailed { failure, .. } if failure.retryable => {
                self.aside(&format!("a model call failed and is tried again: {}", failure.message))
            }
            Event::ToolStarted { call } => return self.ended_line() + &self.started(call),
            Event::ToolFinished { key, outcome } => self.finished(*key, outcome, continued),
            Event::ToolChanged { .. } => self.aside("a tool is defined otherwise than when it was pinned to the Build"),
            Event::PersonAsked { request } | Event::Held { request } => self.asked(request),
            Event::PersonAnswered { response, .. } => {
                format!("  {} {}\n", self.paint.yellow("answered:"), answer(response))
            }
            Event::Completed { result } => {
                let result = result.as_ref().map(|text| paint::paragraph(text, "    ", WIDTH)).unwrap_or_default();
                format!("  {}\n{result}", self.paint.green("✓ completed"))
            }
            Event::Failed { cause } => {
                let why = paint::paragraph(&format!("{} ({})", cause.message, cause.code), "    ", WIDTH);
                format!("  {}\n{why}", self.paint.red("✗ failed"))
            }
            Event::Interrupted { .. } => format!("  {}\n", self.paint.yellow("■ stopped")),
            // The first claim is no news, and a final failure is told by the `Failed` that follows.
            Event::Created { .. } | Event::Claimed { .. } | Event::TurnFailed { .. } => String::new(),
        };
        if continued || shown.is_empty() { shown } else { self.ended_line() + &shown }
    }

    fn started(&mut self, call: &ToolCall) -> String {
        match call.name.as_str() {
            // Their own entries say it better.
            ASK_PERSON | FINISH => return String::new(),
            "plan" => return self.plan(call),
            _ => {}
        }
        self.open.insert(call.key, call.clone());
        self.dangling = Some(call.key);
        format!("    {} {}", self.paint.bold(&paint::line(&call.name, CALL_WIDTH)), argument(call))
    }

    fn finished(&mut self, key: Uuid, outcome: &Outcome, continued: bool) -> String {
        let call = self.open.remove(&key);
        let told = match outcome {
            Outcome::Ok(value) => self.paint.dim(&format!("→ {}", result(value))),
            Outcome::Image(image) => self.paint.dim(&format!("→ a picture, {} bytes", image.size_bytes)),
            Outcome::Error(why) | Outcome::Skipped(why) => self.paint.red(&format!("→ {}", paint::line(why, WIDTH))),
            Outcome::Unknown => self.paint.red("→ nobody knows whether it took effect"),
        };
        if continued {
            self.dangling = None;
            return format!(" {told}\n");
        }
        match (call, outcome) {
            (Some(call), _) => format!("    {} {told}\n", self.paint.bold(&paint::line(&call.name, CALL_WIDTH))),
            // A plan or a question that was not understood.
            (None, Outcome::Error(_)) => format!("    {told}\n"),
            (None, _) => String::new(),
        }
    }

    /// The whole list the first time, then only how far it is.
    fn plan(&mut self, call: &ToolCall) -> String {
        let items = call.arguments.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let text = |item: &Value| paint::line(item["text"].as_str().unwrap_or_default(), WIDTH);
        let is = |item: &&Value, status: &str| item["status"] == status;
        let title = self.paint.bold("plan");
        if !std::mem::replace(&mut self.plan_shown, true) {
            return format!("    {title}\n")
                + &paint::lines(items.iter().map(|item| format!("      · {}", text(item))));
        }
        let done = items.iter().filter(|item| is(item, "done")).count();
        let now = items.iter().find(|item| is(item, "doing")).map(|item| format!("; now: {}", text(item)));
        let told = format!("{done} of {} done{}", items.len(), now.unwrap_or_default());
        format!("    {title} {}\n", self.paint.dim(&told))
    }

    fn asked(&self, request: &HumanRequest) -> String {
        let mut shown =
            format!("  {} {}\n", self.paint.yellow("?"), self.paint.bold(&paint::line(&request.title, 200)));
        if let Some(description) = &request.description {
            shown += &paint::paragraph(description, "    ", WIDTH);
        }
        if request.kind == Kind::Approval {
            return shown + "      1  approve\n      2  deny\n";
        }
        for question in &request.questions {
            if question.question != request.title {
                shown += &paint::paragraph(&question.question, "    ", WIDTH);
            }
            for (number, option) in (1..).zip(&question.options) {
                let label = paint::line(&option.label, WIDTH);
                let meaning = option
                    .description
                    .as_deref()
                    .map(|text| self.paint.dim(&format!("  {}", paint::line(text, WIDTH))));
                shown = shown + &format!("      {number}  {label}") + &meaning.unwrap_or_default() + "\n";
            }
        }
        shown
    }

    fn aside(&self, text: &str) -> String {
        paint::lines(paint::paragraph(text, "  ", WIDTH).lines().map(|line| self.paint.dim(line)))
    }

    /// The line end that a tool still at work owes.
    fn ended_line(&mut self) -> String {
        self.dangling.take().map(|_| "\n".to_owned()).unwrap_or_default()
    }
}

/// What a call is about, in a few words: its path if it has one.
fn argument(call: &ToolCall) -> String {
    match call.arguments.get("path").and_then(Value::as_str) {
        Some(path) => paint::line(path, CALL_WIDTH),
        None if call.arguments.is_empty() => String::new(),
        None => paint::line(&Value::Object(call.arguments.clone()).to_string(), CALL_WIDTH),
    }
}

/// What came of it, in a few words.
fn result(value: &Value) -> String {
    if let Some(entries) = value["entries"].as_array() {
        let names: Vec<&str> = entries.iter().filter_map(|entry| entry["name"].as_str()).collect();
        return format!(
            "{}: {}",
            count(entries.len() as u64, "entry", "entries"),
            paint::line(&names.join(", "), 2 * WIDTH)
        );
    }
    if let Some(lines) = value["lines"].as_u64() {
        let pages = value["pages"].as_u64().map(|pages| format!(" of {}", count(pages, "page", "pages")));
        return count(lines, "line", "lines") + &pages.unwrap_or_default();
    }
    if let Some(bytes) = value["size_bytes"].as_u64() {
        return count(bytes, "byte", "bytes");
    }
    if let Some(replaced) = value["replaced"].as_u64() {
        return format!("{replaced} replaced");
    }
    paint::line(&value.to_string(), CALL_WIDTH)
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn answer(response: &Response) -> String {
    match response {
        Response::Approved(true) => "approved".to_owned(),
        Response::Approved(false) => "denied".to_owned(),
        Response::Edited(arguments) => {
            format!("approved, with {}", paint::line(&Value::Object(arguments.clone()).to_string(), CALL_WIDTH))
        }
        Response::Expired => "by nobody in time, which denies it".to_owned(),
        Response::Answers(answers) => {
            let answers: Vec<&str> = answers.values().map(String::as_str).collect();
            paint::line(&answers.join("; "), 200)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::turns::Replay;
    use serde_json::json;

    fn call(name: &str, arguments: Value) -> ToolCall {
        let Value::Object(arguments) = arguments else { panic!("an object") };
        ToolCall {
            id: "c".into(),
            key: Uuid::from_u128(7),
            name: name.into(),
            arguments,
            replay: Replay::Safe,
            target: None,
        }
    }

    fn done(value: Value) -> Event {
        Event::ToolFinished { key: Uuid::from_u128(7), outcome: Outcome::Ok(value) }
    }

    #[test]
    fn a_call_and_its_result_share_a_line_unless_something_comes_between() {
        let mut page = Transcript::new(Paint::none());
        let read = Event::ToolStarted { call: call("read_file", json!({"path": "/workspace/a.pdf"})) };
        let found = done(json!({"path": "/workspace/a.pdf", "content": "x", "lines": 12, "pages": 1}));
        assert_eq!(page.show(&read) + &page.show(&found), "    read_file /workspace/a.pdf → 12 lines of 1 page\n");
        let note = Event::Noted { text: "a note".into() };
        let shown = page.show(&read) + &page.show(&note) + &page.show(&found);
        assert_eq!(shown, "    read_file /workspace/a.pdf\n  a note\n    read_file → 12 lines of 1 page\n");
    }

    #[test]
    fn a_plan_is_shown_whole_once() {
        let mut page = Transcript::new(Paint::none());
        let plan = |status: &str| Event::ToolStarted {
            call: call(
                "plan",
                json!({"items": [{"text": "Read", "status": status}, {"text": "Write", "status": "doing"}]}),
            ),
        };
        assert_eq!(page.show(&plan("todo")), "    plan\n      · Read\n      · Write\n");
        assert_eq!(page.show(&done(json!({"plan": "…"}))), "");
        assert_eq!(page.show(&plan("done")), "    plan 1 of 2 done; now: Write\n");
    }

    #[test]
    fn a_strangers_text_stays_text() {
        let mut page = Transcript::new(Paint::none());
        let shown = page.show(&Event::Noted { text: "\x1b]0;owned\x07 now".into() });
        assert_eq!(shown, "  ]0;owned now\n");
    }
}

//! Tool calls, one after the other, and the two that are to people and to the server itself.

use std::collections::VecDeque;

use serde_json::Value;

use super::{Effects, finished, is_json_object};
use crate::Timestamp;
use crate::human_requests::{ASK_PERSON, HumanRequest, Response};
use crate::runs::{Effect, Event, FINISH, Phase, Run, Said, Status, Used};
use crate::turns::{Line, Outcome, ToolCall};

impl Run {
    /// Turns to the next call: its intent is written first.
    pub(super) fn begin(&mut self, current: ToolCall, queue: VecDeque<ToolCall>) -> Effects {
        let started = Event::ToolStarted { call: current.clone() };
        self.phase = Phase::Acting { current, begun: false, queue };
        vec![Effect::Then(started)]
    }

    /// The intent is written; now it may leave, or is answered right here if it is a call to the server itself.
    pub(super) fn tool_started(&mut self, call: &ToolCall) -> Effects {
        self.used.tool_calls = self.used.tool_calls.saturating_add(1);
        if let Phase::Acting { begun, .. } = &mut self.phase {
            *begun = true;
        }
        match call.name.as_str() {
            // Whoever wrote while the model decided on this is heard first.
            ASK_PERSON | FINISH if !self.heard.is_empty() => {
                finished(call, Outcome::Error("a person has written meanwhile: read that first".into()))
            }
            ASK_PERSON => match HumanRequest::from_call(call) {
                Ok(request) => vec![Effect::Then(Event::PersonAsked { request })],
                Err(wrong) => finished(call, Outcome::Error(wrong)),
            },
            FINISH => self.finish(call),
            _ => vec![Effect::CallTool(call.clone())],
        }
    }

    fn finish(&mut self, call: &ToolCall) -> Effects {
        let result = match call.arguments.get("result") {
            Some(Value::String(text)) => text.clone(),
            Some(value @ Value::Object(_)) => value.to_string(),
            _ => return finished(call, Outcome::Error("finish: give the outcome as \"result\", a text".into())),
        };
        if self.rules.json_object && !is_json_object(&result) {
            self.used.repairs = self.used.repairs.saturating_add(1);
            return finished(call, Outcome::Error("finish: this Job's result must be exactly one JSON object".into()));
        }
        vec![Effect::Then(Event::Completed { result: Some(result) })]
    }

    pub(super) fn tool_finished(&mut self, at: Timestamp, outcome: Outcome) -> Effects {
        self.spend(outcome.size());
        self.proceed(at, outcome)
    }

    pub(super) fn asked(&mut self, at: Timestamp, request: &HumanRequest) -> Effects {
        if let Phase::Acting { current, queue, .. } = &mut self.phase {
            let (current, queue) = (current.clone(), std::mem::take(queue));
            self.phase = Phase::Asking { current, request: request.clone(), queue };
        }
        self.rest(at);
        vec![Effect::Wait]
    }

    pub(super) fn answered(&mut self, at: Timestamp, response: &Response) -> Effects {
        if self.held.is_some() {
            // The model did not ask, so it is not told.
            return self.released(at, response);
        }
        self.people.push(response.text());
        self.proceed(at, Outcome::Ok(response.for_model()))
    }

    /// A person wrote.
    pub(super) fn heard(&mut self, at: Timestamp, said: &Said) -> Effects {
        self.people.push(said.text.clone());
        if self.held.is_some() { self.released_by(at, said) } else { self.told(at, said) }
    }

    /// The message has its place in the conversation.
    pub(super) fn told(&mut self, at: Timestamp, said: &Said) -> Effects {
        match &self.phase {
            Phase::New | Phase::Thinking { .. } | Phase::Resting { .. } | Phase::Ended(Status::Failed) => {
                self.lines.push(Line::User(said.text.clone()));
                vec![]
            }
            // Providers want tool results right after the calls: the model hears it after them.
            Phase::Acting { .. } => {
                self.heard.push(said.text.clone());
                vec![]
            }
            // Whoever writes instead of answering has answered.
            Phase::Asking { .. } => self.proceed(at, Outcome::Ok(serde_json::json!({ "message": said.text }))),
            // It came while the last turn was under way, or later: whoever asks for more grants more.
            Phase::Answered | Phase::Ended(_) => {
                if matches!(self.phase, Phase::Ended(_)) {
                    self.next_round(at);
                }
                self.used = Used::default();
                self.active_since = Some(at);
                self.lines.push(Line::User(said.text.clone()));
                self.think(at)
            }
        }
    }

    /// The current call has its outcome: on to the next one, or to the model.
    fn proceed(&mut self, at: Timestamp, outcome: Outcome) -> Effects {
        let (Phase::Acting { current, queue, .. } | Phase::Asking { current, queue, .. }) = &mut self.phase else {
            return vec![];
        };
        let (call_id, name) = (current.id.clone(), current.name.clone());
        let mut queue = std::mem::take(queue);
        self.lines.push(Line::ToolResult { call_id, name, outcome });
        self.active_since.get_or_insert(at);
        match queue.pop_front() {
            Some(current) => self.begin(current, queue),
            None => self.think(at),
        }
    }
}

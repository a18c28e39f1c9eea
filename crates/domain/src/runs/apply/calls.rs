//! Tool calls, one after the other, and the two that are to people and to the server itself.

use std::collections::VecDeque;

use serde_json::Value;
use uuid::Uuid;

use super::{Effects, finished, is_json_object};
use crate::Timestamp;
use crate::human_requests::{ASK_PERSON, HumanRequest, Response};
use crate::runs::{Effect, Event, FINISH, Phase, Run, Said, Status, Used};
use crate::turns::{Line, Outcome, ToolCall};

/// What the model is told of a call that was not made.
const DENIED: &str = "a person denied this call; it was not made. Go on without it, or ask what to do instead";
const EXPIRED: &str = "nobody approved this call in time; it was not made";
const WROTE: &str = "a person wrote instead of approving this call; it was not made. Read the message first";

impl Run {
    /// Turns to the next call.
    pub(super) fn begin(&mut self, at: Timestamp, current: ToolCall, queue: VecDeque<ToolCall>) -> Effects {
        let effects = self.intend(at, &current, None);
        self.phase = Phase::Acting { current, begun: false, queue };
        effects
    }

    /// What goes before a call: its intent is written, or a person is asked, with a word on why.
    pub(super) fn intend(&self, at: Timestamp, call: &ToolCall, because: Option<&str>) -> Effects {
        let event = match &call.target {
            Some(target) if target.approval => {
                let expires_at = at.plus_ms(self.rules.limits.approval_ms);
                Event::PersonAsked { request: HumanRequest::for_call(call, target, because, expires_at) }
            }
            _ => Event::ToolStarted { call: call.clone() },
        };
        vec![Effect::Then(event)]
    }

    /// The call was not made, since its tool is another by now: a person looks at what it has become.
    pub(super) fn tool_changed(&mut self, at: Timestamp, request: Uuid, definition: &str, difference: &str) -> Effects {
        let Phase::Acting { current, begun, .. } = &mut self.phase else { return vec![] };
        *begun = false;
        if let Some(target) = &mut current.target {
            definition.clone_into(&mut target.definition);
            target.approval = true;
            target.request = Some(request);
        }
        let call = current.clone();
        self.intend(at, &call, Some(difference))
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
            self.phase = Phase::Asking { current, request: Box::new(request.clone()), queue };
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
        let Phase::Asking { current, queue, .. } = &mut self.phase else { return vec![] };
        let Some(target) = current.target.as_mut().filter(|target| target.approval) else {
            return self.proceed(at, Outcome::Ok(response.for_model()));
        };
        match response {
            Response::Approved(true) => {}
            Response::Edited(arguments) => current.arguments.clone_from(arguments),
            Response::Expired => return self.proceed(at, Outcome::Skipped(EXPIRED.into())),
            Response::Approved(false) | Response::Answers(_) => {
                return self.proceed(at, Outcome::Skipped(DENIED.into()));
            }
        }
        // What was asked about is what is begun: the same call, in the same commit.
        target.approval = false;
        self.accepted.insert((target.server.clone(), target.tool.clone()), target.definition.clone());
        let (current, queue) = (current.clone(), std::mem::take(queue));
        self.active_since.get_or_insert(at);
        self.begin(at, current, queue)
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
            // Words are no approval: the call is not made, and the model hears them.
            Phase::Asking { current, .. } if current.needs_approval() => {
                self.heard.push(said.text.clone());
                self.proceed(at, Outcome::Skipped(WROTE.into()))
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
            Some(current) => self.begin(at, current, queue),
            None => self.think(at),
        }
    }
}

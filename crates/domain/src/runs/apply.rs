//! The decision: which state and which effects follow from an event.
//!
//! Invariants, as absences: no tool call leaves without its `ToolStarted`; none is started twice within a claim, and one that must not be
//! repeated is never started after a crash; no event but a message moves a run that has ended; nothing moves one that failed.

use std::collections::VecDeque;

use serde_json::Value;

use super::{Cause, Effect, Event, FINISH, ModelFailure, Phase, Refused, Run, Said, Status, Used};
use crate::Timestamp;
use crate::human_requests::{ASK_PERSON, HumanRequest, Response};
use crate::turns::{Line, Outcome, Replay, Reply, Stop, ToolCall};

/// First pause after a failed model turn, in milliseconds; doubles with each further one.
const REST_FIRST_MS: u64 = 500;
/// Longest pause between tries (contract 2.8), in milliseconds.
const REST_MAX_MS: u64 = 60_000;
/// Longest pause a provider may ask for before its word is not taken any more, in milliseconds.
const RETRY_AFTER_MAX_MS: u64 = 10 * 60_000;

type Effects = Vec<Effect>;

impl Run {
    /// The state after `event`, and what follows from it.
    ///
    /// # Errors
    /// [`Refused`] when the event does not fit this state.
    pub fn apply(mut self, at: Timestamp, event: &Event) -> Result<(Self, Vec<Effect>), Refused> {
        let effects = self.step(at, event)?;
        Ok((self, effects))
    }

    /// [`Self::apply`] in place. A refused event changes nothing.
    pub(super) fn step(&mut self, at: Timestamp, event: &Event) -> Result<Effects, Refused> {
        if !self.fits(event) {
            return Err(Refused { event: event.kind(), status: self.status() });
        }
        let effects = match event {
            Event::Created { .. } => vec![],
            Event::Noted { .. } => {
                self.noted = true;
                vec![]
            }
            Event::Claimed { .. } => self.claimed(at),
            Event::MessageReceived(said) => self.heard(at, said),
            Event::Replied { reply, .. } => self.replied(at, reply),
            Event::TurnFailed { turn, failure, spread_permille } => {
                self.turn_failed(at, *turn, failure, *spread_permille)
            }
            Event::ToolStarted { call } => self.tool_started(call),
            Event::ToolFinished { outcome, .. } => self.tool_finished(at, outcome.clone()),
            Event::PersonAsked { request } => self.asked(at, request),
            Event::PersonAnswered { response, .. } => self.answered(at, response),
            Event::Completed { .. } => self.end(at, Status::Completed, "the Job was finished before this call"),
            Event::Failed { .. } => self.end(at, Status::Failed, "the Job failed before this call"),
            Event::Interrupted { .. } => self.end(at, Status::Interrupted, "the Job was stopped before this call"),
        };
        self.last_at = self.last_at.max(at);
        Ok(effects)
    }

    fn fits(&self, event: &Event) -> bool {
        let live = !matches!(self.phase, Phase::Ended(_));
        match event {
            Event::Created { .. } => matches!(self.phase, Phase::New) && self.lines.is_empty(),
            Event::Claimed { .. } | Event::Noted { .. } => true,
            Event::MessageReceived(_) => !matches!(self.phase, Phase::Ended(Status::Failed)),
            Event::Replied { turn, .. } | Event::TurnFailed { turn, .. } => {
                matches!(&self.phase, Phase::Thinking { turn: due, .. } if due == turn)
            }
            Event::ToolStarted { call } => {
                matches!(&self.phase, Phase::Acting { current, begun: false, .. } if current == call)
            }
            Event::ToolFinished { key, .. } => {
                matches!(&self.phase, Phase::Acting { current, begun: true, .. } if current.key == *key)
            }
            Event::PersonAsked { request } => {
                matches!(&self.phase, Phase::Acting { current, begun: true, .. } if current.key == request.id)
            }
            Event::PersonAnswered { request_id, .. } => {
                matches!(&self.phase, Phase::Asking { request, .. } if request.id == *request_id)
            }
            Event::Completed { .. } => matches!(self.phase, Phase::Thinking { .. } | Phase::Acting { .. }),
            Event::Failed { .. } | Event::Interrupted { .. } => live,
        }
    }

    /// A worker has it: whatever was due when the last one let go or died is due again.
    fn claimed(&mut self, at: Timestamp) -> Effects {
        // The time between a crash and this claim was nobody's work.
        if let Some(since) = self.active_since {
            self.used.active_ms = self.used.active_ms.saturating_add(self.last_at.ms_since(since));
            self.active_since = Some(at);
        }
        match &self.phase {
            Phase::New => self.think(at),
            Phase::Thinking { turn, .. } => vec![Effect::CallModel { turn: *turn }],
            Phase::Resting { turn, tries } => {
                let (turn, tries) = (*turn, *tries);
                self.phase = Phase::Thinking { turn, tries };
                self.active_since = Some(at);
                vec![Effect::CallModel { turn }]
            }
            Phase::Acting { current, begun: true, .. } => match current.replay {
                Replay::Safe => vec![Effect::CallTool(current.clone())],
                Replay::Never => {
                    vec![Effect::Then(Event::ToolFinished { key: current.key, outcome: Outcome::Unknown })]
                }
            },
            Phase::Acting { current, begun: false, .. } => {
                vec![Effect::Then(Event::ToolStarted { call: current.clone() })]
            }
            Phase::Asking { .. } | Phase::Ended(_) => vec![Effect::Wait],
        }
    }

    fn heard(&mut self, at: Timestamp, said: &Said) -> Effects {
        self.people.push(said.text.clone());
        match &self.phase {
            Phase::New | Phase::Thinking { .. } | Phase::Resting { .. } => {
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
            Phase::Ended(_) => {
                self.used = Used::default();
                self.lines.push(Line::User(said.text.clone()));
                self.think(at)
            }
        }
    }

    fn replied(&mut self, at: Timestamp, reply: &Reply) -> Effects {
        self.used.turns = self.used.turns.saturating_add(1);
        let arguments: usize =
            reply.calls.iter().map(|call| Value::Object(call.arguments.clone()).to_string().len()).sum();
        self.spend((reply.text.len() + arguments) as u64);
        // The last call of an answer that ran out of tokens may be half a call: none of them is made.
        let cut = reply.stop == Stop::Length && !reply.calls.is_empty();
        let calls = if cut { vec![] } else { reply.calls.clone() };
        let mut queue = VecDeque::from(calls.clone());
        self.lines.push(Line::Assistant { text: reply.text.clone(), calls, carry: reply.carry.clone() });
        if let Some(limit) = self.limit_reached(at) {
            return limit;
        }
        if cut {
            return self.repair(at, "Your answer ran into the limit on output tokens in the middle of a tool call, so nothing was run. Make smaller calls.");
        }
        if let Some(current) = queue.pop_front() {
            return self.begin(current, queue);
        }
        match reply.stop {
            Stop::Refused => fail(
                "model_refused",
                "The model's provider withheld the answer (its safety rules). Change the SOP or the input.",
            ),
            _ if self.rules.json_object && !is_json_object(&reply.text) => self.repair(
                at,
                "Your final answer must be exactly one JSON object, with nothing before or after it. Answer again.",
            ),
            Stop::Length => vec![
                Effect::Then(Event::Noted {
                    text: "The answer was cut off at the limit on output tokens (max_output_tokens).".into(),
                }),
                Effect::Then(Event::Completed { result: None }),
            ],
            Stop::Done => vec![Effect::Then(Event::Completed { result: None })],
        }
    }

    fn turn_failed(&mut self, at: Timestamp, turn: u32, failure: &ModelFailure, spread_permille: u16) -> Effects {
        let Phase::Thinking { tries, .. } = self.phase else {
            return vec![];
        };
        let tries = tries.saturating_add(1);
        if !failure.retryable {
            return fail(&failure.code, &failure.message);
        }
        if tries >= self.rules.limits.model_tries {
            return fail(&failure.code, &format!("{} (given up after {tries} tries)", failure.message));
        }
        if let Some(limit) = self.limit_reached(at) {
            return limit;
        }
        self.phase = Phase::Resting { turn, tries };
        self.rest(at);
        vec![Effect::Sleep(at.plus_ms(pause_ms(tries, failure.retry_after_ms, spread_permille)))]
    }

    /// The intent is written; now it may leave, or is answered right here if it is a call to the server itself.
    fn tool_started(&mut self, call: &ToolCall) -> Effects {
        self.used.tool_calls = self.used.tool_calls.saturating_add(1);
        if let Phase::Acting { begun, .. } = &mut self.phase {
            *begun = true;
        }
        match call.name.as_str() {
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
            _ => {
                return finished(call, Outcome::Error("finish: give the outcome as \"result\", a text".into()));
            }
        };
        if self.rules.json_object && !is_json_object(&result) {
            self.used.repairs = self.used.repairs.saturating_add(1);
            if self.used.repairs > self.rules.limits.repairs {
                return self.unrepaired();
            }
            return finished(call, Outcome::Error("finish: this Job's result must be exactly one JSON object".into()));
        }
        vec![Effect::Then(Event::Completed { result: Some(result) })]
    }

    fn tool_finished(&mut self, at: Timestamp, outcome: Outcome) -> Effects {
        self.spend(outcome.size());
        self.proceed(at, outcome)
    }

    fn asked(&mut self, at: Timestamp, request: &HumanRequest) -> Effects {
        if let Phase::Acting { current, queue, .. } = &mut self.phase {
            let (current, queue) = (current.clone(), std::mem::take(queue));
            self.phase = Phase::Asking { current, request: request.clone(), queue };
        }
        self.rest(at);
        vec![Effect::Wait]
    }

    fn answered(&mut self, at: Timestamp, response: &Response) -> Effects {
        self.people.push(response.text());
        self.proceed(at, Outcome::Ok(response.for_model()))
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

    fn begin(&mut self, current: ToolCall, queue: VecDeque<ToolCall>) -> Effects {
        let started = Event::ToolStarted { call: current.clone() };
        self.phase = Phase::Acting { current, begun: false, queue };
        if self.used.tool_calls >= self.rules.limits.tool_calls {
            return over("tool_calls", self.rules.limits.tool_calls.into());
        }
        vec![Effect::Then(started)]
    }

    /// On to the next model turn, unless a limit is reached.
    fn think(&mut self, at: Timestamp) -> Effects {
        self.turns = self.turns.saturating_add(1);
        self.phase = Phase::Thinking { turn: self.turns, tries: 0 };
        self.active_since.get_or_insert(at);
        self.lines.extend(self.heard.drain(..).map(Line::User));
        if self.used.turns >= self.rules.limits.turns {
            return over("turns", self.rules.limits.turns.into());
        }
        self.limit_reached(at).unwrap_or_else(|| vec![Effect::CallModel { turn: self.turns }])
    }

    /// Asks the model again, a bounded number of times.
    fn repair(&mut self, at: Timestamp, what: &str) -> Effects {
        self.used.repairs = self.used.repairs.saturating_add(1);
        if self.used.repairs > self.rules.limits.repairs {
            return self.unrepaired();
        }
        self.lines.push(Line::User(what.into()));
        let mut effects = vec![Effect::Then(Event::Noted { text: format!("The model was asked again: {what}") })];
        effects.extend(self.think(at));
        effects
    }

    fn unrepaired(&self) -> Effects {
        let times = self.rules.limits.repairs;
        let wanted = if self.rules.json_object { "one JSON object (text.format)" } else { "whole tool calls" };
        fail(
            "answer_malformed",
            &format!("The model did not answer with {wanted}, though it was asked again {times} times."),
        )
    }

    /// Over. Calls that never ran get an outcome, so that the conversation stays one that providers accept when it is resumed.
    fn end(&mut self, at: Timestamp, status: Status, why: &str) -> Effects {
        self.rest(at);
        if let Phase::Acting { current, queue, begun } = &self.phase {
            let done = status == Status::Completed && current.name == FINISH;
            let outcome = match begun {
                true if done => Outcome::Ok(Value::String("finished".into())),
                true => Outcome::Unknown,
                false => Outcome::Skipped(why.into()),
            };
            self.lines.push(result_of(current, outcome));
            self.lines.extend(queue.iter().map(|call| result_of(call, Outcome::Skipped(why.into()))));
        } else if let Phase::Asking { current, queue, .. } = &self.phase {
            let unanswered = Outcome::Skipped("nobody answered before the Job was stopped".into());
            self.lines.push(result_of(current, unanswered));
            self.lines.extend(queue.iter().map(|call| result_of(call, Outcome::Skipped(why.into()))));
        }
        self.lines.extend(self.heard.drain(..).map(Line::User));
        self.phase = Phase::Ended(status);
        vec![Effect::Wait]
    }

    fn rest(&mut self, at: Timestamp) {
        if let Some(since) = self.active_since.take() {
            self.used.active_ms = self.used.active_ms.saturating_add(at.ms_since(since));
        }
    }

    fn spend(&mut self, bytes: u64) {
        self.used.output_bytes = self.used.output_bytes.saturating_add(bytes);
    }

    fn limit_reached(&self, at: Timestamp) -> Option<Effects> {
        let limits = &self.rules.limits;
        if self.wall_left_ms(at) == 0 {
            Some(over("wall_ms", limits.wall_ms))
        } else if self.used.output_bytes > limits.output_bytes {
            Some(over("output_bytes", limits.output_bytes))
        } else {
            None
        }
    }
}

fn over(limit: &str, value: u64) -> Effects {
    fail(
        "limit_reached",
        &format!(
            "The Job reached its limit {limit} = {value}. Raise it in errand.toml, section [limits], or give the Job less to do."
        ),
    )
}

fn fail(code: &str, message: &str) -> Effects {
    vec![Effect::Then(Event::Failed { cause: Cause { code: code.into(), message: message.into() } })]
}

fn finished(call: &ToolCall, outcome: Outcome) -> Effects {
    vec![Effect::Then(Event::ToolFinished { key: call.key, outcome })]
}

fn result_of(call: &ToolCall, outcome: Outcome) -> Line {
    Line::ToolResult { call_id: call.id.clone(), name: call.name.clone(), outcome }
}

fn is_json_object(text: &str) -> bool {
    matches!(serde_json::from_str(text.trim()), Ok(Value::Object(_)))
}

/// The pause before try number `tries` + 1: what the provider asked for, else a doubling one of which half is left to chance.
fn pause_ms(tries: u32, retry_after_ms: Option<u64>, spread_permille: u16) -> u64 {
    if let Some(asked) = retry_after_ms {
        return asked.min(RETRY_AFTER_MAX_MS);
    }
    let whole = REST_FIRST_MS.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(REST_MAX_MS);
    whole / 2 + whole * u64::from(spread_permille.min(999)) / 2000
}

//! What a model's turn brings: an answer, tool calls, a failure.

use std::collections::VecDeque;

use serde_json::Value;

use super::{Effects, fail, is_json_object};
use crate::Timestamp;
use crate::runs::{Effect, Event, ModelFailure, Phase, Run};
use crate::turns::{Line, Reply, Stop};

/// First pause after a failed model turn, in milliseconds; doubles with each further one.
const REST_FIRST_MS: u64 = 500;
/// Longest pause between tries (contract 2.8), in milliseconds.
const REST_MAX_MS: u64 = 60_000;
/// Longest pause a provider may ask for before its word is not taken any more, in milliseconds; of all pauses of a run the longest.
pub const PAUSE_MAX_MS: u64 = 10 * 60_000;

impl Run {
    /// On to the next model turn.
    pub(super) fn think(&mut self, at: Timestamp) -> Effects {
        self.turns = self.turns.saturating_add(1);
        self.phase = Phase::Thinking { turn: self.turns, tries: 0 };
        self.active_since.get_or_insert(at);
        self.lines.extend(self.heard.drain(..).map(Line::User));
        vec![Effect::CallModel { turn: self.turns }]
    }

    pub(super) fn replied(&mut self, at: Timestamp, reply: &Reply) -> Effects {
        self.used.turns = self.used.turns.saturating_add(1);
        let arguments: usize =
            reply.calls.iter().map(|call| Value::Object(call.arguments.clone()).to_string().len()).sum();
        self.spend((reply.text.len() + arguments) as u64);
        // The last call of an answer that ran out of tokens may be half a call, and one that was withheld is not meant: none is made.
        let calls = if reply.stop == Stop::Done { reply.calls.clone() } else { vec![] };
        let mut queue = VecDeque::from(calls.clone());
        self.lines.push(Line::Assistant { text: reply.text.clone(), calls, carry: reply.carry.clone() });
        if let Some(current) = queue.pop_front() {
            return self.begin(at, current, queue);
        }
        match reply.stop {
            Stop::Refused => fail(
                "model_refused",
                "The model's provider withheld the answer (its safety rules). Change the SOP or the input.",
            ),
            Stop::Length if !reply.calls.is_empty() => self.repair(
                at,
                "Your answer ran into the limit on output tokens in the middle of a tool call, so nothing was run. Make smaller calls.",
            ),
            Stop::Malformed => self.repair(
                at,
                "The arguments of a tool call were not one JSON object, so nothing was run. Call it again with valid arguments.",
            ),
            _ if reply.text.trim().is_empty() => self.repair(at, "Your answer was empty. Call a tool, or say the result."),
            _ if self.rules.json_object && !is_json_object(&reply.text) => self.repair(
                at,
                "Your final answer must be exactly one JSON object, with nothing before or after it. Answer again.",
            ),
            Stop::Length => {
                let text = "The answer was cut off at the limit on output tokens (max_output_tokens).".into();
                self.phase = Phase::Answered;
                vec![Effect::Then(Event::Noted { text }), Effect::Then(Event::Completed { result: None })]
            }
            Stop::Done => {
                self.phase = Phase::Answered;
                vec![Effect::Then(Event::Completed { result: None })]
            }
        }
    }

    pub(super) fn turn_failed(
        &mut self,
        at: Timestamp,
        turn: u32,
        failure: &ModelFailure,
        spread_permille: u16,
    ) -> Effects {
        let Phase::Thinking { tries, .. } = self.phase else { return vec![] };
        if !failure.retryable {
            return fail(&failure.code, &failure.message);
        }
        let tries = tries.saturating_add(1);
        let until = at.plus_ms(pause_ms(tries, failure.retry_after_ms, spread_permille));
        self.phase = Phase::Resting { turn, tries, until };
        self.rest(at);
        if tries >= self.rules.limits.model_tries {
            return fail(&failure.code, &format!("{} (given up after {tries} tries)", failure.message));
        }
        vec![Effect::Sleep(until)]
    }

    /// Asks the model again; the limit on repairs bounds how often.
    fn repair(&mut self, at: Timestamp, what: &str) -> Effects {
        self.used.repairs = self.used.repairs.saturating_add(1);
        self.lines.push(Line::User(what.into()));
        let mut effects = vec![Effect::Then(Event::Noted { text: format!("The model was asked again: {what}") })];
        effects.extend(self.think(at));
        effects
    }

    pub(super) fn spend(&mut self, bytes: u64) {
        self.used.output_bytes = self.used.output_bytes.saturating_add(bytes);
    }
}

/// The pause before try number `tries` + 1: a doubling one of which half is left to chance, or more if the provider asks for more.
fn pause_ms(tries: u32, retry_after_ms: Option<u64>, spread_permille: u16) -> u64 {
    let whole = REST_FIRST_MS.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(REST_MAX_MS);
    let own = whole / 2 + whole * u64::from(spread_permille.min(999)) / 2000;
    own.max(retry_after_ms.unwrap_or(0).min(PAUSE_MAX_MS))
}

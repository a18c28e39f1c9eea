//! An answer while it arrives, and what makes it whole.
//!
//! Here: the rule that matters most: only a stream that ended with a real stop is an answer, and only a whole JSON object makes a tool call.
//! Not here: reading events, which each wire does for itself.

use std::collections::HashSet;

use domain::runs::ModelFailure;
use domain::turns::{Line, Stop, Usage};
use serde_json::{Map, Value};

use super::carry;
use super::failure::{self, Who};
use super::json::is_shallow;
use super::route::{Price, Route};
use crate::models::{Answer, ProposedCall, TurnRequest};

/// What has arrived so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// The model's words.
    pub(super) text: String,
    /// The provider's words when it refuses.
    pub(super) refusal: String,
    /// Tool calls in order.
    pub(super) calls: Vec<DraftCall>,
    /// The model as the provider knows it.
    pub(super) model: Option<String>,
    /// Tokens so far.
    pub(super) usage: Usage,
    /// Why it stopped; there is no answer without.
    pub(super) end: Option<End>,
    /// What goes back with the next turn; null for nothing.
    pub(super) kept: Value,
}

/// A tool call as far as it has arrived.
#[derive(Debug, Default)]
pub(super) struct DraftCall {
    pub(super) id: String,
    pub(super) name: String,
    /// JSON text.
    pub(super) arguments: String,
}

/// Why a stream says it is over.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    /// For a reason of the model's own.
    Stop(Stop),
    /// For a reason that makes no whole answer, in the provider's word.
    Other(String),
}

/// What the reader of a wire makes of an event.
pub(super) enum Read {
    /// There is more to come.
    More,
    /// That was the final event.
    Done,
    /// The provider gave up, and says why in the event.
    Failed,
}

impl Draft {
    /// The answer, if it is whole.
    pub(super) fn finish(
        self,
        request: &TurnRequest<'_>,
        route: &Route<'_>,
        who: &Who<'_>,
    ) -> Result<Answer, ModelFailure> {
        let mut stop = match self.end {
            Some(End::Stop(_)) if !self.refusal.is_empty() => Stop::Refused,
            Some(End::Stop(stop)) => stop,
            Some(End::Other(reason)) => return Err(failure::cut(who, &format!("it stopped with {reason}"))),
            None => return Err(failure::cut(who, "it ended without a reason to stop")),
        };
        let mut ids = Ids::after(request);
        let mut calls: Vec<ProposedCall> = Vec::new();
        for DraftCall { id, name, arguments } in self.calls {
            // The run makes none of the calls of such an answer, but asks again: it need only know that there was one.
            let arguments = whole_arguments(&name, &arguments).unwrap_or_else(|| {
                stop = if stop == Stop::Done { Stop::Malformed } else { stop };
                Map::new()
            });
            calls.push(ProposedCall { id: ids.unique(id, calls.len()), name, arguments });
        }
        let cost_micro_usd = route.price.map(|price| price.of(&self.usage));
        Ok(Answer {
            text: if self.text.is_empty() { self.refusal } else { self.text },
            calls,
            stop,
            model: self.model.unwrap_or_else(|| route.model.clone()),
            usage: Usage { cost_micro_usd, ..self.usage },
            carry: carry::write(&self.kept, route),
        })
    }
}

/// Deepest nesting of arguments. Readers of JSON give up at 128, and arguments are journaled inside of other JSON.
const DEPTH_MAX: usize = 64;

/// Arguments that arrived whole and can be kept. No text at all means none.
fn whole_arguments(name: &str, text: &str) -> Option<Map<String, Value>> {
    if name.is_empty() {
        return None;
    }
    if text.trim().is_empty() {
        return Some(Map::new());
    }
    let arguments: Map<String, Value> = serde_json::from_str(text).ok()?;
    arguments.values().all(|value| is_shallow(value, DEPTH_MAX - 1)).then_some(arguments)
}

/// Longest id of a call that all vendors take back.
const ID_MAX: usize = 40;

/// Ids of calls, unique in the run: providers leave them out, repeat them within an answer, or count from zero in every answer.
struct Ids {
    turn: u32,
    taken: HashSet<String>,
}

impl Ids {
    fn after(request: &TurnRequest<'_>) -> Self {
        let calls = request.lines.iter().filter_map(|line| match line {
            Line::Assistant { calls, .. } => Some(calls),
            _ => None,
        });
        Self { turn: request.turn, taken: calls.flatten().map(|call| call.id.clone()).collect() }
    }

    /// `id` if it is new and can be said again, else one made of the turn and the place of the call.
    fn unique(&mut self, id: String, place: usize) -> String {
        let good = (1..=ID_MAX).contains(&id.len()) && !id.contains(char::is_control);
        let mut id = if good { id } else { self.make(place) };
        if self.taken.contains(&id) {
            id = self.make(place);
        }
        while !self.taken.insert(id.clone()) {
            id.push('x');
        }
        id
    }

    fn make(&self, place: usize) -> String {
        format!("call_{}_{place}", self.turn)
    }
}

impl Price {
    /// Millionths of a dollar, rounded.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "token counts are far below 2^52, and the cast from a float saturates"
    )]
    fn of(self, usage: &Usage) -> u64 {
        let fresh = usage.input_tokens.saturating_sub(usage.cached_tokens) as f64;
        let cost =
            fresh * self.input + usage.cached_tokens as f64 * self.cached + usage.output_tokens as f64 * self.output;
        cost.round() as u64
    }
}

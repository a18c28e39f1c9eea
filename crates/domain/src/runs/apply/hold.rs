//! A run that does not go on by itself: a person decides first.
//!
//! A restored backup is older than the world: what a run was about to do then may have been done since. So whoever restores it holds every run that
//! would have moved by itself. A held run keeps where it stood; only a person's answer, or a message, which is an answer too (as to a run that asked
//! something), makes it go on, and then as after a crash.

use super::{Effect, Effects};
use crate::Timestamp;
use crate::human_requests::{HumanRequest, Response};
use crate::runs::{Event, Phase, Run, Said};
use crate::turns::Outcome;

impl Run {
    /// What may happen to a held run. No worker has anything of it in hand, so of its own steps only one fits: that nobody knows what came of a
    /// call, which is said before it ends.
    pub(super) fn fits_while_held(&self, request: &HumanRequest, event: &Event) -> bool {
        match event {
            Event::Claimed { .. }
            | Event::Noted { .. }
            | Event::MessageReceived(_)
            | Event::Failed { .. }
            | Event::Interrupted { .. } => true,
            Event::PersonAnswered { request_id, response: Response::Approved(_) } => *request_id == request.id,
            Event::ToolFinished { key, outcome: Outcome::Unknown } => self.in_flight() == Some(*key),
            _ => false,
        }
    }

    pub(super) fn hold(&mut self, request: &HumanRequest) -> Effects {
        self.held = Some(request.clone());
        // The time since its last entry was nobody's work.
        self.rest(self.last_at);
        vec![]
    }

    /// Whatever the event was, the run is still held.
    pub(super) fn stay(&mut self, at: Timestamp) -> Effects {
        self.rest(at);
        vec![Effect::Wait]
    }

    /// A person decided.
    pub(super) fn released(&mut self, at: Timestamp, response: &Response) -> Effects {
        self.held = None;
        if *response != Response::Approved(true) {
            return vec![Effect::Then(Event::Interrupted { by: "denied".into() })];
        }
        self.unrest(at);
        self.go_on(at)
    }

    /// A person wrote instead of deciding: it goes on, and the model hears the message first.
    pub(super) fn released_by(&mut self, at: Timestamp, said: &Said) -> Effects {
        self.held = None;
        self.unrest(at);
        let effects = self.told(at, said);
        if effects.is_empty() { self.go_on(at) } else { effects }
    }

    /// The clock of active time goes on where work does at once; elsewhere it is what comes next that starts it.
    fn unrest(&mut self, at: Timestamp) {
        if matches!(self.phase, Phase::Thinking { .. } | Phase::Answered | Phase::Acting { .. }) {
            self.active_since.get_or_insert(at);
        }
    }
}

//! The decision: which state and which effects follow from an event.
//!
//! Here: which events fit, what a claim and an end mean, and the limits. `apply/turns.rs` has what a model's turn brings, `apply/calls.rs` tools and
//! people, `apply/hold.rs` what keeps a run from going on by itself.
//!
//! Invariants, as absences: no tool call leaves without its `ToolStarted`; none is started twice within a claim, and one that must not be
//! repeated is never started after a crash; no event but a message moves a run that has ended, and none moves one that failed; nothing follows
//! from where a held run stands until a person lets it go on; no limit changes the state, only what follows from it, so that a journal replays
//! under any limits.

mod calls;
mod hold;
mod turns;

use super::{Cause, Effect, Event, FINISH, Phase, Refused, Round, Run, Status};
use crate::Timestamp;
use crate::turns::{Line, Outcome, Replay, ToolCall};
use serde_json::Value;

pub use turns::PAUSE_MAX_MS;

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
            Event::Created { .. } => {
                self.next_round(at);
                vec![]
            }
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
            Event::ToolChanged { request, definition, difference, .. } => {
                self.tool_changed(at, *request, definition, difference)
            }
            Event::ToolFinished { outcome, .. } => self.tool_finished(at, outcome.clone()),
            Event::PersonAsked { request } => self.asked(at, request),
            Event::PersonAnswered { response, .. } => self.answered(at, response),
            Event::Held { request } => self.hold(request),
            Event::Completed { .. } => self.end(at, Status::Completed, "the Job was finished before this call"),
            Event::Failed { .. } => self.end(at, Status::Failed, "the Job failed before this call"),
            Event::Interrupted { .. } => self.end(at, Status::Interrupted, "the Job was stopped before this call"),
        };
        self.last_at = self.last_at.max(at);
        let effects = if self.held.is_some() { self.stay(at) } else { effects };
        Ok(self.within_limits(at, effects))
    }

    fn fits(&self, event: &Event) -> bool {
        if let Some(request) = &self.held {
            return self.fits_while_held(request, event);
        }
        match event {
            Event::Created { .. } => matches!(self.phase, Phase::New) && self.lines.is_empty(),
            Event::Claimed { .. } | Event::Noted { .. } | Event::MessageReceived(_) => true,
            Event::Replied { turn, .. } | Event::TurnFailed { turn, .. } => {
                matches!(&self.phase, Phase::Thinking { turn: due, .. } if due == turn)
            }
            Event::ToolStarted { call } => {
                matches!(&self.phase, Phase::Acting { current, begun: false, .. } if current == call && !call.needs_approval())
            }
            Event::ToolChanged { key, .. } => {
                self.in_flight() == Some(*key)
                    && matches!(&self.phase, Phase::Acting { current, .. } if current.target.is_some())
            }
            Event::ToolFinished { key, .. } => self.in_flight() == Some(*key),
            Event::PersonAsked { request } => match &self.phase {
                Phase::Acting { current, begun, .. } => {
                    current.request_id() == request.id && *begun != current.needs_approval()
                }
                _ => false,
            },
            Event::PersonAnswered { request_id, .. } => {
                matches!(&self.phase, Phase::Asking { request, .. } if request.id == *request_id)
            }
            Event::Held { .. } => !matches!(self.phase, Phase::Asking { .. } | Phase::Ended(_)),
            Event::Completed { .. } => matches!(self.phase, Phase::Answered | Phase::Acting { .. }),
            Event::Failed { .. } | Event::Interrupted { .. } => !matches!(self.phase, Phase::Ended(_)),
        }
    }

    /// A worker has it: whatever was due when the last one let go or died is due again.
    fn claimed(&mut self, at: Timestamp) -> Effects {
        if faults::sabotaged(faults::Sabotage::CounterInMemory) {
            self.used = crate::runs::Used::default();
        }
        // The time between a crash and this claim was nobody's work.
        if let Some(since) = self.active_since {
            self.used.active_ms = self.used.active_ms.saturating_add(self.last_at.ms_since(since));
            self.active_since = Some(at);
        }
        self.go_on(at)
    }

    /// What is due where it stands, for a worker that has nothing of it in hand.
    fn go_on(&mut self, at: Timestamp) -> Effects {
        match &self.phase {
            Phase::New => self.think(at),
            Phase::Thinking { turn, .. } => vec![Effect::CallModel { turn: *turn }],
            // A message may wake it before its time; the provider's pause still holds. One that lasts for longer than any was written by a clock
            // that was ahead, and is over.
            Phase::Resting { until, .. } if at < *until && until.ms_since(at) <= PAUSE_MAX_MS => {
                vec![Effect::Sleep(*until)]
            }
            Phase::Resting { turn, tries, .. } => {
                let (turn, tries) = (*turn, *tries);
                self.phase = Phase::Thinking { turn, tries };
                self.active_since = Some(at);
                vec![Effect::CallModel { turn }]
            }
            Phase::Answered => vec![Effect::Then(Event::Completed { result: None })],
            Phase::Acting { current, begun: true, .. } => match current.replay {
                _ if faults::sabotaged(faults::Sabotage::RepeatUnsafe) => vec![Effect::CallTool(current.clone())],
                Replay::Safe => vec![Effect::CallTool(current.clone())],
                Replay::Never => finished(current, Outcome::Unknown),
            },
            Phase::Acting { current, begun: false, .. } => self.intend(at, current, None),
            Phase::Asking { .. } | Phase::Ended(_) => vec![Effect::Wait],
        }
    }

    /// Over. Calls that never ran get an outcome, so that the conversation stays one that providers accept when it is resumed.
    fn end(&mut self, at: Timestamp, status: Status, why: &str) -> Effects {
        self.rest(at);
        self.held = None;
        match &self.phase {
            Phase::Acting { current, queue, begun } => {
                let done = status == Status::Completed && current.name == FINISH;
                let outcome = match begun {
                    true if done => Outcome::Ok(Value::String("finished".into())),
                    true if current.name != FINISH => Outcome::Unknown,
                    _ => Outcome::Skipped(why.into()),
                };
                self.lines.push(result_of(current, outcome));
                self.lines.extend(queue.iter().map(|call| result_of(call, Outcome::Skipped(why.into()))));
            }
            Phase::Asking { current, queue, .. } => {
                let unanswered = Outcome::Skipped("nobody answered before the Job was stopped".into());
                self.lines.push(result_of(current, unanswered));
                self.lines.extend(queue.iter().map(|call| result_of(call, Outcome::Skipped(why.into()))));
            }
            _ => {}
        }
        self.lines.extend(self.heard.drain(..).map(Line::User));
        self.phase = Phase::Ended(status);
        vec![Effect::Wait]
    }

    /// It begins, for the first time or again.
    fn next_round(&mut self, at: Timestamp) {
        self.round = Round { number: self.round.number.saturating_add(1), began: at };
    }

    /// The clock of active time stands still.
    fn rest(&mut self, at: Timestamp) {
        if let Some(since) = self.active_since.take() {
            self.used.active_ms = self.used.active_ms.saturating_add(at.ms_since(since));
        }
    }

    /// `effects`, unless the run would go on with them past a limit: then it fails instead.
    fn within_limits(&self, at: Timestamp, effects: Effects) -> Effects {
        let (limits, used) = (&self.rules.limits, &self.used);
        let calls_model = effects.iter().any(|effect| matches!(effect, Effect::CallModel { .. }));
        // Nobody is asked about a call that could not be made.
        let asks = matches!(&self.phase, Phase::Acting { begun: false, .. });
        let starts_call = effects.iter().any(|effect| match effect {
            Effect::Then(Event::ToolStarted { .. }) => true,
            Effect::Then(Event::PersonAsked { .. }) => asks,
            _ => false,
        });
        let goes_on = calls_model
            || starts_call
            || effects
                .iter()
                .any(|effect| matches!(effect, Effect::CallTool(_) | Effect::Then(Event::ToolFinished { .. })));
        if goes_on && used.repairs > limits.repairs {
            self.unrepaired()
        } else if goes_on && self.wall_left_ms(at) == 0 {
            vec![Effect::Then(self.time_up())]
        } else if goes_on && used.output_bytes > limits.output_bytes {
            over("output_bytes", limits.output_bytes)
        } else if calls_model && used.turns >= limits.turns {
            over("turns", limits.turns.into())
        } else if starts_call && used.tool_calls >= limits.tool_calls {
            over("tool_calls", limits.tool_calls.into())
        } else {
            effects
        }
    }

    fn unrepaired(&self) -> Effects {
        let times = self.rules.limits.repairs;
        let wanted = if self.rules.json_object { "one JSON object (text.format)" } else { "a whole answer" };
        let message = format!("The model did not answer with {wanted}, though it was asked again {times} times.");
        fail("answer_malformed", &message)
    }

    /// What happens when the run's active time is used up.
    pub fn time_up(&self) -> Event {
        over_limit("wall_ms", self.rules.limits.wall_ms)
    }
}

fn over(limit: &str, value: u64) -> Effects {
    vec![Effect::Then(over_limit(limit, value))]
}

fn over_limit(limit: &str, value: u64) -> Event {
    let message = format!(
        "The Job reached its limit {limit} = {value}. Raise it in errand.toml, section [limits], or give the Job less to do."
    );
    Event::Failed { cause: Cause { code: "limit_reached".into(), message } }
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

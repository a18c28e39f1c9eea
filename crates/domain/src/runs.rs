//! Runs (Jobs): one execution of one Build, as a value.
//!
//! [`Event`] is everything that can happen to a run and, one to one, its journal. [`Run::apply`] folds one event into the state and says what
//! follows; the same function drives production, replay after a crash, and the property tests. [`transcript`] shows the journal to people.
//!
//! Nothing here waits or calls anything: `engine` commits what is decided here, and only then acts on it.

mod apply;
mod event;
#[cfg(test)]
mod tests;
pub mod transcript;

use std::collections::{BTreeMap, VecDeque};

pub use apply::PAUSE_MAX_MS;
pub use event::{Cause, Entry, Event, ModelFailure, Said};

use crate::Timestamp;
use crate::human_requests::{ASK_PERSON, HumanRequest};
use crate::limits::Limits;
use crate::turns::{Line, Outcome, ToolCall};

/// The tool with which a model ends its Job and hands over the result.
pub const FINISH: &str = "finish";

/// What a run is doing, as the API says it (contract 2.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nobody works on it yet, or it waits for its next try.
    Pending,
    /// Claimed; its first model turn is under way.
    Starting,
    /// At work.
    Running,
    /// Blocked on a person.
    Waiting,
    /// Done.
    Completed,
    /// Given up; its last message says why.
    Failed,
    /// Stopped by a person.
    Interrupted,
}

impl Status {
    /// The word of the API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// The status that `word` names, if any.
    pub fn from_word(word: &str) -> Option<Self> {
        use Status::{Completed, Failed, Interrupted, Pending, Running, Starting, Waiting};
        [Pending, Starting, Running, Waiting, Completed, Failed, Interrupted]
            .into_iter()
            .find(|status| status.word() == word)
    }

    /// Whether a message can still move it.
    pub const fn takes_messages(self) -> bool {
        !matches!(self, Self::Failed)
    }

    /// Whether nothing more happens by itself.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Interrupted)
    }
}

/// What a run is bound by: the operator's limits and what its Build demands of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// The limits.
    pub limits: Limits,
    /// The final answer must be one JSON object (`text.format` of a v1 config).
    pub json_object: bool,
}

/// The state of a run: what its journal amounts to.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    rules: Rules,
    phase: Phase,
    /// While a person decides whether it goes on at all, nothing follows from where it stands.
    held: Option<HumanRequest>,
    lines: Vec<Line>,
    /// Messages that came while tools were running: the model hears them with its next turn.
    heard: Vec<String>,
    people: Vec<String>,
    /// The definitions of tools that a person has last approved a call of, by server and tool.
    accepted: BTreeMap<(String, String), String>,
    noted: bool,
    /// Model turns since the beginning; numbers the next one.
    turns: u32,
    used: Used,
    /// Since when it is active; `None` while it waits, sleeps or has ended.
    active_since: Option<Timestamp>,
    last_at: Timestamp,
    round: Round,
}

/// A run's way from its start, or from the message that resumed it after an end, to the next end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// 1, 2, 3, …
    pub number: u32,
    /// When it began.
    pub began: Timestamp,
}

/// What was used of the limits since the run was started or resumed by a person.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Used {
    turns: u32,
    tool_calls: u32,
    output_bytes: u64,
    active_ms: u64,
    repairs: u32,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq)]
enum Phase {
    /// Created, never claimed.
    New,
    /// A model turn is due or under way.
    Thinking { turn: u32, tries: u32 },
    /// A failed model turn waits for its next try.
    Resting { turn: u32, tries: u32, until: Timestamp },
    /// The model gave its last answer; the run completes unless somebody has written meanwhile.
    Answered,
    /// A reply's tool calls are worked off, one after the other. `current` has its intent in the journal once `begun`; before that a person is asked,
    /// if it says so.
    Acting { current: ToolCall, begun: bool, queue: VecDeque<ToolCall> },
    /// A person was asked: by the call `current`, or about it, if it must be approved.
    Asking { current: ToolCall, request: Box<HumanRequest>, queue: VecDeque<ToolCall> },
    /// Over, unless a message resumes it.
    Ended(Status),
}

/// What follows from an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// This happens at once, in the same commit.
    Then(Event),
    /// Ask the model for this turn.
    CallModel {
        /// Counted from 1 over the whole run.
        turn: u32,
    },
    /// Make this call; its intent is in the journal.
    CallTool(ToolCall),
    /// Let go of the run until then.
    Sleep(Timestamp),
    /// Let go of the run until its inbox has something.
    Wait,
}

/// The event does not fit the state: a late answer, a second stop. It is not journaled and changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event} does not apply to a run that is {}", status.word())]
pub struct Refused {
    /// The kind of event.
    pub event: &'static str,
    /// What the run is doing.
    pub status: Status,
}

/// An event with all that followed from it at once: what one commit writes, and what to do after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// For the journal, in order.
    pub events: Vec<Event>,
    /// What to do once they are durable; `None`: what was due before still is.
    pub next: Option<Effect>,
}

impl Run {
    /// A run whose journal is empty.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            phase: Phase::New,
            held: None,
            lines: Vec::new(),
            heard: Vec::new(),
            people: Vec::new(),
            accepted: BTreeMap::new(),
            noted: false,
            turns: 0,
            used: Used::default(),
            active_since: None,
            last_at: Timestamp(0),
            round: Round { number: 0, began: Timestamp(0) },
        }
    }

    /// The run its journal amounts to, and what followed from its newest entry: for a claim, what is due.
    ///
    /// Limits do not change the state, so the operator may have changed them meanwhile.
    ///
    /// # Errors
    /// [`Refused`] when the journal was not written by this state machine.
    pub fn replay(rules: Rules, journal: impl IntoIterator<Item = Entry>) -> Result<(Self, Option<Effect>), Refused> {
        let mut run = Self::new(rules);
        let mut due = None;
        for entry in journal {
            let (next, effects) = run.apply(entry.at, &entry.event)?;
            run = next;
            due = effects.into_iter().next();
        }
        Ok((run, due))
    }

    /// Applies `events`, in order, and everything that follows from them at once. What no longer fits (a second stop, a late answer) is left out
    /// and handed back; so is what followed from an event but was overtaken by a later one.
    pub fn advance(&mut self, at: Timestamp, events: impl IntoIterator<Item = Event>) -> (Step, Vec<Refused>) {
        let mut step = Step { events: Vec::new(), next: None };
        let mut refused = Vec::new();
        let mut due: VecDeque<Event> = events.into_iter().collect();
        while let Some(event) = due.pop_front() {
            if matches!(event, Event::Failed { .. } | Event::Interrupted { .. })
                && let Some(key) = self.in_flight().filter(|_| self.current_leaves_the_server())
            {
                // A call in flight shows its outcome before the run ends; what would follow from that does not happen any more.
                let unknown = Event::ToolFinished { key, outcome: Outcome::Unknown };
                if self.step(at, &unknown).is_ok() {
                    step.events.push(unknown);
                }
            }
            match self.step(at, &event) {
                Ok(effects) => {
                    step.events.push(event);
                    for effect in effects {
                        match effect {
                            Effect::Then(event) => due.push_back(event),
                            other => step.next = Some(other),
                        }
                    }
                }
                Err(error) => refused.push(error),
            }
        }
        (step, refused)
    }

    /// What the run is doing.
    pub fn status(&self) -> Status {
        match &self.phase {
            _ if self.held.is_some() => Status::Waiting,
            Phase::New | Phase::Resting { .. } => Status::Pending,
            Phase::Thinking { turn: 1, .. } => Status::Starting,
            Phase::Thinking { .. } | Phase::Answered | Phase::Acting { .. } => Status::Running,
            Phase::Asking { .. } => Status::Waiting,
            Phase::Ended(status) => *status,
        }
    }

    /// The conversation after the instructions and the Build's own first turns.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The key of the call whose intent is written and whose outcome is not.
    pub fn in_flight(&self) -> Option<uuid::Uuid> {
        match &self.phase {
            Phase::Acting { current, begun: true, .. } => Some(current.key),
            _ => None,
        }
    }

    fn current_leaves_the_server(&self) -> bool {
        matches!(&self.phase, Phase::Acting { current, .. } if current.name != FINISH && current.name != ASK_PERSON)
    }

    /// What people said and answered, oldest first.
    pub fn people(&self) -> &[String] {
        &self.people
    }

    /// The definition of a server's tool under which a person has last approved a call of it. It stands for the pinned one from then on.
    pub fn accepted(&self, server: &str, tool: &str) -> Option<&str> {
        self.accepted.get(&(server.to_owned(), tool.to_owned())).map(String::as_str)
    }

    /// The round that it is in, or that has just ended.
    pub fn round(&self) -> Round {
        self.round
    }

    /// Whether the server has said something to its readers already.
    pub fn noted(&self) -> bool {
        self.noted
    }

    /// The request it waits for.
    pub fn pending_request(&self) -> Option<&HumanRequest> {
        match &self.phase {
            Phase::Asking { request, .. } => Some(request),
            _ => self.held.as_ref(),
        }
    }

    /// Active milliseconds left at `now`.
    pub fn wall_left_ms(&self, now: Timestamp) -> u64 {
        let running = self.active_since.map_or(0, |since| now.ms_since(since));
        self.rules.limits.wall_ms.saturating_sub(self.used.active_ms.saturating_add(running))
    }
}

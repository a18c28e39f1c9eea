//! What can happen to a run. One event is one journal entry; this is the journal's format, and it only ever grows.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;
use crate::human_requests::{HumanRequest, Response};
#[cfg(doc)]
use crate::turns::Target;
use crate::turns::{Outcome, Reply, ToolCall};

/// One line of a run's journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// 1, 2, 3, …: gap-free within the run.
    pub seq: u64,
    /// When it was committed.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// What can happen to a run. The JSON of an entry is this, tagged by `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// It was accepted. Always the first.
    Created {
        /// The Assignment.
        agent_id: Uuid,
        /// The Build it stays pinned to.
        build_id: Uuid,
    },
    /// A worker took it. Written by the claim itself, so that a run which kills its worker is counted.
    Claimed {
        /// How many workers have taken it since it was last let go in good order.
        attempt: u32,
    },
    /// A person wrote to it.
    MessageReceived(Said),
    /// The server has something to say to whoever reads the transcript.
    Noted {
        /// A sentence.
        text: String,
    },
    /// The model answered.
    Replied {
        /// Which turn.
        turn: u32,
        /// The whole answer.
        reply: Reply,
    },
    /// A model turn failed.
    TurnFailed {
        /// Which turn.
        turn: u32,
        /// Why.
        failure: ModelFailure,
        /// A number in 0..1000 that spreads the next try.
        spread_permille: u16,
    },
    /// The intent of a tool call: durable before the call leaves.
    ToolStarted {
        /// The call.
        call: ToolCall,
    },
    /// It was not made: its server defines the tool otherwise than the call's [`Target`] says. A person decides.
    ToolChanged {
        /// [`ToolCall::key`].
        key: Uuid,
        /// The id of the human request that follows: one about this call may have been answered already.
        request: Uuid,
        /// [`crate::tools::Definition::hash`] of what the server says now.
        definition: String,
        /// What is different, for the person.
        difference: String,
    },
    /// What came of it.
    ToolFinished {
        /// [`ToolCall::key`].
        key: Uuid,
        /// The outcome.
        outcome: Outcome,
    },
    /// A person is asked.
    PersonAsked {
        /// What.
        request: HumanRequest,
    },
    /// A person answered.
    PersonAnswered {
        /// Which request.
        request_id: Uuid,
        /// What.
        response: Response,
    },
    /// It does not go on by itself any more, wherever it stood: a person decides. Written when a backup is restored, since nobody knows what
    /// happened after that backup was taken.
    Held {
        /// What the person decides: an approval. Approved, it goes on as after a crash; denied, it is stopped.
        request: HumanRequest,
    },
    /// It is done.
    Completed {
        /// The result, unless the model's last words already are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<String>,
    },
    /// It was given up.
    Failed {
        /// Why.
        cause: Cause,
    },
    /// It was stopped.
    Interrupted {
        /// By what: `stop_request`, or `denied` where a person did not let a held run go on.
        by: String,
    },
}

impl Event {
    /// Its name in the journal and on the event stream.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Created { .. } => "created",
            Self::Claimed { .. } => "claimed",
            Self::MessageReceived(_) => "message_received",
            Self::Noted { .. } => "noted",
            Self::Replied { .. } => "replied",
            Self::TurnFailed { .. } => "turn_failed",
            Self::ToolStarted { .. } => "tool_started",
            Self::ToolChanged { .. } => "tool_changed",
            Self::ToolFinished { .. } => "tool_finished",
            Self::PersonAsked { .. } => "person_asked",
            Self::PersonAnswered { .. } => "person_answered",
            Self::Held { .. } => "held",
            Self::Completed { .. } => "completed",
            Self::Failed { .. } => "failed",
            Self::Interrupted { .. } => "interrupted",
        }
    }

    /// The names of all events that this version has.
    pub const KINDS: [&str; 15] = [
        "created",
        "claimed",
        "message_received",
        "noted",
        "replied",
        "turn_failed",
        "tool_started",
        "tool_changed",
        "tool_finished",
        "person_asked",
        "person_answered",
        "held",
        "completed",
        "failed",
        "interrupted",
    ];

    /// Whether this version has an event of that name.
    pub fn knows(kind: &str) -> bool {
        Self::KINDS.contains(&kind)
    }

    /// Whether `kind` is the name of an event after which nothing happens by itself.
    pub fn ends(kind: &str) -> bool {
        matches!(kind, "completed" | "failed" | "interrupted")
    }
}

/// A person's message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The id the API gave it.
    pub id: Uuid,
    /// The text.
    pub text: String,
}

/// Why a run was given up, for machines and for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Stable snake_case code.
    pub code: String,
    /// What happened and what to do about it.
    pub message: String,
}

/// Why a model turn failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFailure {
    /// Stable snake_case code.
    pub code: String,
    /// Provider, model, status and the provider's own words; no key.
    pub message: String,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// How long the provider asks to be left alone, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

//! The words between a run and its model: what was said, what the model answered, which tools it wants.
//!
//! `agent` translates these to each provider's wire; [`crate::runs`] decides what follows from them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// One line of the conversation as the model sees it, after the instructions.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// A person, or the server speaking for the Job's own rules.
    User(String),
    /// What the model said and asked for.
    Assistant {
        /// Its words; may be empty when it only calls tools.
        text: String,
        /// The tools it asked for, in order.
        calls: Vec<ToolCall>,
        /// What the provider wants back unchanged (signed reasoning and the like), in the provider adapter's own form.
        carry: Option<Value>,
    },
    /// What came of one tool call.
    ToolResult {
        /// [`ToolCall::id`] of the call.
        call_id: String,
        /// [`ToolCall::name`] of the call.
        name: String,
        /// The outcome.
        outcome: Outcome,
    },
}

/// A complete answer of a model. A cut stream never becomes one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Its words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The tools it wants, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// Why it stopped.
    pub stop: Stop,
    /// The model that answered, as the provider knows it.
    pub model: String,
    /// What it cost.
    pub usage: Usage,
    /// See [`Line::Assistant`]. Kept beside the journal entry, never shown.
    #[serde(skip)]
    pub carry: Option<Value>,
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// It was done, or wants its tools run.
    Done,
    /// It ran into the limit on output tokens; its last tool call may be cut off.
    Length,
    /// The provider withheld the answer (safety).
    Refused,
    /// It was done, but the arguments of a tool call are not one JSON object.
    Malformed,
}

/// Tokens and money of one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub input_tokens: u64,
    /// Tokens of the answer, reasoning included.
    pub output_tokens: u64,
    /// Those of the prompt that were read from the provider's cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cached_tokens: u64,
    /// Millionths of a US dollar, where `errand.toml` prices the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_micro_usd: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A whole tool call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The provider's name for it, unique within the run.
    pub id: String,
    /// Ours: the idempotency key of the call, and the id of the human request if it is one.
    pub key: Uuid,
    /// Which tool.
    pub name: String,
    /// What for.
    pub arguments: Map<String, Value>,
    /// What may be done with it after a crash.
    pub replay: Replay,
    /// The tool of an MCP server that it is for; `None`: a tool that every Job has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Box<Target>>,
}

/// A tool of an MCP server, as it was defined when the model was offered it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The `server_label` of the Build's config.
    pub server: String,
    /// The tool's name on that server.
    pub tool: String,
    /// [`crate::tools::Definition::hash`] of what the call was made for.
    pub definition: String,
    /// A person must approve the call before it is made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approval: bool,
    /// The id of the human request about the call, if it is not the call's key: a person was asked about another definition before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Uuid>,
}

impl ToolCall {
    /// The id of the human request that is about it, or that it is itself.
    pub fn request_id(&self) -> Uuid {
        self.target.as_ref().and_then(|target| target.request).unwrap_or(self.key)
    }

    /// Whether a person must approve it before it is made.
    pub fn needs_approval(&self) -> bool {
        self.target.as_ref().is_some_and(|target| target.approval)
    }
}

/// Whether a call that was in flight when the server died may be made again. Decided by the tool, stored with the intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replay {
    /// Declared safe to repeat with the same key.
    Safe,
    /// Anything else: never repeated by itself; its outcome is then unknown.
    Never,
}

/// What came of a tool call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did what it should; JSON or text for the model.
    Ok(Value),
    /// It showed a picture: a file of the run's sandbox, handed to models that see.
    Image(ImageRef),
    /// It failed, in words the model can act on.
    Error(String),
    /// Nobody knows whether it took effect: the server died or was told to stop while it ran.
    Unknown,
    /// It was never started.
    Skipped(String),
}

/// A picture in the sandbox, by content, so that a later turn shows the same bytes or says that they are gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRef {
    /// Absolute path, such as `/workspace/page.png`.
    pub path: String,
    /// Media type, such as `image/png`.
    pub media_type: String,
    /// SHA-256 of the bytes, lower-case hex.
    pub sha256: String,
    /// Size in bytes.
    pub size_bytes: u64,
}

impl Outcome {
    /// What an unknown outcome says to model and people.
    pub const UNKNOWN: &str = "outcome_unknown: this call was cut off while it was in flight (the server died, it took too long, or the Job was stopped). It may or may not have taken effect. \
        Find out before you repeat it, or ask a person.";

    /// Bytes this outcome adds to the transcript.
    pub fn size(&self) -> u64 {
        let bytes = match self {
            Self::Ok(Value::String(text)) | Self::Error(text) | Self::Skipped(text) => text.len(),
            Self::Ok(value) => value.to_string().len(),
            Self::Image(_) => 64,
            Self::Unknown => Self::UNKNOWN.len(),
        };
        bytes as u64
    }
}

/// A tool as it is offered to a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// Its name: `[a-zA-Z0-9_-]`, 64 at most.
    pub name: Cow<'static, str>,
    /// What it does and when to use it.
    pub description: Cow<'static, str>,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

//! The public transcript: what people read of a journal. One entry shows as one message or as none.

use serde_json::Value;

use super::{Entry, Event};
use crate::human_requests::HumanRequest;
use crate::turns::{Outcome, ToolCall};
use crate::{RunId, Timestamp};

/// One message (contract 2.9).
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The posted message's own id, else made of run and `seq`; never changes.
    pub id: String,
    /// `text`, `tool_call`, `tool_result`, `human_request` or `system`.
    pub kind: &'static str,
    /// `user`, `assistant`, `tool` or `system`.
    pub role: &'static str,
    /// When it was committed.
    pub at: Timestamp,
    /// Its words.
    pub text: Option<String>,
    /// The call, for `tool_call`.
    pub call: Option<ToolCall>,
    /// The call's key and its outcome, for `tool_result`.
    pub result: Option<(uuid::Uuid, Outcome)>,
}

impl Event {
    /// Whether the entry shows in the transcript.
    pub fn is_message(&self) -> bool {
        match self {
            Self::Created { .. } | Self::Claimed { .. } | Self::Completed { result: None } => false,
            Self::Replied { reply, .. } => !reply.text.is_empty(),
            // A final failure is told by the `Failed` that follows.
            Self::TurnFailed { failure, .. } => failure.retryable,
            _ => true,
        }
    }
}

/// The message that `entry` shows as.
pub fn message(run: RunId, entry: &Entry) -> Option<Message> {
    if !entry.event.is_message() {
        return None;
    }
    let mut message = Message {
        id: format!("{run}.{}", entry.seq),
        kind: "text",
        role: "assistant",
        at: entry.at,
        text: None,
        call: None,
        result: None,
    };
    let system = |text: String| (("system", "system"), Some(text));
    let ((kind, role), text) = match &entry.event {
        Event::Created { .. } | Event::Claimed { .. } => return None,
        Event::MessageReceived(said) => {
            message.id = said.id.to_string();
            (("text", "user"), Some(said.text.clone()))
        }
        Event::Noted { text } => system(text.clone()),
        Event::Replied { reply, .. } => (("text", "assistant"), Some(reply.text.clone())),
        Event::TurnFailed { failure, .. } => {
            system(format!("A model call failed: {} ({})", failure.message, failure.code))
        }
        Event::ToolStarted { call } => {
            message.call = Some(call.clone());
            (("tool_call", "assistant"), None)
        }
        Event::ToolChanged { difference, .. } => system(format!("A tool call was not made. {difference}")),
        Event::ToolFinished { key, outcome } => {
            message.result = Some((*key, outcome.clone()));
            (("tool_result", "tool"), None)
        }
        Event::PersonAsked { request } => (("human_request", "assistant"), Some(spoken(request))),
        Event::Held { request } => (("human_request", "system"), Some(spoken(request))),
        Event::PersonAnswered { response, .. } => (("text", "user"), Some(response.text())),
        Event::Completed { result } => (("text", "assistant"), result.clone()),
        Event::Failed { cause } => system(format!("Failed: {} ({})", cause.message, cause.code)),
        Event::Interrupted { by } if by == "denied" => {
            system("Stopped: a person decided that it must not go on.".into())
        }
        Event::Interrupted { .. } => system("Stopped by request.".into()),
    };
    Some(Message { kind, role, text, ..message })
}

fn spoken(request: &HumanRequest) -> String {
    let mut text = request.title.clone();
    for line in request.description.iter().chain(request.questions.iter().map(|q| &q.question)) {
        if *line != request.title {
            text.push('\n');
            text.push_str(line);
        }
    }
    text
}

/// An outcome as `tool_result` shows it: a result or an error.
///
/// # Errors
/// The words of the failure.
pub fn shown(outcome: &Outcome) -> Result<Value, String> {
    match outcome {
        Outcome::Ok(value) => Ok(value.clone()),
        Outcome::Image(image) => Ok(serde_json::json!({ "image": image })),
        Outcome::Error(text) | Outcome::Skipped(text) => Err(text.clone()),
        Outcome::Unknown => Err(Outcome::UNKNOWN.into()),
    }
}

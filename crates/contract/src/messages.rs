//! The transcript of a run on the wire: what was said, called and returned, in order.
//!
//! Which events become messages, and in which words, is decided by the domain. The raw journal of a
//! run is in [`crate::events`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fields;

/// Body of `POST /v1/runs/{run_id}/messages`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostMessage {
    /// At least one character.
    #[serde(deserialize_with = "fields::filled")]
    #[schemars(length(min = 1))]
    pub message: String,
}

/// One entry of the transcript.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Message {
    /// Stable: an entry once shown keeps its id and its place.
    pub id: String,
    /// `text`, `tool_call`, `tool_result`, `human_request` or `system`; more may come.
    #[serde(rename = "type")]
    pub kind: String,
    /// `user`, `assistant`, `tool` or `system`; more may come.
    pub role: String,
    /// RFC 3339, UTC, milliseconds, `Z`.
    pub timestamp: String,
    /// What was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub text_content: Option<String>,
    /// Present on an assistant's entry that calls a tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ToolCall")]
    pub tool_call: Option<ToolCall>,
    /// Present on the entry with which the tool answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ToolResult")]
    pub tool_result: Option<ToolResult>,
}

/// A tool being called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ToolCall {
    /// Ties the call to its result.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Map<String, Value>")]
    pub arguments: Option<Map<String, Value>>,
}

/// What a tool gave back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ToolResult {
    /// The call's id.
    pub tool_call_id: String,
    /// Any JSON; absent when the call failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Value")]
    pub result: Option<Value>,
    /// Why the call failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub error: Option<String>,
}

/// Answer of `GET /v1/runs/{run_id}/messages`, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct MessagePage {
    /// At most `limit` messages.
    pub messages: Vec<Message>,
    /// All messages so far; it never shrinks.
    #[schemars(with = "f64")]
    pub total: u64,
    /// The page size in effect.
    #[schemars(with = "f64")]
    pub limit: u32,
    /// How many messages were skipped.
    #[schemars(with = "f64")]
    pub offset: u64,
}

/// Answer of `POST /v1/runs/{run_id}/messages` (201).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PostedMessageAnswer {
    /// The message as it stands in the transcript.
    pub message: PostedMessage,
}

/// A message just posted: a [`Message`] that certainly has a text and no tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PostedMessage {
    /// The id under which the transcript lists it.
    pub id: String,
    /// `text`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `user`.
    pub role: String,
    /// RFC 3339, UTC, milliseconds, `Z`.
    pub timestamp: String,
    /// What was posted.
    pub text_content: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strict_json::from_slice;

    #[test]
    fn a_posted_message_has_text_and_nothing_else() {
        assert!(from_slice::<PostMessage>(br#"{"message":"go on"}"#).is_ok());
        for body in [r#"{"message":""}"#, r#"{"message":1}"#, r#"{"message":"x","role":"user"}"#, "{}"] {
            assert!(from_slice::<PostMessage>(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_plain_message_carries_no_tool_keys() {
        let message = Message {
            id: "1".to_owned(),
            kind: "text".to_owned(),
            role: "assistant".to_owned(),
            timestamp: "t".to_owned(),
            text_content: Some("hello".to_owned()),
            tool_call: None,
            tool_result: None,
        };
        assert_eq!(
            serde_json::to_string(&message).expect("plain"),
            r#"{"id":"1","type":"text","role":"assistant","timestamp":"t","text_content":"hello"}"#
        );
    }
}

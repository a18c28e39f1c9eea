//! Human requests on the wire: what a run asks of a person, and what the person says.
//!
//! Whether an answer fits its question is decided by the domain; [`Respond`] only has the shape.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fields;

/// Body of `POST /v1/runs/{run_id}/human-requests/{request_id}/respond`: one of the two keys,
/// whichever fits what was asked. Neither may be null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Respond {
    /// The decision on an approval.
    #[serde(default, deserialize_with = "fields::given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub approved: Option<bool>,
    /// With `approved: true` to a tool call: what is sent in place of the arguments that were shown. An extension.
    #[serde(default, deserialize_with = "fields::given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Map<String, Value>", extend("x-errand-extension" = true))]
    pub arguments: Option<Map<String, Value>>,
    /// The answers to questions, each under the text of its question.
    #[serde(default, deserialize_with = "fields::given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub answers: Option<BTreeMap<String, String>>,
}

impl Respond {
    /// A decision on an approval.
    pub fn decision(approved: bool) -> Self {
        Self { approved: Some(approved), arguments: None, answers: None }
    }

    /// Answers to questions, each under the text of its question.
    pub fn answers(answers: BTreeMap<String, String>) -> Self {
        Self { approved: None, arguments: None, answers: Some(answers) }
    }
}

/// What a waiting run asks, as `GET /v1/runs/{run_id}` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct HumanRequest {
    /// The request's id.
    #[schemars(extend("format" = "uuid"))]
    pub id: String,
    /// One line.
    pub title: String,
    /// More about it; null when there is no more.
    pub description: Option<String>,
    /// RFC 3339, UTC, milliseconds, `Z`.
    pub created_at: String,
    /// What kind of answer is expected.
    #[serde(rename = "type")]
    pub kind: HumanRequestKind,
    /// What is asked, if it is a question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<Question>")]
    pub questions: Option<Vec<Question>>,
}

/// The two things that a run can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HumanRequestKind {
    /// Answered with `approved`.
    Approval,
    /// Answered with `answers`.
    Question,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Question {
    /// Its text, which is also the key of its answer.
    pub question: String,
    /// A word or two to put above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub header: Option<String>,
    /// Answers to choose from; without them any text will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<Choice>")]
    pub options: Option<Vec<Choice>>,
    /// Whether several options may be chosen, then separated by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub multi_select: Option<bool>,
}

/// One answer to choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Choice {
    /// The text of the answer.
    pub label: String,
    /// What choosing it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub description: Option<String>,
}

/// Answer of the respond operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RespondAnswer {
    /// The request with what was said to it.
    pub human_request: AnsweredRequest,
}

/// A request that has been answered. Times are RFC 3339, UTC, milliseconds, `Z`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AnsweredRequest {
    /// The request's id.
    #[schemars(extend("format" = "uuid"))]
    pub id: String,
    /// The run that asked.
    #[schemars(extend("format" = "uuid"))]
    pub run_id: String,
    /// One line.
    pub title: String,
    /// More about it; null when there is no more.
    pub description: Option<String>,
    /// What was said, as text.
    pub response: Option<String>,
    /// When it was said.
    pub responded_at: Option<String>,
    /// When it was asked.
    pub created_at: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strict_json::from_slice;

    #[test]
    fn reads_a_decision_or_answers() {
        let approval: Respond = from_slice(br#"{"approved":false}"#).expect("valid");
        assert_eq!(approval, Respond { approved: Some(false), arguments: None, answers: None });

        let answers: Respond = from_slice(br#"{"answers":{"Which?":"B"}}"#).expect("valid");
        let expected = BTreeMap::from([("Which?".to_owned(), "B".to_owned())]);
        assert_eq!(answers.answers, Some(expected));
    }

    #[test]
    fn points_at_the_answer_that_is_not_text() {
        let flaw = from_slice::<Respond>(br#"{"answers":{"a/b":1}}"#).expect_err("a number");
        assert_eq!(flaw.to_string(), "/answers/a~1b: invalid type: integer `1`, expected a string");
        assert!(from_slice::<Respond>(br#"{"approved":null}"#).is_err());
        assert!(from_slice::<Respond>(br#"{"approved":"true"}"#).is_err());
    }

    #[test]
    fn the_two_kinds_have_their_names_from_the_schema() {
        assert_eq!(serde_json::to_string(&HumanRequestKind::Approval).expect("plain"), r#""approval""#);
        assert_eq!(serde_json::to_string(&HumanRequestKind::Question).expect("plain"), r#""question""#);
    }
}

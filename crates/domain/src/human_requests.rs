//! Human requests: what a Job asks a person, and which answers fit.
//!
//! The model asks through the tool [`ASK_PERSON`]; [`HumanRequest::from_call`] reads its arguments, [`HumanRequest::accept`] an answer.
//! Whether an answer still comes in time is for [`Stage::found`] to say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::runs::{Event, Status};
use crate::turns::ToolCall;

/// The tool through which a model asks a person.
pub const ASK_PERSON: &str = "ask_person";

/// One pending request of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HumanRequest {
    /// Its id: the key of the tool call that asked, or one of its own where no call did.
    pub id: Uuid,
    /// What kind of answer it wants.
    pub kind: Kind,
    /// One line.
    pub title: String,
    /// More, for the person who decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The questions; empty for an approval.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<Question>,
}

/// What kind of answer a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Yes or no.
    Approval,
    /// An answer to each question.
    Question,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The text; answers are keyed by it.
    pub question: String,
    /// A short label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Suggested answers; free text is accepted too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Choice>,
    /// Several options may be named, separated by commas.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub multi_select: bool,
}

/// A suggested answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The answer.
    pub label: String,
    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// What a person answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// The decision on an approval.
    Approved(bool),
    /// Answers by question text.
    Answers(BTreeMap<String, String>),
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// An answer is taken.
    Open,
    /// The one answer was given.
    Answered,
    /// The run went on without an answer.
    Overtaken,
}

impl Stage {
    /// What an answer finds that comes now. A request can look open although nobody will hear an answer any more: the run has stopped waiting,
    /// or something lies in its `inbox` that it takes first and that moves it on.
    #[must_use]
    pub fn found(self, run: Status, inbox: &[Event]) -> Self {
        let moves_on = |event: &Event| matches!(event, Event::MessageReceived(_) | Event::Interrupted { .. });
        match self {
            Self::Open if run != Status::Waiting || inbox.iter().any(moves_on) => Self::Overtaken,
            stage => stage,
        }
    }
}

impl Response {
    /// As the API shows it: `approved`, `denied`, or the answers as JSON text (contract 2.10).
    pub fn text(&self) -> String {
        match self {
            Self::Approved(true) => "approved".into(),
            Self::Approved(false) => "denied".into(),
            Self::Answers(answers) => json!(answers).to_string(),
        }
    }

    /// As the model is told.
    pub fn for_model(&self) -> Value {
        match self {
            Self::Approved(yes) => json!({ "approved": yes }),
            Self::Answers(answers) => json!({ "answers": answers }),
        }
    }
}

impl HumanRequest {
    /// Reads the arguments of an [`ASK_PERSON`] call.
    ///
    /// # Errors
    /// A sentence for the model that says which argument is wrong.
    pub fn from_call(call: &ToolCall) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Arguments {
            kind: Kind,
            title: String,
            description: Option<String>,
            #[serde(default)]
            questions: Vec<Question>,
        }
        let asked: Arguments = serde_json::from_value(Value::Object(call.arguments.clone()))
            .map_err(|error| format!("{ASK_PERSON}: {error}"))?;
        if asked.title.trim().is_empty() {
            return Err(format!("{ASK_PERSON}: title must say in one line what is asked"));
        }
        let questions = match asked.kind {
            Kind::Approval if asked.questions.is_empty() => asked.questions,
            Kind::Approval => {
                return Err(format!("{ASK_PERSON}: an approval has no questions; use kind \"question\""));
            }
            // The title is the question when the model gave no other.
            Kind::Question if asked.questions.is_empty() => {
                vec![Question { question: asked.title.clone(), header: None, options: vec![], multi_select: false }]
            }
            Kind::Question => asked.questions,
        };
        let texts: std::collections::BTreeSet<&str> = questions.iter().map(|q| q.question.as_str()).collect();
        if texts.len() != questions.len() || texts.contains("") {
            return Err(format!("{ASK_PERSON}: each question needs a text of its own, since answers are keyed by it"));
        }
        Ok(Self { id: call.key, kind: asked.kind, title: asked.title, description: asked.description, questions })
    }

    /// Reads an answer: `approved` for an approval, `answers` for questions, keyed by question text, header or 0-based index.
    ///
    /// # Errors
    /// A sentence for the person: what is missing, or which key fits no question.
    pub fn accept(&self, approved: Option<bool>, answers: Option<&Map<String, Value>>) -> Result<Response, String> {
        match (self.kind, approved, answers) {
            (Kind::Approval, Some(yes), None) => Ok(Response::Approved(yes)),
            (Kind::Approval, ..) => {
                Err("this request is an approval: send {\"approved\": true} or {\"approved\": false}".into())
            }
            (Kind::Question, None, Some(answers)) => self.accept_answers(answers),
            (Kind::Question, ..) => {
                Err(format!("this request asks a question: send {{\"answers\": {{…}}}} with {}", self.keys()))
            }
        }
    }

    fn accept_answers(&self, given: &Map<String, Value>) -> Result<Response, String> {
        let mut answers = BTreeMap::new();
        for (key, value) in given {
            let question =
                self.find(key).ok_or_else(|| format!("/answers: no question {key:?}; expected {}", self.keys()))?;
            let Value::String(answer) = value else {
                return Err(format!("/answers: the answer to {key:?} must be a string"));
            };
            if answers.insert(question.question.clone(), answer.clone()).is_some() {
                return Err(format!("/answers: {:?} is answered twice", question.question));
            }
        }
        match self.questions.iter().find(|q| !answers.contains_key(&q.question)) {
            Some(open) => Err(format!("/answers: no answer to {:?}", open.question)),
            None => Ok(Response::Answers(answers)),
        }
    }

    fn find(&self, key: &str) -> Option<&Question> {
        let by_text = self.questions.iter().find(|q| q.question == key);
        let by_header = || self.questions.iter().find(|q| q.header.as_deref() == Some(key));
        let by_index = || self.questions.get(key.parse::<usize>().ok()?);
        by_text.or_else(by_header).or_else(by_index)
    }

    fn keys(&self) -> String {
        let texts: Vec<String> = self.questions.iter().map(|q| format!("{:?}", q.question)).collect();
        format!("an answer to each of: {}", texts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turns::Replay;

    fn asked(arguments: Value) -> Result<HumanRequest, String> {
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        HumanRequest::from_call(&ToolCall {
            id: "c1".into(),
            key: Uuid::nil(),
            name: ASK_PERSON.into(),
            arguments,
            replay: Replay::Safe,
        })
    }

    fn answers(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn answers_fit_by_text_header_or_index() {
        let request = asked(json!({"kind": "question", "title": "Two things", "questions": [
            {"question": "Which total?", "header": "total", "options": [{"label": "A"}, {"label": "B"}]},
            {"question": "Who signs?"}]}))
        .unwrap();
        for given in [json!({"Which total?": "A", "Who signs?": "Ann"}), json!({"total": "A", "1": "Ann"})] {
            let accepted = request.accept(None, Some(&answers(&given))).unwrap();
            assert_eq!(accepted.text(), r#"{"Which total?":"A","Who signs?":"Ann"}"#);
        }
        for wrong in [json!({}), json!({"total": "A"}), json!({"total": "A", "0": "B", "1": "C"}), json!({"7": "A"})] {
            assert!(request.accept(None, Some(&answers(&wrong))).is_err(), "{wrong}");
        }
        assert!(request.accept(Some(true), None).is_err());
    }

    #[test]
    fn an_approval_wants_yes_or_no() {
        let request = asked(json!({"kind": "approval", "title": "Pay 10?"})).unwrap();
        assert_eq!(request.accept(Some(false), None).unwrap().text(), "denied");
        assert!(request.accept(None, None).is_err());
    }

    #[test]
    fn a_badly_asked_request_is_explained() {
        assert!(asked(json!({"kind": "question"})).unwrap_err().contains("title"));
        assert!(asked(json!({"kind": "approval", "title": "x", "questions": [{"question": "y"}]})).is_err());
        assert!(
            asked(json!({"kind": "question", "title": "x", "questions": [{"question": "y"}, {"question": "y"}]}))
                .is_err()
        );
    }
    #[test]
    fn an_open_request_is_overtaken_by_whatever_moves_its_run_on() {
        let stop = Event::Interrupted { by: "stop_request".into() };
        let note = Event::Noted { text: "n".into() };
        assert_eq!(Stage::Open.found(Status::Waiting, std::slice::from_ref(&note)), Stage::Open);
        assert_eq!(Stage::Open.found(Status::Waiting, &[note, stop.clone()]), Stage::Overtaken);
        assert_eq!(Stage::Open.found(Status::Pending, &[]), Stage::Overtaken);
        assert_eq!(Stage::Answered.found(Status::Pending, &[stop]), Stage::Answered);
    }
}

//! Human requests: what a Job asks a person, and which answers fit.
//!
//! The model asks through the tool [`ASK_PERSON`]; [`HumanRequest::from_call`] reads its arguments, [`HumanRequest::accept`] an answer.
//! Whether an answer still comes in time is for [`Stage::found`] to say.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::Timestamp;
use crate::runs::{Event, Status};
use crate::tools::hides;
use crate::turns::{Target, ToolCall};

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
    /// The call that is made if it is approved; the description shows the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Box<Proposed>>,
    /// When it counts as denied if nobody has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A tool call that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposed {
    /// Of which server and tool, and of which definition of it.
    #[serde(flatten)]
    pub target: Target,
    /// Exactly what is sent.
    pub arguments: Map<String, Value>,
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
    /// Yes to the call, with these arguments in place of those that were shown.
    Edited(Map<String, Value>),
    /// Nobody decided in time, which is a no.
    Expired,
    /// Answers by question text.
    Answers(BTreeMap<String, String>),
}

/// An answer as it was sent, before anything is known to fit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answer<'a> {
    /// The decision on an approval.
    pub approved: Option<bool>,
    /// With a yes to a call: what is sent in place of the arguments shown.
    pub arguments: Option<&'a Map<String, Value>>,
    /// The answers to questions.
    pub answers: Option<&'a Map<String, Value>>,
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
            Self::Edited(arguments) => format!("approved with other arguments: {}", shown(&json!(arguments))),
            Self::Expired => "expired".into(),
            Self::Answers(answers) => json!(answers).to_string(),
        }
    }

    /// As the model is told.
    pub fn for_model(&self) -> Value {
        match self {
            Self::Approved(yes) => json!({ "approved": yes }),
            Self::Edited(arguments) => json!({ "approved": true, "arguments": arguments }),
            Self::Expired => json!({ "approved": false, "expired": true }),
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
        Ok(Self { questions, description: asked.description, ..Self::new(call.key, asked.kind, asked.title) })
    }

    /// A request with a title alone.
    pub fn new(id: Uuid, kind: Kind, title: impl Into<String>) -> Self {
        Self { id, kind, title: title.into(), description: None, questions: vec![], call: None, expires_at: None }
    }

    /// Asks whether a call of a server's tool may be made. All of its words are the server's own, none the model's, and what they show is exactly
    /// what runs. `because` says why a person is asked who otherwise would not be, or once more.
    pub(crate) fn for_call(call: &ToolCall, target: &Target, because: Option<&str>, expires_at: Timestamp) -> Self {
        let Target { server, tool, definition, .. } = target;
        let because = because.map_or_else(String::new, |because| format!("{because}\n\n"));
        let arguments = shown(&json!(call.arguments));
        let description = format!(
            "{because}Server: {server}\nTool: {tool}\nDefinition: sha256:{definition}\nArguments, exactly as they are sent:\n{arguments}"
        );
        Self {
            description: Some(description),
            call: Some(Box::new(Proposed { target: target.clone(), arguments: call.arguments.clone() })),
            expires_at: Some(expires_at),
            ..Self::new(call.request_id(), Kind::Approval, format!("Call the tool {tool} of {server}?"))
        }
    }

    /// Reads an answer: `approved` for an approval, with `arguments` where it is about a call; `answers` for questions, keyed by question text, header
    /// or 0-based index.
    ///
    /// # Errors
    /// A sentence for the person: what is missing, or which key fits no question.
    pub fn accept(&self, answer: Answer<'_>) -> Result<Response, String> {
        let Answer { approved, arguments, answers } = answer;
        match (self.kind, approved, arguments, answers) {
            (Kind::Approval, Some(true), Some(arguments), None) if self.call.is_some() => {
                Ok(Response::Edited(arguments.clone()))
            }
            (Kind::Approval, Some(yes), None, None) => Ok(Response::Approved(yes)),
            (Kind::Approval, _, Some(_), None) if self.call.is_none() => {
                Err("/arguments: this request is not about a call of a tool, so there are no arguments to change"
                    .into())
            }
            (Kind::Approval, _, Some(_), None) => Err("/arguments: they go with {\"approved\": true} only".into()),
            (Kind::Approval, ..) => {
                Err("this request is an approval: send {\"approved\": true} or {\"approved\": false}".into())
            }
            (Kind::Question, None, None, Some(answers)) => self.accept_answers(answers),
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

/// JSON for a person who decides on it: whole, one value a line, and nothing in it that hides, so that what is read is what is sent.
fn shown(value: &Value) -> String {
    let mut text = String::new();
    for letter in format!("{value:#}").chars() {
        if letter != '\n' && hides(letter) {
            let mut units = [0; 2];
            for unit in letter.encode_utf16(&mut units) {
                // Of JSON as well: whoever copies it has the same value.
                let _whole = write!(text, "\\u{unit:04x}");
            }
        } else {
            text.push(letter);
        }
    }
    text
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
            target: None,
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
            let accepted = request.accept(Answer { answers: Some(&answers(&given)), ..Answer::default() }).unwrap();
            assert_eq!(accepted.text(), r#"{"Which total?":"A","Who signs?":"Ann"}"#);
        }
        for wrong in [json!({}), json!({"total": "A"}), json!({"total": "A", "0": "B", "1": "C"}), json!({"7": "A"})] {
            assert!(
                request.accept(Answer { answers: Some(&answers(&wrong)), ..Answer::default() }).is_err(),
                "{wrong}"
            );
        }
        assert!(request.accept(Answer { approved: Some(true), ..Answer::default() }).is_err());
    }

    #[test]
    fn an_approval_wants_yes_or_no() {
        let request = asked(json!({"kind": "approval", "title": "Pay 10?"})).unwrap();
        assert_eq!(request.accept(Answer { approved: Some(false), ..Answer::default() }).unwrap().text(), "denied");
        assert!(request.accept(Answer::default()).is_err());
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

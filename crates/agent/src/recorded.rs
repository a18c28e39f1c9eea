//! Recorded model turns: a documented file that plays the model in the demo and in tests.
//!
//! ```json
//! { "format": "errand-recording-1", "about": "What this shows", "model": "claude-sonnet-4-5",
//!   "turns": [ { "turn": 1, "people": [],
//!     "reply": { "text": "I plan first.", "calls": [ { "name": "todo", "arguments": { "items": [] } } ],
//!                "stop": "done", "usage": { "input_tokens": 10, "output_tokens": 5 } } } ] }
//! ```
//!
//! A turn is found by its number and by everything people said until then, word for word: another answer to a question needs another turn.
//! Here: the file and [`RecordedModel`]. Not here: making a recording of a journal.

use domain::runs::ModelFailure;
use domain::turns::{Stop, Usage};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::models::{Answer, Model, ProposedCall, TurnRequest};

/// A whole recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// The version of the file's form.
    pub format: Format,
    /// What it shows, for people.
    #[serde(default)]
    pub about: String,
    /// The model that once answered.
    pub model: String,
    /// The answers.
    pub turns: Vec<RecordedTurn>,
}

/// Forms of the file that this version reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// The first.
    #[serde(rename = "errand-recording-1")]
    V1,
}

/// One answer, and when it is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedTurn {
    /// Which turn of the run, from 1.
    pub turn: u32,
    /// What people had said and answered by then, oldest first.
    #[serde(default)]
    pub people: Vec<String>,
    /// The answer.
    pub reply: RecordedReply,
}

/// What the model said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedReply {
    /// Its words.
    #[serde(default)]
    pub text: String,
    /// The tools it wanted.
    #[serde(default)]
    pub calls: Vec<RecordedCall>,
    /// Why it stopped.
    pub stop: Stop,
    /// What it cost then.
    #[serde(default)]
    pub usage: Usage,
}

/// A tool call; ids are made again at every play.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedCall {
    /// The tool.
    pub name: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
}

/// A model that only knows its recording.
#[derive(Debug, Clone)]
pub struct RecordedModel(Recording);

impl RecordedModel {
    /// Plays `recording`.
    pub fn new(recording: Recording) -> Self {
        Self(recording)
    }

    fn find(&self, turn: u32, people: &[String]) -> Result<Answer, ModelFailure> {
        let recorded = self.0.turns.iter().find(|recorded| recorded.turn == turn && recorded.people == people);
        let reply = &recorded.ok_or_else(|| no_such_turn(turn, people))?.reply;
        let calls = reply.calls.iter().enumerate().map(|(place, call)| ProposedCall {
            id: format!("recorded_{turn}_{place}"),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
        });
        Ok(Answer {
            text: reply.text.clone(),
            calls: calls.collect(),
            stop: reply.stop,
            model: self.0.model.clone(),
            usage: reply.usage,
            carry: None,
        })
    }
}

impl Model for RecordedModel {
    fn turn<'a>(&'a self, request: TurnRequest<'a>) -> BoxFuture<'a, Result<Answer, ModelFailure>> {
        ready(self.find(request.turn, request.people)).boxed()
    }
}

fn no_such_turn(turn: u32, people: &[String]) -> ModelFailure {
    let said = match people {
        [] => "before anybody said anything".to_owned(),
        people => format!("after people said {}", Value::from(people)),
    };
    let message = format!(
        "The recording has no turn {turn} {said}. Recorded turns answer only what was said when they were recorded; \
        configure a model for anything else."
    );
    ModelFailure { code: "no_recorded_turn".to_owned(), message, retryable: false, retry_after_ms: None }
}

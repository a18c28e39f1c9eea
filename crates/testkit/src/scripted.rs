//! A model without a wire, for benches and for tests of the engine: a function answers, after a while if wanted.

use std::time::Duration;

use agent::models::{Answer, Model, ProposedCall, TurnRequest};
use domain::runs::ModelFailure;
use domain::turns::{Stop, Usage};
use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::{Map, Value};

/// What a turn comes to.
pub type Turn = Result<Answer, ModelFailure>;

/// A model that is a function.
pub struct ScriptedModel {
    answer: Box<dyn Fn(&TurnRequest<'_>) -> Turn + Send + Sync>,
    delay: Duration,
}

impl ScriptedModel {
    /// `answer` is asked at every turn, also at one that is tried again.
    pub fn new(answer: impl Fn(&TurnRequest<'_>) -> Turn + Send + Sync + 'static) -> Self {
        Self { answer: Box::new(answer), delay: Duration::ZERO }
    }

    /// Takes so long for every turn; zero does not even touch the timer.
    #[must_use]
    pub fn delayed(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

impl Model for ScriptedModel {
    fn turn<'a>(&'a self, request: TurnRequest<'a>) -> BoxFuture<'a, Turn> {
        async move {
            if !self.delay.is_zero() {
                tokio::time::sleep(self.delay).await;
            }
            (self.answer)(&request)
        }
        .boxed()
    }
}

/// An answer of words only.
pub fn says(text: impl Into<String>) -> Answer {
    Answer {
        text: text.into(),
        calls: Vec::new(),
        stop: Stop::Done,
        model: "scripted".to_owned(),
        usage: Usage { input_tokens: 10, output_tokens: 5, ..Usage::default() },
        carry: None,
    }
}

/// An answer that wants tools run: id, name, arguments (anything but an object counts as none).
pub fn wants<'a>(calls: impl IntoIterator<Item = (&'a str, &'a str, Value)>) -> Answer {
    let call = |(id, name, arguments): (&str, &str, Value)| ProposedCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: match arguments {
            Value::Object(map) => map,
            _ => Map::new(),
        },
    };
    Answer { calls: calls.into_iter().map(call).collect(), ..says("") }
}

/// A failure that may pass.
pub fn fails_for_now(message: impl Into<String>) -> ModelFailure {
    ModelFailure { code: "model_overloaded".to_owned(), message: message.into(), retryable: true, retry_after_ms: None }
}

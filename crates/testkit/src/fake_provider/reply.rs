//! What the fake says and how it misbehaves; the same words for every wire.

use std::time::Duration;

use serde_json::Value;

/// One complete answer of a model.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its words.
    pub text: String,
    /// Thoughts, sent signed or encrypted as the wire has it; Chat Completions shows them as `reasoning_content`.
    pub thinking: Option<String>,
    /// The tools it wants.
    pub calls: Vec<FakeCall>,
    /// Why it stops.
    pub stop: FakeStop,
    /// What it counts.
    pub usage: FakeUsage,
    /// Characters of text and of arguments per event; Gemini never splits arguments.
    pub piece: usize,
}

/// A tool call.
#[derive(Debug, Clone)]
pub struct FakeCall {
    /// Its id; Gemini sends none where this is empty.
    pub id: String,
    /// The tool.
    pub name: String,
    /// JSON text, which a test may leave broken.
    pub arguments: String,
}

/// Arguments on their way into a [`FakeCall`]: JSON, or text that may be broken JSON.
#[derive(Debug, Clone)]
pub struct Arguments(String);

impl From<&str> for Arguments {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<Value> for Arguments {
    fn from(json: Value) -> Self {
        Self(json.to_string())
    }
}

impl From<&Value> for Arguments {
    fn from(json: &Value) -> Self {
        Self(json.to_string())
    }
}

/// Why a model stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FakeStop {
    /// It is done, or wants its tools run.
    Done,
    /// It ran out of tokens.
    Length,
    /// It was withheld.
    Refused,
}

/// Tokens.
#[derive(Debug, Clone, Copy)]
pub struct FakeUsage {
    /// Of the prompt, cached ones included.
    pub input: u64,
    /// Of the answer.
    pub output: u64,
    /// Of the prompt, from the cache.
    pub cached: u64,
}

/// What happens to one request.
#[derive(Debug, Clone)]
pub enum Step {
    /// A whole answer.
    Answer(Reply),
    /// An HTTP error with these headers.
    Status(u16, Vec<(&'static str, String)>, Value),
    /// The connection breaks after so many bytes of the answer.
    CutAfter(Reply, usize),
    /// The body ends in good order after so many bytes of the answer.
    EndAfter(Reply, usize),
    /// The final event is missing.
    NoEnd(Reply),
    /// An error as an event, after the first event of the answer.
    ErrorEvent(Reply, Value),
    /// 200, then bytes that mean nothing.
    Garbage,
    /// 200 with headers, then silence.
    Hang,
    /// Not even headers.
    Silence,
    /// Words without end.
    Endless,
    /// One line without end.
    EndlessLine,
    /// Silence after so many bytes of the answer.
    StallAfter(Reply, usize),
    /// A piece of words after each while, for ever.
    Trickle(Duration),
    /// An event that says nothing after each while, for ever: a ping where the wire has one.
    Pings(Duration),
    /// A comment after each while, for ever: servers keep proxies awake with them.
    Comments(Duration),
    /// An HTTP error whose body comes and never ends.
    OpenStatus(u16, Value),
    /// 200 with these headers, or those of an event stream, and these bytes whatever they mean.
    Body(Vec<(&'static str, String)>, Vec<u8>),
    /// The next step after a while.
    Delay(Duration, Box<Step>),
}

impl Reply {
    /// Only words.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            thinking: None,
            calls: Vec::new(),
            stop: FakeStop::Done,
            usage: FakeUsage { input: 120, output: 30, cached: 20 },
            piece: 7,
        }
    }

    /// Adds a tool call.
    #[must_use]
    pub fn call(mut self, id: impl Into<String>, name: impl Into<String>, arguments: impl Into<Arguments>) -> Self {
        let Arguments(arguments) = arguments.into();
        self.calls.push(FakeCall { id: id.into(), name: name.into(), arguments });
        self
    }

    /// Adds thoughts.
    #[must_use]
    pub fn thinking(mut self, thoughts: impl Into<String>) -> Self {
        self.thinking = Some(thoughts.into());
        self
    }

    /// Sets why it stops.
    #[must_use]
    pub fn stop(mut self, stop: FakeStop) -> Self {
        self.stop = stop;
        self
    }

    /// Sets how many characters an event holds.
    #[must_use]
    pub fn piece(mut self, characters: usize) -> Self {
        self.piece = characters.max(1);
        self
    }

    /// `text` in pieces.
    pub(super) fn pieces(&self, text: &str) -> Vec<String> {
        let letters: Vec<char> = text.chars().collect();
        letters.chunks(self.piece).map(|piece| piece.iter().collect()).collect()
    }
}

impl From<Reply> for Step {
    fn from(reply: Reply) -> Self {
        Self::Answer(reply)
    }
}

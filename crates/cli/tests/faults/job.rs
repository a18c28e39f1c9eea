//! The Jobs of these tests. What the model says depends only on which Job it is and on how often it has answered, so a turn that is asked for
//! again is answered the same.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use testkit::fake_provider::{Asked, Behaviour, FakeProvider, Reply, Step};

use crate::chance::Chance;

/// Turns that an endless Job may take.
pub(crate) const TURNS: u32 = 25;

/// Edits of a Job that edits.
const EDITS: usize = 12;
/// The team file that those Jobs edit.
pub(crate) const BOOK: &str = "book.txt";
/// Where it is in their workspace.
pub(crate) const BOOK_PATH: &str = "/workspace/files/book.txt";
/// Where in it: each edit puts a line before this.
pub(crate) const MARK: &str = "THE END";

/// What was paid so far.
static INVOICES: AtomicU64 = AtomicU64::new(0);

/// What a Job is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Three calls, the first and the last not safe to repeat.
    Steps,
    /// A call, a question to a person, another call.
    Ask,
    /// Goes on until its limit.
    Endless,
    /// Edits a file again and again.
    Edits,
    /// Calls a bank's tool, once.
    Pays,
    /// Calls a tool that ends the process.
    Aborts,
    /// Calls one that uses up its stack.
    Overflows,
    /// Calls one that takes all memory there is.
    Hogs,
}

impl Kind {
    /// What a person says to start it.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::Steps => "job-of-steps",
            Self::Ask => "job-that-asks",
            Self::Endless => "job-without-end",
            Self::Edits => "job-that-edits",
            Self::Pays => "job-that-pays",
            Self::Aborts => "job-that-aborts",
            Self::Overflows => "job-that-overflows",
            Self::Hogs => "job-that-hogs",
        }
    }

    fn of(asked: &Asked) -> Self {
        let said = asked.body.to_string();
        let kinds = [Self::Ask, Self::Endless, Self::Edits, Self::Pays, Self::Aborts, Self::Overflows, Self::Hogs];
        kinds.into_iter().find(|kind| said.contains(kind.message())).unwrap_or(Self::Steps)
    }

    /// What the model wants done after `answered` answers: a tool and its arguments.
    fn wish(self, answered: usize) -> (&'static str, Value) {
        let line = json!({ "line": format!("step-{answered}") });
        match (self, answered) {
            (Self::Steps, 0 | 2) | (Self::Ask, 0) => ("record", line),
            (Self::Steps, 1) | (Self::Ask, 2) | (Self::Endless, _) => ("record_safe", line),
            (Self::Edits, _) if answered < EDITS => {
                let new = format!("step-{answered}\n{MARK}");
                ("edit_file", json!({ "path": BOOK_PATH, "old": MARK, "new": new }))
            }
            (Self::Pays, 0) => {
                // Another one each time, by which the bank tells them apart.
                let invoice = INVOICES.fetch_add(1, Ordering::Relaxed);
                ("bank__pay", json!({ "amount": 10, "invoice": invoice }))
            }
            (Self::Aborts | Self::Overflows | Self::Hogs, _) => ("die", json!({ "how": self.message() })),
            (Self::Ask, 1) => ("ask_person", json!({ "kind": "approval", "title": "Go on?" })),
            _ => ("finish", json!({ "result": "done" })),
        }
    }
}

/// The model behind a wire, taking from `least` to `most` milliseconds for each answer, but for edits as little as it can.
pub(crate) async fn model(chance: &Arc<Chance>, least: u64, most: u64) -> FakeProvider {
    let chance = Arc::clone(chance);
    let rule = move |asked: &Asked| {
        let kind = Kind::of(asked);
        let (tool, arguments) = kind.wish(asked.assistant_turns);
        let answer = Reply::text("").call(format!("call-{}", asked.assistant_turns), tool, &arguments);
        if kind == Kind::Edits {
            return Step::Answer(answer);
        }
        Step::Delay(chance.millis(least, most), Box::new(Step::Answer(answer)))
    };
    FakeProvider::start((Ipv4Addr::LOCALHOST, 0).into(), Behaviour::Rule(Box::new(rule))).await.unwrap()
}

/// An Assignment that does these Jobs, as `POST /v1/agents` takes it.
pub(crate) fn assignment() -> Value {
    let data = json!({ "model": "fake-model", "input": "Do the Job that you are told." });
    json!({ "name": "Worker", "build": { "name": "first", "config": { "version": "v1", "data": data } } })
}

/// One that edits, with the file to edit.
pub(crate) fn editor() -> Value {
    let data = json!({ "model": "fake-model", "input": "Edit the book.", "files": [BOOK] });
    json!({ "name": "Editor", "build": { "name": "first", "config": { "version": "v1", "data": data } } })
}

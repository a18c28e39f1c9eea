//! The Job of these tests: three steps, of which two leave their mark in a file that serves as the ledger of what was done.
//!
//! What the model says depends only on how often it has answered, so a turn that is asked for again is answered the same.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::fake_provider::{Behaviour, FakeProvider, Reply, Step};
use testkit::scripted::{ScriptedModel, wants};

use crate::chance::Chance;

/// Where the ledger is.
pub(crate) const LEDGER: &str = "/workspace/ledger.txt";

/// What the model wants done after `answered` answers: a tool and its arguments.
fn wish(answered: usize) -> (&'static str, Value) {
    // An edit is declared not safe to repeat, so a second one would show.
    let adds = |line: &str| json!({ "path": LEDGER, "old": "END", "new": format!("{line}\nEND") });
    match answered {
        0 => ("write_file", json!({ "path": LEDGER, "content": "begin\nEND\n" })),
        1 => ("edit_file", adds("step-2")),
        2 => ("edit_file", adds("step-3")),
        _ => ("finish", json!({ "result": "three steps done" })),
    }
}

/// The model behind a wire, taking from `least` to `most` milliseconds for each answer.
pub(crate) async fn model(chance: &Arc<Chance>, least: u64, most: u64) -> FakeProvider {
    let chance = Arc::clone(chance);
    let rule = move |asked: &testkit::fake_provider::Asked| {
        let (tool, arguments) = wish(asked.assistant_turns);
        let answer = Reply::text("").call(format!("call-{}", asked.assistant_turns), tool, &arguments);
        Step::Delay(chance.millis(least, most), Box::new(Step::Answer(answer)))
    };
    FakeProvider::start((Ipv4Addr::LOCALHOST, 0).into(), Behaviour::Rule(Box::new(rule))).await.unwrap()
}

/// The same model within this process.
pub(crate) fn model_of_our_own(delay: Duration) -> ScriptedModel {
    let answer = |request: &agent::models::TurnRequest<'_>| {
        let answered = usize::try_from(request.turn).unwrap() - 1;
        let (tool, arguments) = wish(answered);
        Ok(wants([(format!("call-{answered}").as_str(), tool, arguments)]))
    };
    ScriptedModel::new(answer).delayed(delay)
}

/// An Assignment that does this Job, as `POST /v1/agents` takes it.
pub(crate) fn assignment() -> Value {
    let data = json!({ "model": "fake-model", "input": "Do the three steps." });
    json!({ "name": "Three steps", "build": { "name": "first", "config": { "version": "v1", "data": data } } })
}

//! The model: what it says depends on the conversation only, so a turn that is asked for again is answered the same. When it says it, and
//! whether it fails instead, is chance.

use std::sync::Arc;

use agent::models::{Answer, Model, TurnRequest};
use domain::runs::ModelFailure;
use domain::turns::Line;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::json;
use testkit::scripted::{Turn, fails_for_now, says, wants};

use crate::node::Who;
use crate::sim::Sim;

/// What runs are like, by the first word of their first message.
pub(crate) const KINDS: [&str; 6] = ["steps", "asks", "endless", "words", "many", "steps"];

pub(crate) struct Scripted {
    pub(crate) sim: Arc<Sim>,
    pub(crate) who: Who,
}

impl Model for Scripted {
    fn turn<'a>(&'a self, request: TurnRequest<'a>) -> BoxFuture<'a, Turn> {
        async move {
            let (sim, chance) = (&self.sim, &self.sim.chance);
            sim.book().turn_begins(sim.now(), self.who, first_words(&request).1);
            match chance.below(24) {
                // Nothing but the run's own limit ends this one.
                0 if sim.plan.limits.wall_ms <= 120_000 => std::future::pending().await,
                // Here the connection gives up at last.
                0 => {
                    sim.pause(600_000).await;
                    return Err(fails_for_now("no answer"));
                }
                1 => sim.pause(20 * sim.plan.slowest_ms).await,
                _ => sim.pause(sim.plan.slowest_ms).await,
            }
            sim.thaw(self.who.node).await;
            match chance.below(40) {
                0..=2 => Err(fails_for_now("overloaded")),
                3 => Err(ModelFailure { retry_after_ms: Some(chance.below(20_000)), ..fails_for_now("later") }),
                4 if chance.one_in(4) => Err(ModelFailure { retryable: false, ..fails_for_now("no such model") }),
                _ => Ok(answer(&request)),
            }
        }
        .boxed()
    }
}

/// The kind of a run and its number.
fn first_words<'a>(request: &TurnRequest<'a>) -> (&'a str, &'a str) {
    let first = request.lines.iter().find_map(|line| match line {
        Line::User(text) => Some(text.as_str()),
        _ => None,
    });
    first.and_then(|text| text.split_once(' ')).unwrap_or_default()
}

fn answer(request: &TurnRequest<'_>) -> Answer {
    let said = request.lines.iter().filter(|line| matches!(line, Line::Assistant { .. })).count();
    let call = |tool: &'static str, place: usize| {
        (format!("c{said}.{place}"), tool, json!({ "line": format!("{said}.{place}") }))
    };
    let asks =
        || (format!("c{said}.a"), "ask_person", json!({ "kind": "approval", "title": format!("Go on after {said}?") }));
    let finish = || (format!("c{said}.f"), "finish", json!({ "result": format!("done at {said}") }));
    let calls = match (first_words(request).0, said % 4) {
        ("endless", step) => vec![call(["record", "record_safe"][step % 2], 0)],
        ("asks", 0 | 2) => vec![call("record", 0), asks(), call("record_safe", 1)],
        ("words", 3) => return says(format!("done at {said}")),
        ("many", 0 | 1) => vec![call("record", 0), call("record_safe", 1), call("record", 2), call("record_safe", 3)],
        (_, 0) | ("asks", 1) => vec![call("record", 0)],
        (_, 1) => vec![call("record_safe", 0)],
        (_, 2) => vec![call("record", 0), call("record_safe", 1)],
        (_, _) => vec![finish()],
    };
    wants(calls.iter().map(|(id, tool, arguments)| (id.as_str(), *tool, arguments.clone())))
}

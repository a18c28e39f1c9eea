//! The tools: each call is written down when it begins and when it takes effect, whoever still listens by then.

use std::sync::Arc;
use std::time::Duration;

use agent::tools::MoreTools;
use domain::RunId;
use domain::turns::{Outcome, Replay, ToolCall, ToolSpec};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::node::Who;
use crate::sim::Sim;

pub(crate) struct Tools {
    pub(crate) sim: Arc<Sim>,
    pub(crate) who: Who,
}

impl MoreTools for Tools {
    fn specs(&self) -> Vec<ToolSpec> {
        let spec = |name: &'static str| ToolSpec {
            name: name.into(),
            description: "writes a line".into(),
            parameters: json!({ "type": "object" }),
        };
        vec![spec("record"), spec("record_safe")]
    }

    fn replay(&self, name: &str) -> Option<Replay> {
        match name {
            "record" => Some(Replay::Never),
            "record_safe" => Some(Replay::Safe),
            _ => None,
        }
    }

    fn call<'a>(&'a self, run: RunId, call: &'a ToolCall) -> BoxFuture<'a, Outcome> {
        self.record(run, call).boxed()
    }
}

impl Tools {
    async fn record(&self, run: RunId, call: &ToolCall) -> Outcome {
        let (sim, node, key) = (&self.sim, self.who.node, call.key);
        let line = call.arguments.get("line").and_then(Value::as_str).unwrap_or_default();
        sim.book().call_begins(sim.now(), self.who, run, call, line);
        match sim.chance.below(20) {
            // On its way it cannot be taken back: it arrives whether or not its caller lives.
            0..=2 => {
                let (away, late) = (Arc::clone(sim), sim.chance.below(10_000));
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(late)).await;
                    away.book().takes_effect(away.now(), key);
                });
                if sim.chance.one_in(2) {
                    return std::future::pending().await;
                }
                sim.pause(10_000).await;
            }
            3 => return std::future::pending().await,
            4 => {
                sim.pause(1_000).await;
                sim.thaw(node).await;
                return Outcome::Error("refused".into());
            }
            _ => {
                sim.pause(sim.plan.slowest_ms).await;
                sim.book().takes_effect(sim.now(), key);
                if sim.chance.one_in(4) {
                    sim.pause(2 * sim.plan.slowest_ms).await;
                }
            }
        }
        sim.thaw(node).await;
        // An answer is only given for what was done.
        if sim.book().has_effect(key) { Outcome::Ok(json!("written")) } else { std::future::pending().await }
    }
}

//! Only in builds for the fault suites: two tools that have an effect outside, which `testkit::ledger` judges (`record` is not safe to repeat,
//! `record_safe` is), and one that kills the server.

use std::sync::Arc;
use std::time::Duration;

use agent::tools::MoreTools;
use domain::RunId;
use domain::turns::{Outcome, Replay, ToolCall, ToolSpec};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::serve::environment;

struct Ledger {
    http: reqwest::Client,
    url: String,
}

/// The tools over the ledger that `ERRAND_FAULT_LEDGER` names.
#[expect(clippy::disallowed_methods, reason = "the fault suite says where its ledger is")]
pub(crate) fn tools() -> Option<Arc<dyn MoreTools>> {
    let url = environment("ERRAND_FAULT_LEDGER")?;
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().ok()?;
    Some(Arc::new(Ledger { http, url }))
}

impl MoreTools for Ledger {
    fn specs(&self) -> Vec<ToolSpec> {
        let parameters =
            json!({ "type": "object", "properties": { "line": { "type": "string" } }, "required": ["line"] });
        let spec = |name: &'static str, description: &'static str| ToolSpec {
            name: name.into(),
            description: description.into(),
            parameters: parameters.clone(),
        };
        vec![spec("record", "Adds a line to the ledger."), spec("record_safe", "The same, safe to repeat.")]
    }

    fn replay(&self, name: &str) -> Option<Replay> {
        match name {
            "record" | "die" => Some(Replay::Never),
            "record_safe" => Some(Replay::Safe),
            _ => None,
        }
    }

    fn call<'a>(&'a self, run: RunId, call: &'a ToolCall) -> BoxFuture<'a, Outcome> {
        if call.name == "die" {
            die(call.arguments.get("how").and_then(Value::as_str).unwrap_or_default());
        }
        let safe = call.replay == Replay::Safe;
        let line = call.arguments.get("line").cloned().unwrap_or_default();
        let body = json!({ "key": call.key, "run": run, "call": call.id, "safe": safe, "line": line });
        async move {
            let answer = self.http.post(&self.url).json(&body).send().await;
            match answer {
                Ok(answer) if answer.status().is_success() => match answer.json::<Value>().await {
                    Ok(entry) => Outcome::Ok(entry),
                    // It may have taken effect.
                    Err(_) => Outcome::Unknown,
                },
                Ok(answer) => Outcome::Error(format!("the ledger answered {}", answer.status())),
                // Nothing was sent, or nobody knows.
                Err(error) if error.is_connect() => Outcome::Error("the ledger cannot be reached".into()),
                Err(_) => Outcome::Unknown,
            }
        }
        .boxed()
    }
}

/// Ends the process as a bug might.
fn die(how: &str) {
    match how {
        "job-that-overflows" => {
            std::hint::black_box(deeper(0));
        }
        "job-that-hogs" => {
            // The address space that a limit would leave: an allocation that fails aborts, as the end of memory does.
            let all: Vec<u8> = Vec::with_capacity(1 << 46);
            std::hint::black_box(all);
        }
        _ => std::process::abort(),
    }
}

#[expect(unconditional_recursion, reason = "this is the bug")]
fn deeper(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    deeper(depth + 1) + frame[1]
}

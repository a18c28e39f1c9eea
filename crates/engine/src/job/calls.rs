//! The calls of a run: how each is named when the model asks for it, and how it is made once its intent is written.

use std::time::Duration;

use agent::models::Answer;
use agent::tools;
use domain::runs::Event;
use domain::turns::{Outcome, Replay, Reply, ToolCall};
use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::Job;
use crate::span;
use crate::wait::{Waited, wait};

impl Job<'_> {
    /// Takes the files from earlier workers, before the first use of them. Whoever calls this looks afterwards whether the lease still holds.
    pub(super) async fn enter(&mut self) {
        if self.entered {
            return;
        }
        let workspace = self.workspace.clone();
        match tokio::task::spawn_blocking(move || workspace.enter()).await {
            Ok(Ok(())) => self.entered = true,
            // Writes fail now, and the model hears of it; before its next use of files it is tried again.
            Ok(Err(error)) => tracing::error!(%error, "the files of a run cannot be taken over"),
            Err(broken) => tracing::error!(error = %broken, "taking over the files of a run broke"),
        }
    }

    pub(super) async fn use_tool(&mut self, call: &ToolCall) -> Waited<Event> {
        let left = self.run.wall_left_ms(self.shop.now());
        let limit = self.shop.parts.limits.tool_ms;
        let run = self.claimed.lease.run;
        let (tools, more) = (&self.tools, self.shop.parts.more_tools.as_deref());
        let span = span::tool(self.shop, call);
        faults::point("tool.before");
        if let Some(target) = &call.target {
            let calling =
                self.remote.call(self.shop, self.claimed.lease, &self.plan, call, target, &self.workspace).boxed();
            let waited = wait(self.shop, run, &mut self.news, left, calling).instrument(span.clone()).await;
            faults::point("tool.after");
            return waited.map(|event| {
                if let Event::ToolFinished { outcome, .. } = &event {
                    span::note(&span, outcome);
                }
                event
            });
        }
        let calling = async {
            let call = match more.filter(|more| more.replay(&call.name).is_some()) {
                Some(more) => more.call(run, call),
                None => tools.call(call).boxed(),
            };
            call.await
        };
        let limited = tokio::time::timeout(Duration::from_millis(limit), calling);
        let waited = wait(self.shop, run, &mut self.news, left, limited).instrument(span.clone()).await;
        faults::point("tool.after");
        waited.map(|outcome| {
            let outcome = outcome.unwrap_or_else(|_late| timed_out(call, limit));
            span::note(&span, &outcome);
            Event::ToolFinished { key: call.key, outcome }
        })
    }

    fn replay(&self, name: &str) -> Replay {
        let more = self.shop.parts.more_tools.as_deref().and_then(|more| more.replay(name));
        more.unwrap_or_else(|| tools::replay(name))
    }

    /// Gives each call the key under which it is journaled, and what may be done with it after a crash.
    pub(super) fn reply(&self, answer: Answer) -> Reply {
        let now = self.shop.now();
        let calls = answer.calls.into_iter().map(|call| {
            let (target, replay) = self.remote.target(&self.run, &call.name).unzip();
            let target = target.map(Box::new);
            ToolCall {
                key: self.shop.parts.ambient.id(now),
                replay: replay.unwrap_or_else(|| self.replay(&call.name)),
                target,
                id: call.id,
                name: call.name,
                arguments: call.arguments,
            }
        });
        Reply {
            text: answer.text,
            calls: calls.collect(),
            stop: answer.stop,
            model: answer.model,
            usage: answer.usage,
            carry: answer.carry,
        }
    }
}

/// A call that took too long was given up, and may take effect all the same.
fn timed_out(call: &ToolCall, limit_ms: u64) -> Outcome {
    tracing::warn!(tool = call.name, limit_ms, "a tool call took too long");
    match call.replay {
        Replay::Safe => Outcome::Error(format!(
            "tool_timeout: {} did not answer within {limit_ms} ms (limits.tool_ms). It is safe to call it again.",
            call.name
        )),
        Replay::Never => Outcome::Unknown,
    }
}

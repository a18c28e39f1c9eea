//! What is said of a run's steps to whoever follows it: names, numbers and outcomes. Never what a tool was told or what it said.
//!
//! The run's own span is opened by whoever gives it a task (`claims.rs`), the one around a model's call by `agent`.

use domain::Timestamp;
use domain::runs::{Event, Round, Status};
use domain::turns::{Outcome, ToolCall};
use storage::runs::Commit;
use tracing::Span;
use tracing::field::Empty;

use crate::plan::Plan;
use crate::shop::Shop;

/// A model may call what there is not, by names that it makes up.
const UNKNOWN_TOOL: &str = "unknown";

/// Says in which round the run is, for all that is logged of it from here on.
pub(crate) fn enter_round(round: Round) {
    Span::current().record("round", round.number);
}

/// A tool call that is about to be made.
pub(crate) fn tool(shop: &Shop, call: &ToolCall) -> Span {
    let known = shop.specs(false).iter().any(|spec| spec.name == call.name);
    let name = match call.target {
        // Its name is its server's, who is nobody of ours.
        Some(_) => "mcp",
        None if known => call.name.as_str(),
        None => UNKNOWN_TOOL,
    };
    tracing::info_span!("tool", tool = name, call = call.id, outcome = Empty, error = Empty)
}

/// What came of it.
pub(crate) fn note(span: &Span, outcome: &Outcome) {
    let (outcome, error) = match outcome {
        Outcome::Ok(_) | Outcome::Image(_) => ("ok", None),
        Outcome::Error(_) => ("error", Some("tool_error")),
        Outcome::Unknown => ("unknown", Some("outcome_unknown")),
        Outcome::Skipped(_) => ("skipped", None),
    };
    span.record("outcome", outcome).record("error", error);
}

/// The round of a run that `commit` has ended, if it did: `before` is the round it was in then.
pub(crate) fn ended(shop: &Shop, commit: &Commit, plan: Option<&Plan>, before: Round, now_in: Round) {
    let Some(end) = commit.events.iter().rfind(|event| Event::ends(event.kind())) else { return };
    let (status, error) = match end {
        Event::Failed { cause } => (Status::Failed, Some(cause.code.as_str())),
        Event::Interrupted { .. } => (Status::Interrupted, None),
        _ => (Status::Completed, None),
    };
    // A message that came in the same step has resumed it already.
    let round = if commit.status.is_terminal() { now_in } else { before };
    shop.parts.meters.ended(status);
    tracing::debug!(
        name: "run.ended",
        status = status.word(),
        error,
        round = round.number,
        began = round.began.0,
        ended = commit.now.0,
        agent = plan.map(|plan| plan.agent.to_string()),
        build = plan.map(|plan| plan.build.to_string()),
        "the run ended"
    );
}

/// The first round of a run that cannot be read: it began when its id was made.
pub(crate) fn unread(commit: &Commit) -> Round {
    let made = commit.lease.run.0.get_timestamp().map(|made| made.to_unix());
    let ms =
        made.map_or(0, |(seconds, nanos)| seconds.saturating_mul(1000).saturating_add(u64::from(nanos / 1_000_000)));
    Round { number: 1, began: Timestamp(i64::try_from(ms).unwrap_or(0)) }
}

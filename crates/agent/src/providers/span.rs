//! The span around one call of a model: who was asked, and what it came to, in names and numbers. Never a word of the conversation.

use domain::runs::ModelFailure;
use domain::turns::Stop;
use tracing::Span;
use tracing::field::{Empty, display};

use super::route::Route;
use crate::models::{Answer, TurnRequest};

/// A call that is about to be made.
pub(super) fn chat(route: &Route<'_>, request: &TurnRequest<'_>) -> Span {
    let sampling = request.sampling;
    tracing::info_span!(
        "chat",
        provider = route.service.word(),
        model = route.model,
        turn = request.turn,
        host = host(&route.endpoint.base_url),
        json = request.json_object,
        temperature = sampling.temperature,
        top_p = sampling.top_p,
        max_tokens = sampling.max_output_tokens,
        answered_by = Empty,
        input_tokens = Empty,
        cached_tokens = Empty,
        output_tokens = Empty,
        stop = Empty,
        error = Empty,
    )
}

/// What came of it.
pub(super) fn note(span: &Span, came: &Result<Answer, ModelFailure>) {
    match came {
        Ok(answer) => {
            span.record("answered_by", display(&answer.model));
            span.record("input_tokens", answer.usage.input_tokens);
            span.record("cached_tokens", answer.usage.cached_tokens);
            span.record("output_tokens", answer.usage.output_tokens);
            span.record("stop", stop(answer));
        }
        Err(failure) => {
            span.record("error", display(&failure.code));
        }
    }
}

/// In the words that most providers use.
fn stop(answer: &Answer) -> &'static str {
    match answer.stop {
        Stop::Done if answer.calls.is_empty() => "stop",
        Stop::Done | Stop::Malformed => "tool_calls",
        Stop::Length => "length",
        Stop::Refused => "content_filter",
    }
}

/// The host alone: a URL may hold more than others should see.
fn host(base_url: &str) -> Option<String> {
    reqwest::Url::parse(base_url).ok()?.host_str().map(str::to_owned)
}

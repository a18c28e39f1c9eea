//! Failures of providers, told apart by one question: may the same call succeed later?
//!
//! Here: a [`ModelFailure`] for everything that can go wrong, with the provider's own words and never a key.
//! Not here: waiting and trying again, which the run's journal counts.

use std::time::Duration;

use domain::runs::ModelFailure;
use serde_json::Value;

use super::route::Route;
use crate::errors::root;
use crate::settings::{Key, Service};

/// As much of a provider's words as a person wants to read.
const WORDS_MAX: usize = 600;

/// Whom a failure is about.
pub(super) struct Who<'a> {
    service: Service,
    model: &'a str,
    key: Option<&'a Key>,
}

impl<'a> Who<'a> {
    pub(super) fn of(route: &'a Route<'_>) -> Self {
        Self { service: route.service, model: &route.model, key: route.endpoint.key.as_ref() }
    }

    fn fail(&self, code: &str, retryable: bool, what: &str) -> ModelFailure {
        let message = self.hide(&format!("{} ({}) {what}", self.service, self.model));
        ModelFailure { code: code.to_owned(), message, retryable, retry_after_ms: None }
    }

    /// The same without the key, which some providers repeat. Before anything is cut off: half a key is no key, and most of a secret.
    fn hide(&self, text: &str) -> String {
        match self.key {
            Some(key) if !key.expose().is_empty() => text.replace(key.expose(), "[key]"),
            _ => text.to_owned(),
        }
    }
}

/// Nobody serves this name.
pub(super) fn no_model(name: &str, model: &str, service: Service) -> ModelFailure {
    let stands_for = if name == model { String::new() } else { format!(" (it stands for \"{model}\")") };
    let missing = match service {
        Service::Compatible => "no OpenAI-compatible server is configured".to_owned(),
        _ => format!("the provider {service} is not configured"),
    };
    let message = format!(
        "No model answers to \"{name}\"{stands_for}: {missing}. Do one of these and restart the server: set a provider's key \
         (ANTHROPIC_API_KEY, OPENAI_API_KEY or GEMINI_API_KEY); describe a provider in errand.toml and point [models.\"{name}\"] at it; \
         or start a local OpenAI-compatible server such as Ollama."
    );
    ModelFailure { code: "no_model".to_owned(), message, retryable: false, retry_after_ms: None }
}

/// The stream broke off.
pub(super) fn cut(who: &Who<'_>, how: &str) -> ModelFailure {
    who.fail("model_stream_cut", true, &format!("sent no whole answer: {how}"))
}

/// The turn took too long as a whole.
pub(super) fn too_slow(who: &Who<'_>, limit: Duration) -> ModelFailure {
    who.fail("model_timed_out", true, &format!("did not finish its answer within {} s", limit.as_secs()))
}

/// The stream does not end. The same call would hardly end another time, and each costs a fortune.
pub(super) fn too_long(who: &Who<'_>, max_bytes: u64) -> ModelFailure {
    who.fail("model_answer_too_long", false, &format!("sent more than {max_bytes} bytes without coming to an end"))
}

/// Not a byte for too long.
pub(super) fn silent(who: &Who<'_>) -> ModelFailure {
    who.fail("model_timed_out", true, "went silent")
}

/// The connection could not be made, or did not last.
pub(super) fn transport(who: &Who<'_>, error: &reqwest::Error) -> ModelFailure {
    if error.is_builder() {
        who.fail("model_refused_request", false, &format!("was not asked: {}", shorten(&who.hide(&root(error)))))
    } else if error.is_connect() {
        who.fail("model_unreachable", true, &format!("cannot be reached: {}", shorten(&who.hide(&root(error)))))
    } else if error.is_request() {
        who.fail("model_unreachable", true, "closed the connection without an answer")
    } else {
        cut(who, "the connection broke")
    }
}

/// An HTTP status that is no success, with the words that came with it.
pub(super) fn of_status(who: &Who<'_>, status: u16, body: &str, retry_after_ms: Option<u64>) -> ModelFailure {
    let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
    let (code, retryable) = judge(Some(status), &body);
    let what = format!("answered {status}: {}", words(who, &body));
    ModelFailure { retry_after_ms: retry_after_ms.filter(|_| retryable), ..who.fail(code, retryable, &what) }
}

/// An event that says why there will be no answer.
pub(super) fn of_event(who: &Who<'_>, body: &Value) -> ModelFailure {
    let (code, retryable) = judge(None, body);
    who.fail(code, retryable, &format!("broke off its answer: {}", words(who, body)))
}

/// Money has run out, or a limit on money was reached. Waiting does not help, whatever the status.
const SPEND_CAPS: [&str; 9] = [
    "insufficient_quota",
    "spend_limit",
    "spend limit",
    "spending limit",
    "spending cap",
    "credits are depleted",
    "credit balance",
    "billing_error",
    "billing_hard_limit",
];

/// Kinds of errors inside a stream, which has no status of its own; the first that is mentioned counts.
const IN_STREAM: [(&str, &str, bool); 11] = [
    ("rate_limit", "model_rate_limited", true),
    ("resource_exhausted", "model_rate_limited", true),
    ("overloaded", "model_overloaded", true),
    ("server_error", "model_overloaded", true),
    ("unavailable", "model_overloaded", true),
    ("authentication", "model_auth", false),
    ("permission", "model_auth", false),
    ("invalid_request", "model_refused_request", false),
    ("invalid_prompt", "model_refused_request", false),
    ("context_length", "model_refused_request", false),
    ("not_found", "model_refused_request", false),
];

/// Gemini's word for a prompt that it does not answer.
const BLOCKED: &str = "/promptFeedback/blockReason";

/// Where bodies and events speak of what went wrong. The rest may echo the request, whose words prove nothing.
const ERROR_PARTS: [&str; 6] = ["/error", "/response/error", BLOCKED, "/code", "/type", "/message"];

fn error_parts(body: &Value) -> Vec<String> {
    if !body.is_object() {
        return vec![body.to_string()];
    }
    let parts = ERROR_PARTS.iter().filter_map(|place| body.pointer(place)).filter(|part| !part.is_null());
    parts.map(Value::to_string).collect()
}

/// The stable code, and whether the same call may succeed later.
fn judge(status: Option<u16>, body: &Value) -> (&'static str, bool) {
    let text = error_parts(body).join(" ").to_ascii_lowercase();
    let money = status == Some(402) || SPEND_CAPS.iter().any(|mark| text.contains(mark));
    match status {
        None | Some(400..=403 | 429) if money => ("model_spend_cap", false),
        Some(401 | 403) => ("model_auth", false),
        Some(429) => ("model_rate_limited", true),
        Some(408 | 409 | 500..) => ("model_overloaded", true),
        Some(_) => ("model_refused_request", false),
        None if body.pointer(BLOCKED).is_some() => ("model_refused_request", false),
        None => {
            let known = IN_STREAM.iter().find(|(mark, ..)| text.contains(mark));
            known.map_or(("model_overloaded", true), |(_, code, retryable)| (code, *retryable))
        }
    }
}

/// The provider's own words, wherever this one puts them.
fn words(who: &Who<'_>, body: &Value) -> String {
    let places = ["/error/message", "/response/error/message", "/message", "/error", BLOCKED];
    let said = places.iter().find_map(|place| body.pointer(place).and_then(Value::as_str)).or(body.as_str());
    match said {
        Some("") => "no reason given".to_owned(),
        Some(words) => shorten(&who.hide(words)),
        None => match error_parts(body) {
            parts if parts.is_empty() => shorten(&who.hide(&body.to_string())),
            parts => shorten(&who.hide(&parts.join(" "))),
        },
    }
}

/// One line, not too long, without control characters.
fn shorten(text: &str) -> String {
    let line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(WORDS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

//! How long a provider wants to be left alone: three headers and one field. How far it is believed, the run decides.

use chrono::DateTime;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// Milliseconds, if the provider said anything. A date counts from the answer's own `date`, so that no clock of ours matters.
pub(super) fn read(headers: &HeaderMap, body: &str) -> Option<u64> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let exact = text("retry-after-ms").and_then(|value| millis(value, 1.0));
    let told = text("retry-after");
    let seconds = || told.and_then(|value| millis(value, 1000.0));
    let date = || {
        let at = |value| DateTime::parse_from_rfc2822(value).ok().map(|date| date.timestamp_millis());
        u64::try_from(at(told?)?.saturating_sub(at(text("date")?)?).max(0)).ok()
    };
    exact.or_else(seconds).or_else(date).or_else(|| in_body(body))
}

/// Gemini says it in the error: `{"retryDelay": "34s"}`.
fn in_body(body: &str) -> Option<u64> {
    let body: Value = serde_json::from_str(body).ok()?;
    let details = body.pointer("/error/details")?.as_array()?;
    let delay = details.iter().find_map(|detail| detail.get("retryDelay")?.as_str())?;
    millis(delay.strip_suffix('s')?, 1000.0)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative by the check; too large a number saturates"
)]
fn millis(number: &str, unit: f64) -> Option<u64> {
    let number: f64 = number.parse().ok()?;
    (number >= 0.0).then(|| (number * unit).round() as u64)
}

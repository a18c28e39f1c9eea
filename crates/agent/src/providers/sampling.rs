//! Temperature, top_p and the like: which of a Build's settings a model takes, and words about those it does not.
//!
//! Vendors refuse a whole request for a setting that a model does not know, so it is left out and said. The lists of names are here and
//! nowhere else; each wire only gives what it gets from here its own field names.

use domain::builds::Sampling;
use serde_json::Value;

use super::route::{Route, Wire};
use crate::settings::Service;

/// What goes out, within the vendor's range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Knobs {
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
}

impl Knobs {
    /// Puts both into a body that calls them by these names, as all wires but Gemini's do.
    pub(super) fn write(self, body: &mut Value) {
        for (name, knob) in [("temperature", self.temperature), ("top_p", self.top_p)] {
            if let Some(value) = knob {
                body[name] = value.into();
            }
        }
    }
}

/// How many of the two a model takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Both,
    OneOfThem,
    Neither,
}

/// Claude models that take temperature and top_p together.
const CLAUDE_BOTH: [&str; 7] =
    ["claude-instant", "claude-2", "claude-3", "opus-4-0", "opus-4-2025", "sonnet-4-0", "sonnet-4-2025"];

/// Claude models that take one of them at a time, from Opus 4.1 on. Those after them, from Opus 4.7 on, take neither.
const CLAUDE_ONE: [&str; 6] = ["opus-4-1", "opus-4-5", "opus-4-6", "sonnet-4-5", "sonnet-4-6", "haiku-4-5"];

/// OpenAI's reasoning models by name: the o series, and GPT from 5 on but for its chat variants. They refuse temperature and top_p, and
/// their reasoning must come back with the next turn.
pub(super) fn reasons(model: &str) -> bool {
    let next = |prefix: &str| model.strip_prefix(prefix).and_then(|rest| rest.chars().next());
    let series =
        next("o").is_some_and(|c| c.is_ascii_digit()) || next("gpt-").is_some_and(|c| ('5'..='9').contains(&c));
    series && !model.contains("-chat")
}

/// What of `sampling` the model of `route` gets.
pub(super) fn knobs(route: &Route<'_>, sampling: &Sampling) -> Knobs {
    let hottest = if route.wire == Wire::Messages { 1.0 } else { 2.0 };
    let temperature = sampling.temperature.map(|temperature| temperature.clamp(0.0, hottest));
    match takes(route) {
        Takes::Both => Knobs { temperature, top_p: sampling.top_p },
        Takes::OneOfThem => Knobs { temperature, top_p: sampling.top_p.filter(|_| temperature.is_none()) },
        Takes::Neither => Knobs { temperature: None, top_p: None },
    }
}

/// A sentence about each setting that the model of `route` does not get.
pub(super) fn unused(route: &Route<'_>, sampling: &Sampling) -> Vec<String> {
    let model = &route.model;
    let sent = knobs(route, sampling);
    let mut notes = Vec::new();
    if let (Some(value), None) = (sampling.temperature, sent.temperature) {
        notes.push(format!("The Build sets temperature {value}. {model} takes no temperature, so it is left out."));
    }
    // A top_p of 1 changes nothing, sent or not.
    if let (Some(value), None) = (sampling.top_p.filter(|top_p| *top_p < 1.0), sent.top_p) {
        let why = if sent.temperature.is_some() { "no top_p beside a temperature" } else { "no top_p" };
        notes.push(format!("The Build sets top_p {value}. {model} takes {why}, so it is left out."));
    }
    if sampling.store == Some(true) && matches!(route.wire, Wire::Messages | Wire::Gemini) {
        notes.push(format!("The Build sets store. The provider of {model} has no such switch, so it is left out."));
    }
    notes
}

fn takes(route: &Route<'_>) -> Takes {
    // Gateways write 4.5 where the vendor writes 4-5.
    let model = route.model.replace('.', "-");
    let is = |names: &[&str]| names.iter().any(|name| model.contains(name));
    match route.wire {
        Wire::Messages if !model.contains("claude") || is(&CLAUDE_BOTH) => Takes::Both,
        Wire::Messages if is(&CLAUDE_ONE) => Takes::OneOfThem,
        Wire::Messages => Takes::Neither,
        Wire::Responses if reasons(&route.model) => Takes::Neither,
        Wire::Chat if route.service == Service::OpenAi && reasons(&route.model) => Takes::Neither,
        Wire::Responses | Wire::Chat | Wire::Gemini => Takes::Both,
    }
}

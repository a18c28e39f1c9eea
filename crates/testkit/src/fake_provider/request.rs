//! What the fake was asked.

use std::collections::BTreeMap;

use serde_json::Value;

/// The languages the fake speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FakeWire {
    /// `POST /v1/messages`.
    Messages,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/chat/completions`.
    Chat,
    /// `POST /v1beta/models/{model}:streamGenerateContent`.
    Gemini,
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The language.
    pub wire: FakeWire,
    /// The model's name.
    pub model: String,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The JSON body.
    pub body: Value,
    /// How often the model has answered in this conversation.
    pub assistant_turns: usize,
}

/// What a vendor says to a request it does not take: a status and the words.
pub(super) type Refusal = (u16, String);

/// A 400 where `holds` is false.
pub(super) fn demand(holds: bool, words: impl FnOnce() -> String) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err((400, words())) }
}

/// The elements of an array, or none.
pub(super) fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A string field, or the empty string.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a tool may be called that: letters, digits, `_` and `-`, and not too many.
pub(super) fn is_name(name: &str, longest: usize) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (1..=longest).contains(&name.len()) && name.chars().all(plain)
}

/// Whether a number field, if it is there, lies in the range.
pub(super) fn within(value: &Value, key: &str, low: f64, high: f64) -> Result<(), Refusal> {
    match value.get(key).filter(|number| !number.is_null()) {
        None => Ok(()),
        Some(number) => demand(number.as_f64().is_some_and(|number| (low..=high).contains(&number)), || {
            format!("{key}: out of range {low}..{high}")
        }),
    }
}

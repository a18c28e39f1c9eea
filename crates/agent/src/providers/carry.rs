//! What a provider wants back unchanged with its own earlier answers: signed thinking, encrypted reasoning, thought signatures.
//!
//! Stored as JSON beside the journal entry, marked with where it came from. It goes back to no other service, in no other language and to
//! no other model: there it would be meaningless, or refused.

use serde_json::{Value, json};

use super::route::Route;

/// Marks what `route` gave us to keep; `None` for nothing.
pub(super) fn write(kept: &Value, route: &Route<'_>) -> Option<Value> {
    (!kept.is_null()).then(
        || json!({ "service": route.service.to_string(), "wire": route.wire, "model": route.model, "kept": kept }),
    )
}

/// What `route` may have back of it.
pub(super) fn read(carry: Option<&Value>, route: &Route<'_>) -> Option<Value> {
    let carry = carry?;
    let same = carry["service"] == json!(route.service.to_string())
        && carry["wire"] == json!(route.wire)
        && carry["model"] == json!(route.model);
    same.then(|| carry["kept"].clone())
}

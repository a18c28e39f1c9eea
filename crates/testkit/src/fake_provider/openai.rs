//! OpenAI, what its two languages share; each has its own module.

use serde_json::{Value, json};

use super::request::{Asked, Refusal, demand, is_name, within};

/// The error body of this vendor.
pub(super) fn error(status: u16, words: &str) -> Value {
    let kind = match status {
        401 => "authentication_error",
        429 => "rate_limit_exceeded",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    json!({ "error": { "message": words, "type": kind, "param": null, "code": null } })
}

/// The model that the fake lists: it plays one of a local server, which wants no key.
pub(super) const LOCAL_MODEL: &str = "fake-model";

/// The answer to `GET /v1/models`.
pub(super) fn list(models: &[String]) -> Value {
    let rows = models.iter().map(|model| json!({ "id": model, "object": "model", "owned_by": "fake" }));
    json!({ "object": "list", "data": rows.collect::<Vec<_>>() })
}

/// What both languages demand.
pub(super) fn check_common(asked: &Asked) -> Result<(), Refusal> {
    let known = asked.headers.get("authorization").is_some_and(|value| value.starts_with("Bearer "));
    if !known && !asked.model.starts_with(LOCAL_MODEL) {
        return Err((401, "You didn't provide an API key.".to_owned()));
    }
    demand(!asked.model.is_empty(), || "you must provide a model parameter".to_owned())?;
    within(&asked.body, "temperature", 0.0, 2.0)?;
    within(&asked.body, "top_p", 0.0, 1.0)
}

/// JSON mode wants the word in the conversation.
pub(super) fn check_json_word(on: bool, messages: &Value) -> Result<(), Refusal> {
    demand(!on || messages.to_string().to_lowercase().contains("json"), || {
        "messages must contain the word 'json' in some form, to use 'json_object'.".to_owned()
    })
}

/// A call in the conversation may have been made by any model: its name and its id are looked at again.
pub(super) fn check_call(name: &str, id: &str, longest_id: usize) -> Result<(), Refusal> {
    demand(is_name(name, 64), || {
        format!(
            "Invalid name {name:?}. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$', at most 64 long."
        )
    })?;
    demand(id.len() <= longest_id, || {
        format!("Invalid call id: string too long. Expected a string with maximum length {longest_id}.")
    })
}

//! The parameters that more than one operation has: ids in paths, and pages of lists.

use contract::pages::{DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET};
use serde_json::{Value, json};

/// Names the keywords of a schema that the published one has not, though it has the schema.
pub(crate) const NARROWER: &str = "x-errand-narrower";

/// A parameter in the path, in the query string, or in a header.
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
    pub(crate) schema: Value,
    pub(crate) required: bool,
    /// A value that is right.
    pub(crate) example: Value,
    /// Whether the published API does not have it, though it has the operation.
    pub(crate) extension: bool,
}

/// An optional parameter of the query string.
pub(super) fn query(name: &'static str, schema: Value, example: Value, text: &'static str) -> Parameter {
    Parameter { name, text, schema, required: false, example, extension: false }
}

/// A text of at most so many characters, where the published API gives no bound.
pub(super) fn text_of(most: usize) -> Value {
    json!({"type": "string", "maxLength": most, NARROWER: ["maxLength"]})
}

/// The parameter that stands in a path under this name. A path with another name has no description, which a test notices.
pub(super) fn path_parameter(name: &str) -> Option<Parameter> {
    let uuid = || json!({"type": "string", "format": "uuid"});
    let (name, text, schema, example) = match name {
        "agent_id" => ("agent_id", "The agent.", uuid(), "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e01"),
        "build_id" => ("build_id", "The build.", uuid(), "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e02"),
        "run_id" => ("run_id", "The run.", uuid(), "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e03"),
        "request_id" => (
            "request_id",
            "The human request: `pending_human_request.id` of the run.",
            uuid(),
            "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e04",
        ),
        "sandbox_id" => (
            "sandbox_id",
            "The sandbox. Its form means nothing.",
            json!({"type": "string", "minLength": 1}),
            "sbx_5d41402abc4b2a76b9719d911017c592",
        ),
        "letter_id" => (
            "letter_id",
            "The dead letter. Its form means nothing.",
            json!({"type": "string", "minLength": 1}),
            "msg_0192f5a17c3e7d109a553f2b8c1d4e03_4",
        ),
        "file_id" => (
            "file_id",
            "The file: its id, or its name with `/` as `%2F`.",
            json!({"type": "string", "minLength": 1}),
            "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4ef1",
        ),
        "upload_token" => (
            "upload_token",
            "The end of an upload URL, as the server gave it.",
            json!({"type": "string", "minLength": 1}),
            "AQGS9aF8Pn0Q",
        ),
        _ => return None,
    };
    Some(Parameter { name, text, schema, required: true, example: example.into(), extension: false })
}

/// What makes a request safe to send again.
pub(super) fn idempotency_key() -> Parameter {
    Parameter {
        extension: true,
        ..query(
            "Idempotency-Key",
            json!({"type": "string", "minLength": 1, "maxLength": 255}),
            json!("order-2026-11-23-1"),
            "Any text that stands for this request. Sent again with it and the same body within 24 hours, the request is not done again but answered the same.",
        )
    }
}

/// `limit` and `offset` as most lists have them.
pub(super) fn page() -> Vec<Parameter> {
    vec![
        limit(json!({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT})),
        offset(json!({"type": "integer", "minimum": 0, "default": 0})),
    ]
}

/// The same for transcripts: the published schema says 50 at most, its guide 100, and 100 are taken.
pub(super) fn message_page() -> Vec<Parameter> {
    vec![
        Parameter {
            text: "How many to list at most. Up to 100 are taken.",
            ..limit(json!({"type": "integer", "minimum": 1, "maximum": 50, "default": DEFAULT_LIMIT}))
        },
        offset(json!({"type": "integer", "minimum": 0, "maximum": MAX_OFFSET})),
    ]
}

/// The same for runs, where the published schema calls both of them numbers. They must be whole.
pub(super) fn run_page() -> Vec<Parameter> {
    vec![
        limit(json!({"type": "number", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT})),
        offset(json!({"type": "number", "minimum": 0})),
    ]
}

fn limit(schema: Value) -> Parameter {
    query("limit", schema, 20.into(), "How many to list at most.")
}

fn offset(schema: Value) -> Parameter {
    query("offset", schema, 0.into(), "How many to skip.")
}

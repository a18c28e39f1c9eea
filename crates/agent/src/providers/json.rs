//! Small looks into JSON that came from a stranger: what is missing or of another type is empty.

use serde_json::{Value, json};

/// A text, or none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A count, or 0.
pub(super) fn count(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// The elements of an array, or none.
pub(super) fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Adds to a text in an object.
pub(super) fn append(object: &mut Value, key: &str, more: &str) {
    if !more.is_empty() && object.is_object() {
        push(&mut object[key], more);
    }
}

/// Adds to a text, in place: a stream does so a hundred thousand times. What is no text gives way to one.
pub(super) fn push(text: &mut Value, more: &str) {
    match text {
        Value::String(text) => text.push_str(more),
        other => *other = json!(more),
    }
}

/// Whether lists and objects are nested in `value` at most `levels` deep.
pub(super) fn is_shallow(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|item| is_shallow(item, levels - 1)),
        Value::Object(fields) => levels > 0 && fields.values().all(|field| is_shallow(field, levels - 1)),
        _ => true,
    }
}

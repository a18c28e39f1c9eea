//! Schemas of single fields, wherever a Rust type says less, or more, than the published schema.
//!
//! The counterpart of [`crate::fields`], which reads such fields. Private to this room: shapes name
//! these functions in `schema_with`.

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::pages::MAX_OFFSET;

/// A time as the published schema spells it for agents: any text, or a time, or null.
pub(crate) fn loose_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [{"type": "string"}, {"type": "string", "format": "date-time"}, {"type": "null"}]})
}

/// A whole number that every JSON reader keeps exact.
pub(crate) fn count(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "minimum": 0, "maximum": MAX_OFFSET})
}

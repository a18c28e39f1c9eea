//! The document in the words of OpenAPI 3.0.3, which has its own dialect of JSON Schema.
//!
//! Null is no type there but a flag, a schema beside a reference is not looked at, a constant is an enum of one, and the limit that a number must
//! be above is a flag as well.

use serde_json::{Map, Value, json};

/// The 3.1 document as 3.0.3.
pub(crate) fn older(document: &Value) -> Value {
    let mut older = translated(document, &document["components"]["schemas"]);
    older["openapi"] = "3.0.3".into();
    // It has no such section.
    if let Some(webhooks) = older.as_object_mut().and_then(|older| older.remove("webhooks")) {
        older["x-webhooks"] = webhooks;
    }
    older
}

fn translated(value: &Value, schemas: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let translate = |(key, value): (&String, &Value)| {
                let value = match key.as_str() {
                    // These hold values, not schemas.
                    "example" | "default" | "enum" => value.clone(),
                    // These hold schemas under names that may be anything.
                    "properties" => names(value, schemas),
                    _ => translated(value, schemas),
                };
                (key.clone(), value)
            };
            schema(members.iter().map(translate).collect(), schemas)
        }
        Value::Array(items) => items.iter().map(|item| translated(item, schemas)).collect(),
        plain => plain.clone(),
    }
}

fn names(properties: &Value, schemas: &Value) -> Value {
    let named = |(name, value): (&String, &Value)| match value {
        Value::Bool(true) => (name.clone(), json!({})),
        value => (name.clone(), translated(value, schemas)),
    };
    properties.as_object().into_iter().flatten().map(named).collect()
}

/// Anything that is no schema has none of these keywords and comes back as it was.
fn schema(mut schema: Map<String, Value>, schemas: &Value) -> Value {
    if let Some(Value::String(reference)) = schema.get("$ref") {
        return json!({"$ref": reference});
    }
    if let Some(constant) = schema.remove("const") {
        schema.insert("enum".into(), json!([constant]));
    }
    if let Some(choices) = schema.remove("oneOf") {
        schema.insert("anyOf".into(), choices);
    }
    if let Some(bound) = schema.get("exclusiveMinimum").filter(|bound| bound.is_number()).cloned() {
        schema.insert("minimum".into(), bound);
        schema.insert("exclusiveMinimum".into(), true.into());
    }
    if let Some(Value::Array(types)) = schema.get("type").cloned() {
        let one = types.iter().find(|kind| *kind != "null").cloned().unwrap_or_default();
        schema.insert("type".into(), one);
        schema.insert("nullable".into(), true.into());
    }
    let Some(Value::Array(choices)) = schema.get("anyOf").cloned() else { return Value::Object(schema) };
    let (null, mut choices): (Vec<_>, Vec<_>) = choices.into_iter().partition(|choice| choice["type"] == "null");
    if null.is_empty() {
        return Value::Object(schema);
    }
    schema.insert("nullable".into(), true.into());
    if choices.len() == 1 {
        schema.remove("anyOf");
        let own = schema;
        schema = resolved(choices.remove(0), schemas);
        schema.extend(own);
    } else {
        schema.insert("anyOf".into(), choices.into());
    }
    Value::Object(schema)
}

/// A schema itself where a reference could not be: nothing may stand beside one.
fn resolved(schema: Value, schemas: &Value) -> Map<String, Value> {
    let name =
        schema["$ref"].as_str().and_then(|reference| reference.rsplit_once('/')).map(|(_, name)| name.to_owned());
    let schema = name.map_or(schema, |name| translated(&schemas[name.as_str()], schemas));
    match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_that_differs_is_translated() {
        let schemas = json!({"Word": {"type": "string", "enum": ["a"], "description": "A word."}});
        let one = json!({"$ref": "#/components/schemas/Word"});
        for (newer, older) in [
            (
                json!({"type": ["string", "null"], "format": "uuid"}),
                json!({"type": "string", "nullable": true, "format": "uuid"}),
            ),
            (json!({"const": "a", "type": "string"}), json!({"enum": ["a"], "type": "string"})),
            (json!({"exclusiveMinimum": 0}), json!({"exclusiveMinimum": true, "minimum": 0})),
            (json!({"$ref": "#/components/schemas/Word", "description": "Mine."}), one.clone()),
            (
                json!({"oneOf": [one, {"type": "array", "items": one}]}),
                json!({"anyOf": [one, {"type": "array", "items": one}]}),
            ),
            (
                json!({"anyOf": [one, {"type": "null"}], "description": "Mine."}),
                json!({"type": "string", "enum": ["a"], "description": "Mine.", "nullable": true}),
            ),
            (
                json!({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]}),
                json!({"anyOf": [{"type": "string"}, {"type": "number"}], "nullable": true}),
            ),
            (
                json!({"properties": {"const": true, "default": {"const": 1}}, "example": {"const": 1}}),
                json!({"properties": {"const": {}, "default": {"enum": [1]}}, "example": {"const": 1}}),
            ),
        ] {
            assert_eq!(translated(&newer, &schemas), older, "{newer}");
        }
    }
}

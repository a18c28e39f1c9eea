//! JSON Schemas as HTML: what kind of value it is in a few words, and the fields of an object as a table.

use serde_json::Value;

use super::html::{escaped, line, prose, row, table};

/// The fields of an object, the choices of a union, or else the kind of value.
pub(super) fn shape(schema: &Value) -> String {
    if schema["properties"].is_object() {
        return fields(schema);
    }
    match choices(schema) {
        Some(choices) if choices.iter().any(|choice| choice["properties"].is_object()) => {
            let choice = |choice: &Value| format!("<li>{}{}</li>\n", prose(told(choice)), shape(choice));
            format!("<p>One of:</p><ul class=\"choices\">{}</ul>\n", choices.iter().map(choice).collect::<String>())
        }
        _ => format!("<p>{}</p>\n", kind(schema)),
    }
}

/// The kind of value in a few words, with links to the schemas it names.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return link(reference.rsplit('/').next().unwrap_or_default());
    }
    if let Some(choices) = choices(schema) {
        return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    if let Some(word) = schema["const"].as_str() {
        return format!("<code>{}</code>", escaped(word));
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> =
            words.iter().filter_map(Value::as_str).map(|word| format!("<code>{}</code>", escaped(word))).collect();
        return format!("<span class=\"words\">{}</span>", words.join(" "));
    }
    let types: Vec<_> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    if types.is_empty() {
        return "any JSON".to_owned();
    }
    types.into_iter().map(|name| plain(name, schema)).collect::<Vec<_>>().join(" or ")
}

/// A link to a schema of the page.
pub(super) fn link(name: &str) -> String {
    format!("<a href=\"#schema-{0}\">{0}</a>", escaped(name))
}

fn plain(name: &str, schema: &Value) -> String {
    match name {
        "array" => format!("array of {}", kind(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("object, each value {}", kind(&schema["additionalProperties"]))
        }
        "string" => match schema["format"].as_str() {
            Some("date-time") => "time".to_owned(),
            Some("uuid") => "UUID".to_owned(),
            Some("uri") => format!("URL{}", length(schema)),
            Some("binary") => "bytes".to_owned(),
            _ => format!("string{}{}", if schema["minLength"] == 1 { ", not empty" } else { "" }, length(schema)),
        },
        "number" | "integer" => format!("{name}{}", bounds(schema)),
        other => escaped(other),
    }
}

fn length(schema: &Value) -> String {
    schema["maxLength"].as_u64().map(|most| format!(", at most {most} characters")).unwrap_or_default()
}

fn bounds(schema: &Value) -> String {
    // A limit that only says what JSON readers keep exact is none to a reader.
    let most = schema["maximum"].as_u64().filter(|most| *most != contract::pages::MAX_OFFSET);
    match (schema["minimum"].as_u64(), most, schema["exclusiveMinimum"].as_u64()) {
        (Some(least), Some(most), _) => format!(", {least} to {most}"),
        (Some(least), None, _) => format!(" from {least}"),
        (None, _, Some(least)) => format!(" above {least}"),
        _ => String::new(),
    }
}

fn fields(schema: &Value) -> String {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = &schema["properties"];
    let optional = properties.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let optional = optional.filter(|name| !required.contains(name));
    let field = |(name, needed): (&str, bool)| {
        let property = &properties[name];
        let mark = if needed { "" } else { " <span class=\"optional\">optional</span>" };
        row(&[&format!("<code>{}</code>{mark}", escaped(name)), &kind(property), &described(property)])
    };
    let all = required.iter().map(|name| (*name, true)).chain(optional.map(|name| (name, false)));
    let rows: Vec<_> = all.map(field).collect();
    table(&["Field", "Value", ""], &rows)
}

/// What is said of a field, with its default.
pub(super) fn described(schema: &Value) -> String {
    let default = match &schema["default"] {
        Value::Null => String::new(),
        default => {
            let text = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
            format!(" <span class=\"optional\">default <code>{}</code></span>", escaped(&text))
        }
    };
    line(&told(schema).replace("\n\n", " ")) + &default
}

fn told(schema: &Value) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

fn choices(schema: &Value) -> Option<&Vec<Value>> {
    schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array())
}

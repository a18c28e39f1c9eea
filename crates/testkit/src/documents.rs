//! OpenAPI 3.0 documents held against each other: what is left of one without its words, and what tells two of them apart.
//!
//! Two documents may say the same in different ways. Here references are followed, parameters go by their place and name, the order of
//! required keys counts for nothing, and an operation that names no security has the document's.

use serde_json::{Map, Value, json};

/// Marks what a document has beyond what it must be compared with.
const EXTENSION: &str = "x-errand-extension";
/// Names the keywords of a schema that it has beyond that.
const NARROWER: &str = "x-errand-narrower";

/// The operations of a document without prose: path, then method in lower case, then `parameters`, `requestBody`, `responses`, `security`.
pub fn whole(document: &Value) -> Value {
    bare(document, What::Whole)
}

/// The same without anything that is marked as an extension, and without keywords that are.
pub fn published(document: &Value) -> Value {
    bare(document, What::Published)
}

/// Where two values differ, as JSON pointers with what stands there. Nothing if they do not.
pub fn differences(ours: &Value, theirs: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", ours, theirs, &mut found);
    found
}

fn compare(place: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let names = ours.keys().chain(theirs.keys().filter(|name| !ours.contains_key(*name)));
            for name in names {
                let place = format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"));
                match (ours.get(name), theirs.get(name)) {
                    (Some(ours), Some(theirs)) => compare(&place, ours, theirs, found),
                    (Some(ours), None) => found.push(format!("{place}: only ours: {ours}")),
                    (None, theirs) => found.push(format!("{place}: only theirs: {}", theirs.unwrap_or(&Value::Null))),
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (at, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                compare(&format!("{place}/{at}"), ours, theirs, found);
            }
        }
        _ if ours == theirs => {}
        _ => found.push(format!("{place}: {ours} is not {theirs}")),
    }
}

/// How much of a document is looked at.
#[derive(Clone, Copy)]
enum What {
    Whole,
    Published,
}

impl What {
    fn keeps(self, part: &Value) -> bool {
        matches!(self, Self::Whole) || part[EXTENSION] != true
    }

    fn keeps_keyword(self, keyword: &str, keywords: &Map<String, Value>) -> bool {
        let narrower = keywords.get(NARROWER).and_then(Value::as_array);
        matches!(self, Self::Whole) || !narrower.is_some_and(|ours| ours.iter().any(|own| own == keyword))
    }
}

fn bare(document: &Value, what: What) -> Value {
    let mut paths = Map::new();
    for (path, methods) in members(&document["paths"]) {
        let kept = members(methods).filter(|(_, operation)| what.keeps(operation));
        let bared: Map<_, _> =
            kept.map(|(method, operation)| (method.clone(), bare_operation(operation, document, what))).collect();
        if !bared.is_empty() {
            paths.insert(path.clone(), bared.into());
        }
    }
    paths.into()
}

fn bare_operation(operation: &Value, document: &Value, what: What) -> Value {
    let parameters = operation["parameters"].as_array().into_iter().flatten().filter(|parameter| what.keeps(parameter));
    let parameters = parameters.map(|parameter| {
        let word = |key: &str| parameter[key].as_str().unwrap_or_default();
        let required = parameter["required"] == true;
        let about = json!({"required": required, "schema": schema(&parameter["schema"], document, what)});
        (format!("{} {}", word("in"), word("name")), about)
    });
    let body = Some(&operation["requestBody"]).filter(|body| body.is_object() && what.keeps(body));
    let body = body.map(|body| json!({"required": body["required"] == true, "content": content(body, document, what)}));
    let responses = members(&operation["responses"]).filter(|(_, response)| what.keeps(response));
    let responses =
        responses.map(|(status, response)| (status.clone(), json!({"content": content(response, document, what)})));
    json!({
        "parameters": parameters.collect::<Map<_, _>>(),
        "requestBody": body,
        "responses": responses.collect::<Map<_, _>>(),
        "security": operation.get("security").or(document.get("security")),
    })
}

fn content(holder: &Value, document: &Value, what: What) -> Value {
    let kinds = members(&holder["content"]);
    kinds.map(|(kind, carried)| (kind.clone(), json!({"schema": schema(&carried["schema"], document, what)}))).collect()
}

fn schema(value: &Value, document: &Value, what: What) -> Value {
    let Value::Object(keywords) = value else { return value.clone() };
    if let Some(reference) = keywords.get("$ref").and_then(Value::as_str) {
        let target = document.pointer(reference.trim_start_matches('#'));
        return schema(target.unwrap_or(&Value::Null), document, what);
    }
    let mut bared = Map::new();
    for (keyword, value) in keywords {
        let value = match keyword.as_str() {
            "description" | "title" | "example" => continue,
            name if name.starts_with("x-") || !what.keeps_keyword(name, keywords) => continue,
            "properties" => {
                let kept = members(value).filter(|(_, value)| what.keeps(value));
                kept.map(|(name, value)| (name.clone(), schema(value, document, what))).collect()
            }
            "anyOf" | "oneOf" | "allOf" => {
                value.as_array().into_iter().flatten().map(|one| schema(one, document, what)).collect()
            }
            // Two spellings of "anything".
            "additionalProperties" if *value == true => json!({}),
            "items" | "additionalProperties" => schema(value, document, what),
            "required" => {
                let mut names: Vec<_> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                names.sort_unstable();
                json!(names)
            }
            _ => value.clone(),
        };
        bared.insert(keyword.clone(), value);
    }
    bared.into()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(schema: &Value) -> Value {
        json!({
            "security": [{"k": []}],
            "paths": {"/a": {"get": {
                "summary": "Words.",
                "parameters": [
                    {"in": "query", "name": "n", "schema": {"type": "string", "description": "Words."}},
                    {"in": "query", "name": "m", "schema": {"type": "string"}, EXTENSION: true},
                ],
                "responses": {
                    "200": {"content": {"application/json": {"schema": schema}}},
                    "503": {"content": {}, EXTENSION: true},
                },
            }}, "/b": {"get": {EXTENSION: true, "responses": {}}}},
            "components": {"schemas": {"A": {"type": "object", "required": ["b", "a"], "additionalProperties": true}}},
        })
    }

    #[test]
    fn words_references_and_order_make_no_difference() {
        let inline =
            document(&json!({"required": ["a", "b"], "type": "object", "additionalProperties": {}, "title": "A"}));
        let by_name = document(&json!({"$ref": "#/components/schemas/A"}));
        assert_eq!(differences(&whole(&inline), &whole(&by_name)), Vec::<String>::new());
    }

    #[test]
    fn extensions_are_left_out_on_demand() {
        let document = document(&json!({}));
        let (whole, published) = (whole(&document), published(&document));
        assert_eq!(whole["/b"]["get"]["security"], json!([{"k": []}]));
        assert_eq!(published["/b"], Value::Null);
        assert_eq!(
            differences(&whole["/a"]["get"], &published["/a"]["get"]),
            [
                r#"/parameters/query m: only ours: {"required":false,"schema":{"type":"string"}}"#,
                r#"/responses/503: only ours: {"content":{}}"#
            ]
        );
    }

    #[test]
    fn so_are_properties() {
        let ours = document(&json!({"properties": {"a": {"type": "string"}, "b": {EXTENSION: true}}}));
        let theirs = document(&json!({"properties": {"a": {"type": "string"}}}));
        assert_eq!(differences(&published(&ours), &published(&theirs)), Vec::<String>::new());
        assert_eq!(differences(&whole(&ours), &whole(&theirs)).len(), 1);
    }

    #[test]
    fn keywords_of_ours_are_left_out_on_demand() {
        let plain = document(&json!({"type": "string"}));
        let narrower = |ours: Value| document(&json!({"type": "string", "maxLength": 5, NARROWER: ours}));
        for (ours, found) in [(json!(["maxLength"]), 0), (json!(["minLength"]), 1), (json!([]), 1)] {
            assert_eq!(differences(&published(&narrower(ours.clone())), &published(&plain)).len(), found, "{ours}");
            assert_eq!(differences(&whole(&narrower(ours)), &whole(&plain)).len(), 1);
        }
    }

    #[test]
    fn whatever_else_differs_is_found() {
        let one = whole(&document(&json!({"type": "string", "enum": ["a", "b"]})));
        for (other, at) in [
            (json!({"type": "string", "enum": ["a"]}), "enum"),
            (json!({"type": "string", "enum": ["a", "c"]}), "enum/1"),
            (json!({"type": "number", "enum": ["a", "b"]}), "type"),
            (json!({"type": "string"}), "enum"),
            (json!({"type": "string", "enum": ["a", "b"], "nullable": true}), "nullable"),
        ] {
            let found = differences(&one, &whole(&document(&other)));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(&format!("schema/{at}: ")), "{found:?}");
        }
        let mut open = document(&json!({}));
        open["paths"]["/a"]["get"]["security"] = json!([]);
        assert_eq!(differences(&whole(&document(&json!({}))), &whole(&open)).len(), 1);
    }
}

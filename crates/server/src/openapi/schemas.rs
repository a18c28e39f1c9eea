//! The schemas of the shapes that operations name, gathered as they are asked for.
//!
//! A shape's own crate derives its schema; here it gets the form that a reader of the document expects: no sizes of Rust's integers, no links of
//! rustdoc, and an enum where every choice is a word.

use contract::errors::ErrorBody;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::operations::{LENGTHS, NARROWER, SchemaOf};

/// How bodies are read and how answers are written differ in what must be there, so there are two collections.
pub(super) struct Schemas {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        let requests = settings.clone().for_deserialize().into_generator();
        Self { requests, answers: settings.for_serialize().into_generator() }
    }

    pub(super) fn request(&mut self, shape: SchemaOf) -> Value {
        shape(&mut self.requests).into()
    }

    pub(super) fn answer(&mut self, shape: SchemaOf) -> Value {
        shape(&mut self.answers).into()
    }

    pub(super) fn error(&mut self) -> Value {
        self.answers.subschema_for::<ErrorBody>().into()
    }

    /// Everything that was asked for, by name. No shape is both read and written, or it would have to look the same both ways.
    pub(super) fn all(mut self) -> Map<String, Value> {
        let mut all = Map::new();
        for (name, schema) in
            self.requests.take_definitions(true).into_iter().chain(self.answers.take_definitions(true))
        {
            let schema = tidied(schema);
            debug_assert!(
                all.get(&name).is_none_or(|known| *known == schema),
                "{name} is read and written differently"
            );
            all.insert(name, schema);
        }
        for (name, field, most) in LENGTHS {
            // A name that is none of these is one that a test misses.
            if let Some(field) = all.get_mut(name).and_then(|schema| schema["properties"].get_mut(field)) {
                field["maxLength"] = most.into();
                field[NARROWER] = ["maxLength"].into_iter().collect();
            }
        }
        all
    }
}

fn tidied(schema: Value) -> Value {
    match schema {
        Value::Object(schema) => {
            let kept = schema.into_iter().filter(|(key, value)| key != "format" || !is_size(value));
            let tidied = kept.map(|(key, value)| match value {
                Value::String(text) if key == "description" => (key, plain(&text).into()),
                value => (key, tidied(value)),
            });
            as_enum(tidied.collect())
        }
        Value::Array(items) => items.into_iter().map(tidied).collect(),
        plain => plain,
    }
}

/// Whether a format only says how Rust holds a number.
fn is_size(format: &Value) -> bool {
    format.as_str().is_some_and(|format| {
        let digits = format.trim_start_matches("uint").trim_start_matches("int");
        matches!(format, "double" | "float") || (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

/// A choice of described words as one enum, with the descriptions in its own.
fn as_enum(mut schema: Map<String, Value>) -> Value {
    let words = schema.get("oneOf").and_then(Value::as_array).and_then(|choices| {
        let word =
            |choice: &Value| Some((choice["const"].as_str()?.to_owned(), choice["description"].as_str()?.to_owned()));
        choices.iter().map(word).collect::<Option<Vec<_>>>()
    });
    let Some(words) = words else { return Value::Object(schema) };
    schema.remove("oneOf");
    let own = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let told = words.iter().filter(|(word, text)| text.trim_matches('`') != word);
    let told: Vec<String> = told.map(|(word, text)| format!("`{word}`: {}", lowered(text))).collect();
    let text =
        [own.to_owned(), told.join("; ")].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n");
    schema.insert("description".into(), text.into());
    schema.insert("type".into(), "string".into());
    schema.insert("enum".into(), words.into_iter().map(|(word, _)| word).collect());
    Value::Object(schema)
}

/// A sentence as a part of one.
fn lowered(sentence: &str) -> String {
    let mut letters = sentence.trim_end_matches('.').chars();
    let first = letters.next().map(|letter| letter.to_lowercase().to_string()).unwrap_or_default();
    first + letters.as_str()
}

/// Text of a doc comment without its links.
fn plain(text: &str) -> String {
    text.replace("[`crate::", "[`").replace("[`", "`").replace("`]", "`")
}

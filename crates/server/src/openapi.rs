//! The API's OpenAPI document, made from the operations.
//!
//! The document is OpenAPI 3.1; `openapi/older.rs` says the same in 3.0.3. Nothing is written down here that an operation, a shape or a table
//! under `operations/` could say. It is served by `documentation.rs`.

mod curl;
mod older;
mod schemas;

pub(crate) use curl::curl;
pub(crate) use older::older;

use serde_json::{Map, Value, json};

use crate::operations::{Body, Chapter, Content, Entry, HEADERS, Parameter, Status};
use schemas::Schemas;

/// Marks what the published API does not have.
const EXTENSION: &str = "x-errand-extension";

const ABOUT: &str = "Errand runs AI Jobs durably and answers the v1 API of agents, builds, runs and sandboxes.\n\n\
    Send your API key as `Authorization: Bearer dv_…`. A key belongs to one team; what the team does not own does not exist for it.\n\n\
    Bodies are read strictly: an unknown key, a repeated one, a parameter that the operation does not have are refused by name. Lists take \
    `limit` and `offset`; a value outside of what is listed is refused, not clamped. Ids are UUIDs but for those of sandboxes, times are RFC 3339 \
    in UTC with milliseconds. Every GET may be sent as HEAD.\n\n\
    What is marked `x-errand-extension` is Errand's own: a client that must also work elsewhere does without it.";

/// The whole document.
pub(crate) fn document(entries: &[Entry]) -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for entry in entries {
        let path = paths.entry(entry.path).or_insert_with(|| json!({}));
        path[entry.method] = operation(entry, &mut schemas);
    }
    let tags = Chapter::ALL.map(|chapter| json!({"name": chapter.title(), "description": chapter.text()}));
    let headers: Map<_, _> = HEADERS.iter().map(|(name, text)| ((*name).to_owned(), header(text))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Errand API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": env!("CARGO_PKG_LICENSE")},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearerAuth": []}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas.all(),
            "headers": headers,
            "securitySchemes": {"bearerAuth": {"type": "http", "scheme": "bearer"}},
        },
    })
}

fn operation(entry: &Entry, schemas: &mut Schemas) -> Value {
    let told = &entry.operation;
    let mut operation = json!({
        "operationId": told.id,
        "tags": [told.chapter.title()],
        "summary": told.summary,
        "description": told.text,
        "responses": responses(entry, schemas),
        "x-codeSamples": [{"lang": "Shell", "label": "curl", "source": curl(entry)}],
    });
    match entry.scope {
        Some(scope) => operation["x-errand-scope"] = scope.word().into(),
        None => operation["security"] = json!([]),
    }
    if told.extension {
        operation[EXTENSION] = true.into();
    }
    let parameters: Vec<_> = entry.parameters().map(|(place, parameter)| described(place, parameter)).collect();
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = &told.body {
        operation["requestBody"] = request_body(body, told.example.body, schemas);
    }
    operation
}

fn described(place: &str, parameter: Parameter) -> Value {
    let Parameter { name, text, schema, required, example, extension } = parameter;
    let mut described = json!({
        "name": name, "in": place, "description": text, "required": required, "schema": schema, "example": example,
    });
    if extension {
        described[EXTENSION] = true.into();
    }
    described
}

fn request_body(body: &Body, example: &str, schemas: &mut Schemas) -> Value {
    match body {
        Body::Json(shape) => {
            let content = json!({"schema": schemas.request(*shape), "example": parsed(example)});
            json!({"required": true, "content": {"application/json": content}})
        }
        Body::Bytes => {
            let content = json!({"schema": binary(), "example": example});
            json!({"required": true, "content": {"application/octet-stream": content}})
        }
        Body::File => {
            let form = json!({
                "type": "object",
                "properties": {"file": binary(), "path": {"type": "string", "description": "Where to put it."}},
                "required": ["file"],
                "additionalProperties": false,
            });
            json!({
                "required": true,
                "description": "A form with one file, or the file itself.",
                EXTENSION: true,
                "content": {
                    "multipart/form-data": {"schema": form},
                    "application/octet-stream": {"schema": binary(), "example": example},
                },
            })
        }
    }
}

fn responses(entry: &Entry, schemas: &mut Schemas) -> Value {
    let told = &entry.operation;
    let mut headers = names(told.headers, entry);
    let mut content = content(&told.content, schemas);
    if told.extension {
        headers.extend(names(&[EXTENSION], entry));
    }
    if entry.changes() {
        headers.extend(names(&["idempotent-replayed"], entry));
    }
    if let Some(carried) = content.values_mut().next().filter(|_| !told.example.answer.is_empty()) {
        carried["example"] = match told.content {
            Content::Json(_) | Content::Plain => parsed(told.example.answer),
            _ => told.example.answer.into(),
        };
    }
    let success = json!({"description": "Success.", "headers": headers, "content": content});
    let errors = entry
        .errors()
        .into_iter()
        .map(|(status, ours)| (status.code.to_string(), error(status, ours && !told.extension, entry, schemas)));
    Value::Object([(told.success.to_string(), success)].into_iter().chain(errors).collect())
}

fn content(content: &Content, schemas: &mut Schemas) -> Map<String, Value> {
    let (kind, carried) = match content {
        Content::Json(shape) => ("application/json", json!({"schema": schemas.answer(*shape)})),
        Content::Plain => ("application/json", json!({"schema": {"type": "object"}})),
        // Of the kind that its name says.
        Content::File => ("*/*", json!({"schema": binary()})),
        Content::Events(shape) => {
            let event = schemas.answer(*shape);
            ("text/event-stream", json!({"schema": {"type": "string"}, "x-errand-event": event}))
        }
        Content::Page => ("text/html", json!({"schema": {"type": "string"}})),
    };
    Map::from_iter([(kind.to_owned(), carried)])
}

fn error(status: &Status, ours: bool, entry: &Entry, schemas: &mut Schemas) -> Value {
    let mut headers = names(status.headers, entry);
    if entry.operation.extension {
        headers.extend(names(&[EXTENSION], entry));
    }
    let mut error = json!({
        "description": status.text,
        "headers": headers,
        "content": {"application/json": {"schema": schemas.error()}},
        "x-errand-codes": status.errors,
    });
    if ours {
        error[EXTENSION] = true.into();
    }
    error
}

/// The headers of these names, and those that every answer has, or every one to a key.
fn names(names: &[&str], entry: &Entry) -> Map<String, Value> {
    const OF_KEYS: [&str; 3] = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
    let of_keys = OF_KEYS.into_iter().filter(|_| entry.scope.is_some());
    let all = ["x-request-id"].into_iter().chain(of_keys).chain(names.iter().copied());
    all.map(|name| (name.to_owned(), json!({"$ref": format!("#/components/headers/{name}")}))).collect()
}

fn header(text: &str) -> Value {
    json!({"description": text, "schema": {"type": "string"}, EXTENSION: true})
}

fn binary() -> Value {
    json!({"type": "string", "format": "binary"})
}

/// The JSON of an example. One that is none stays text, which a test notices.
fn parsed(example: &str) -> Value {
    serde_json::from_str(example).unwrap_or_else(|_| example.into())
}

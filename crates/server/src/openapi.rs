//! The API's OpenAPI document, made from the operations.
//!
//! The document is OpenAPI 3.1; `openapi/older.rs` says the same in 3.0.3. Nothing is written down here that an operation, a shape or a table
//! under `operations/` could say. It is served by `documentation.rs`.

mod about;
mod curl;
mod deliveries;
mod older;
mod schemas;

pub(crate) use curl::curl;
pub(crate) use older::older;

use domain::sandboxes::FILE_MAX;
use serde_json::{Map, Value, json};

use crate::body::BODY_MAX;
use crate::operations::{BEFORE_KEYS, Body, CODES, Chapter, Content, Entry, Failure, Given, HEADERS, Parameter};
use schemas::Schemas;

/// Marks what the published API does not have.
const EXTENSION: &str = "x-errand-extension";
/// Says how many bytes a body may have, or the file in it.
const MOST: &str = "x-errand-max-bytes";

/// The whole document.
pub(crate) fn document(entries: &[Entry]) -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for entry in entries {
        let path = paths.entry(entry.path).or_insert_with(|| json!({}));
        path[entry.method] = operation(entry, &mut schemas);
    }
    let tags = Chapter::ALL.map(|chapter| json!({"name": chapter.title(), "description": chapter.text()}));
    let headers: Map<_, _> =
        HEADERS.iter().map(|(name, kind, text)| ((*name).to_owned(), header(kind, text))).collect();
    let (webhooks, wrong_method) = (deliveries::webhooks(&mut schemas), wrong_method(&mut schemas));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Errand API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": about::about(),
            "license": {"name": env!("CARGO_PKG_LICENSE")},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearerAuth": []}],
        "tags": tags,
        "paths": paths,
        "webhooks": webhooks,
        "components": {
            "responses": {"MethodNotAllowed": wrong_method},
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
            json!({
                "required": true,
                "description": about::json_body(),
                MOST: BODY_MAX,
                "content": {"application/json": content},
            })
        }
        Body::Bytes => {
            let content = json!({"schema": binary(), "example": example});
            let text = "The file itself, as large as the server allows: 1 GiB unless it is set otherwise.";
            json!({"required": true, "description": text, "content": {"application/octet-stream": content}})
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
                "description": "A form with one file, or the file itself. The file has at most 10 MiB.",
                MOST: FILE_MAX,
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
    let mut headers = names(told.success, told.headers, entry);
    let mut content = content(&told.content, schemas);
    if told.extension {
        headers.extend(references([EXTENSION]));
    }
    if entry.changes() {
        headers.extend(references(["idempotent-replayed"]));
    }
    if let Some(carried) = content.values_mut().next().filter(|_| !told.example.answer.is_empty()) {
        carried["example"] = match told.content {
            Content::Json(_) | Content::Plain => parsed(told.example.answer),
            _ => told.example.answer.into(),
        };
    }
    let success = json!({"description": "Success.", "headers": headers, "content": content});
    let failures = entry.failures().into_iter();
    let errors = failures.map(|failure| (failure.status.to_string(), error(&failure, entry, schemas)));
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

fn error(failure: &Failure, entry: &Entry, schemas: &mut Schemas) -> Value {
    let own: Vec<_> = failure.codes.iter().flat_map(|code| code.headers).copied().collect();
    let mut headers = names(failure.status, &own, entry);
    if entry.operation.extension {
        headers.extend(references([EXTENSION]));
    }
    let codes: Vec<_> = failure.codes.iter().map(|code| code.name).collect();
    let mut error = refusal(&failure.text(), &headers, &codes, schemas);
    if failure.unlisted {
        error[EXTENSION] = true.into();
    }
    error
}

/// What a path answers to a method that it does not take. It is no operation's, so no path can have it.
fn wrong_method(schemas: &mut Schemas) -> Value {
    let codes: Vec<_> = CODES.iter().filter(|code| code.given == Given::OfPaths).collect();
    let headers = ["x-request-id"].into_iter().chain(codes.iter().flat_map(|code| code.headers).copied());
    let texts: Vec<_> = codes.iter().map(|code| code.text).collect();
    let names: Vec<_> = codes.iter().map(|code| code.name).collect();
    refusal(&texts.join(" "), &references(headers), &names, schemas)
}

fn refusal(text: &str, headers: &Map<String, Value>, codes: &[&str], schemas: &mut Schemas) -> Value {
    json!({
        "description": text,
        "headers": headers,
        "content": {"application/json": {"schema": schemas.error()}},
        "x-errand-codes": codes,
    })
}

/// The headers of these names, and those that every answer has, or every one to a known key.
fn names(status: u16, names: &[&str], entry: &Entry) -> Map<String, Value> {
    const OF_KEYS: [&str; 3] = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
    let known = entry.scope.is_some() && !BEFORE_KEYS.contains(&status);
    let of_keys = OF_KEYS.into_iter().filter(|_| known);
    references(["x-request-id"].into_iter().chain(of_keys).chain(names.iter().copied()))
}

fn references<'n>(names: impl IntoIterator<Item = &'n str>) -> Map<String, Value> {
    let reference = |name: &str| json!({"$ref": format!("#/components/headers/{name}")});
    names.into_iter().map(|name| (name.to_owned(), reference(name))).collect()
}

fn header(kind: &str, text: &str) -> Value {
    json!({"description": text, "schema": {"type": kind}, EXTENSION: true})
}

fn binary() -> Value {
    json!({"type": "string", "format": "binary"})
}

/// The JSON of an example. One that is none stays text, which a test notices.
fn parsed(example: &str) -> Value {
    serde_json::from_str(example).unwrap_or_else(|_| example.into())
}

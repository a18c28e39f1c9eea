//! The published contract as a judge: is this body what the v1 API says it must be?
//!
//! `schemas/*.json` are the published OpenAPI 3.0 documents without their prose. They write
//! "or null" as `nullable: true`, and disagree with many tools about what that means where no `type`
//! stands beside it. So every body is checked under both [`Reading`]s and must pass both.
//!
//! [`Contract::of`] makes the same judge of any other OpenAPI 3.0 document, such as the one that the server makes of itself.
//!
//! Nothing here knows Errand's own types; the tests below hold those against the schemas.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, ValidationError, Validator};
use serde_json::{Map, Value, json};

use crate::documents::whole;

const DOCUMENTS: [&str; 2] = [include_str!("../schemas/seed.json"), include_str!("../schemas/runs.json")];

/// The published documents themselves.
pub fn documents() -> Result<Vec<Value>, serde_json::Error> {
    DOCUMENTS.iter().map(|text| serde_json::from_str(text)).collect()
}

/// The operations of a document, their schemas compiled.
pub struct Contract {
    operations: BTreeMap<String, Operation>,
    error: Schema,
}

struct Operation {
    request: Option<Schema>,
    /// A declared answer that is no JSON has no schema.
    responses: BTreeMap<u16, Option<Schema>>,
}

impl Contract {
    /// The contract; compiled on the first call, shared afterwards.
    #[expect(clippy::expect_used, reason = "the documents are built in, and a test reads them")]
    pub fn load() -> &'static Self {
        static CONTRACT: LazyLock<Contract> =
            LazyLock::new(|| Contract::compile(&documents().expect("JSON")).expect("the built-in schemas compile"));
        &CONTRACT
    }

    /// A judge by another document.
    pub fn of(document: Value) -> Result<Self, String> {
        Self::compile(&[document])
    }

    /// Whether the document has the operation.
    pub fn has(&self, method: &str, path_template: &str) -> bool {
        self.operations.contains_key(&format!("{method} {path_template}"))
    }

    /// Whether the operation may answer so.
    pub fn declares(&self, method: &str, path_template: &str, status: u16) -> bool {
        let operation = self.operations.get(&format!("{method} {path_template}"));
        operation.is_some_and(|operation| operation.responses.contains_key(&status))
    }

    /// Whether the operation answers so with JSON of some schema.
    pub fn shows(&self, method: &str, path_template: &str, status: u16) -> bool {
        let operation = self.operations.get(&format!("{method} {path_template}"));
        operation.is_some_and(|operation| operation.responses.get(&status).is_some_and(Option::is_some))
    }

    /// Whether `body` may be the answer of an operation, for example `"GET"`,
    /// `"/v1/agents/{agent_id}"` and 200. A status from 400 on that the operation does not declare,
    /// or any on a path that does not exist, must come with the common error body. The message says
    /// what is wrong, where, and under which reading.
    pub fn check_response(&self, method: &str, path_template: &str, status: u16, body: &Value) -> Result<(), String> {
        let name = format!("{method} {path_template}");
        let operation = self.operations.get(&name);
        let schema = match operation.and_then(|operation| operation.responses.get(&status)) {
            Some(Some(declared)) => declared,
            Some(None) => return Ok(()),
            None if status >= 400 => &self.error,
            None => return Err(format!("{name} declares no answer {status}")),
        };
        schema.check(body).map_err(|wrong| format!("{name}, answer {status}: {wrong}"))
    }

    /// Whether `body` is a request that the operation takes. An error also when the operation takes
    /// no JSON body at all.
    pub fn check_request(&self, method: &str, path_template: &str, body: &Value) -> Result<(), String> {
        let name = format!("{method} {path_template}");
        let operation = self.operations.get(&name);
        let schema = operation
            .and_then(|operation| operation.request.as_ref())
            .ok_or_else(|| format!("{name} declares no JSON body"))?;
        schema.check(body).map_err(|wrong| format!("{name}, request: {wrong}"))
    }

    fn compile(documents: &[Value]) -> Result<Self, String> {
        let mut operations = BTreeMap::new();
        for document in documents {
            for (path, methods) in members(&whole(document)) {
                for (method, operation) in members(methods) {
                    let name = format!("{} {path}", method.to_uppercase());
                    let compiled = Operation::compile(operation);
                    let compiled = compiled.map_err(|wrong| format!("{name}: {wrong}"))?;
                    operations.insert(name, compiled);
                }
            }
        }
        let error = Schema::compile(&json!({
            "type": "object",
            "properties": {"error": {"type": "string"}, "message": {"type": "string"}},
            "required": ["error"],
            "additionalProperties": false,
        }))?;
        Ok(Self { operations, error })
    }
}

impl Operation {
    fn compile(operation: &Value) -> Result<Self, String> {
        let request = json_schema(&operation["requestBody"]).map(Schema::compile).transpose()?;
        let mut responses = BTreeMap::new();
        for (status, response) in members(&operation["responses"]) {
            let code = status.parse().map_err(|_| format!("`{status}` is no status"))?;
            responses.insert(code, json_schema(response).map(Schema::compile).transpose()?);
        }
        Ok(Self { request, responses })
    }
}

/// What `nullable: true` means where no `type` stands in the same schema object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// By the letter of OpenAPI 3.0.3: nothing; and an `enum` beside it must list null itself.
    Strict,
    /// As many tools have it: null is allowed, whatever else is said.
    Lenient,
}

impl fmt::Display for Reading {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Strict => "under the strict reading of nullable",
            Self::Lenient => "under the lenient reading of nullable",
        })
    }
}

/// One published schema, compiled once per reading.
struct Schema {
    readings: [(Reading, Validator); 2],
}

impl Schema {
    fn compile(published: &Value) -> Result<Self, String> {
        let compiled = |reading| {
            jsonschema::options()
                .with_draft(Draft::Draft202012)
                .should_validate_formats(true)
                .should_ignore_unknown_formats(false)
                .build(&modernise(published, reading)?)
                .map(|validator| (reading, validator))
                .map_err(|err| err.to_string())
        };
        Ok(Self { readings: [compiled(Reading::Strict)?, compiled(Reading::Lenient)?] })
    }

    fn check(&self, body: &Value) -> Result<(), String> {
        for (reading, validator) in &self.readings {
            let wrong: Vec<String> = validator.iter_errors(body).map(|err| explain(&err)).collect();
            if !wrong.is_empty() {
                return Err(format!("{reading}: {}", wrong.join("; ")));
            }
        }
        Ok(())
    }
}

/// From OpenAPI 3.0 to JSON Schema 2020-12. A keyword that is not known here is an error, lest it be
/// dropped unnoticed.
fn modernise(published: &Value, reading: Reading) -> Result<Value, String> {
    let Value::Object(published) = published else {
        return Ok(published.clone());
    };
    let is = |flag: &str| published.get(flag) == Some(&Value::Bool(true));
    let mut schema = Map::new();
    for (keyword, value) in published {
        let (keyword, value) = match keyword.as_str() {
            "nullable" | "exclusiveMinimum" | "default" => continue,
            "minimum" if is("exclusiveMinimum") => ("exclusiveMinimum", value.clone()),
            "type" if is("nullable") && reading == Reading::Strict => ("type", json!([value, "null"])),
            "properties" => {
                let modern =
                    |(name, inner): (&String, &Value)| modernise(inner, reading).map(|inner| (name.clone(), inner));
                let modern = members(value).map(modern).collect::<Result<_, _>>()?;
                ("properties", Value::Object(modern))
            }
            "anyOf" => {
                let branches = value.as_array().into_iter().flatten();
                let modern = branches.map(|inner| modernise(inner, reading));
                ("anyOf", Value::Array(modern.collect::<Result<_, _>>()?))
            }
            "items" | "additionalProperties" => (keyword.as_str(), modernise(value, reading)?),
            "type" | "enum" | "format" | "required" | "minLength" | "maxLength" | "minimum" | "maximum" => {
                (keyword.as_str(), value.clone())
            }
            unknown => return Err(format!("the keyword `{unknown}` is not known")),
        };
        schema.insert(keyword.to_owned(), value);
    }
    if is("nullable") && reading == Reading::Lenient {
        return Ok(json!({"anyOf": [schema, {"type": "null"}]}));
    }
    Ok(Value::Object(schema))
}

/// The place and the complaint; for a choice also why each branch was no match.
fn explain(err: &ValidationError<'_>) -> String {
    let place = err.instance_path().to_string();
    let place = if place.is_empty() { "the body" } else { &place };
    let ValidationErrorKind::AnyOf { context } = err.kind() else {
        return format!("{place}: {err}");
    };
    let branch = |errors: &Vec<ValidationError<'static>>| errors.iter().map(explain).collect::<Vec<_>>().join(", ");
    let branches: Vec<String> = context.iter().map(branch).collect();
    format!("{place}: matches none of [{}]", branches.join(" | "))
}

fn json_schema(holder: &Value) -> Option<&Value> {
    holder.pointer("/content/application~1json/schema")
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

#[cfg(test)]
mod tests;

//! What each operation of the API is: its name, what it takes and answers, and an example.
//!
//! The table in `router.rs` joins an [`Operation`] with a URL, a scope and the function that answers; `openapi.rs` makes the API's document
//! of it. So nothing is served that is not described, and nothing described that is not served. One file per noun below, the same names as
//! the files that answer. The shapes themselves, with the words about their fields, are in the room `contract`.

pub(crate) mod agents;
pub(crate) mod builds;
pub(crate) mod deliveries;
pub(crate) mod documentation;
pub(crate) mod events;
pub(crate) mod files;
mod headers;
pub(crate) mod health;
pub(crate) mod human_requests;
mod lengths;
pub(crate) mod messages;
mod parameters;
pub(crate) mod runs;
pub(crate) mod sandboxes;
mod statuses;
pub(crate) mod upload_urls;
pub(crate) mod webhooks;

pub(crate) use headers::HEADERS;
pub(crate) use lengths::LENGTHS;
pub(crate) use parameters::{NARROWER, Parameter};
pub(crate) use statuses::{BEFORE_KEYS, CODES, Code, Failure, Given};

use std::collections::BTreeMap;

use domain::api_keys::Scope;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use parameters::{idempotency_key, path_parameter};

/// The chapters of the document, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Chapter {
    Agents,
    Builds,
    Runs,
    People,
    Sandboxes,
    Files,
    Webhooks,
    Server,
}

impl Chapter {
    pub(crate) const ALL: [Self; 8] = [
        Self::Agents,
        Self::Builds,
        Self::Runs,
        Self::People,
        Self::Sandboxes,
        Self::Files,
        Self::Webhooks,
        Self::Server,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Agents => "Agents",
            Self::Builds => "Builds",
            Self::Runs => "Runs",
            Self::People => "People",
            Self::Sandboxes => "Sandboxes",
            Self::Files => "Files",
            Self::Webhooks => "Webhooks",
            Self::Server => "Server",
        }
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Agents => "An agent, or Assignment, is a named worker. What it does stands in its builds.",
            Self::Builds => {
                "A build is an immutable, numbered snapshot of an agent's config. To change an agent is to add a build; its runs take the newest."
            }
            Self::Runs => {
                "A run, or Job, is one execution of one build. Starting it answers at once; then poll it, or follow its events. It goes on where it was after a crash of the server."
            }
            Self::People => {
                "What a run and people have to say to each other: its transcript, its questions, their answers."
            }
            Self::Sandboxes => "A sandbox is a folder of files for runs, prepared before one or read after it.",
            Self::Files => {
                "A file of the team is kept until it is removed, and given to each run whose build names it in `files`."
            }
            Self::Webhooks => {
                "A run that was started with a `webhook_url` has its events sent there. What could not be delivered in three days is a dead letter."
            }
            Self::Server => "Whether the server is well, and this document. None of it needs a key.",
        }
    }
}

/// A schema that is asked for once the document is made.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// An operation at its place.
pub(crate) struct Entry {
    /// As OpenAPI writes it: in lower case.
    pub(crate) method: &'static str,
    /// With the names of its parameters in braces.
    pub(crate) path: &'static str,
    /// What it needs of a key; `None` for what needs no key at all.
    pub(crate) scope: Option<Scope>,
    pub(crate) operation: Operation,
}

impl Entry {
    /// The parameters of the path in their order, then those of the query string, then headers.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&'static str, Parameter)> {
        let names = self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let in_path = names.filter_map(path_parameter).map(|parameter| ("path", parameter));
        let in_query = (self.operation.query)().into_iter().map(|parameter| ("query", parameter));
        let in_headers = (self.operation.headers_in)().into_iter().chain(self.changes().then(idempotency_key));
        in_path.chain(in_query).chain(in_headers.map(|parameter| ("header", parameter)))
    }

    /// Whether it changes something in a key's name, so that it can be sent twice and done once.
    pub(crate) fn changes(&self) -> bool {
        self.method != "get" && self.scope.is_some()
    }

    /// Every error that it may answer, by status.
    pub(crate) fn failures(&self) -> Vec<Failure> {
        let listed = self.operation.listed.iter().map(|status| (*status, Vec::new()));
        let mut codes: BTreeMap<u16, Vec<&'static Code>> = listed.collect();
        for code in CODES.iter().filter(|code| self.may_answer(code)) {
            codes.entry(code.status).or_default().push(code);
        }
        let unlisted = |status| !self.operation.extension && !self.operation.listed.contains(&status);
        codes.into_iter().map(|(status, codes)| Failure { status, codes, unlisted: unlisted(status) }).collect()
    }

    fn may_answer(&self, code: &Code) -> bool {
        let by_kind = match code.given {
            Given::Always => true,
            Given::WithKey => self.scope.is_some(),
            Given::WithBody => self.operation.body.is_some() || self.changes(),
            Given::WithSmallBody => match self.operation.body {
                Some(Body::Json(_)) => true,
                Some(_) => false,
                None => self.changes(),
            },
            Given::WithJson => matches!(self.operation.body, Some(Body::Json(_))),
            Given::Changing => self.changes(),
            Given::Writing => self.method != "get",
            Given::Named | Given::OfPaths => false,
        };
        by_kind || self.operation.codes.contains(&code.name)
    }
}

/// What a request carries.
pub(crate) enum Body {
    /// JSON of this shape.
    Json(SchemaOf),
    /// A file, as a form or as it is. The published API is silent on it, so its description is marked as ours.
    File,
    /// A file as it is, in any form.
    Bytes,
}

/// What a success carries.
pub(crate) enum Content {
    /// JSON of this shape.
    Json(SchemaOf),
    /// JSON that no shape of the contract describes.
    Plain,
    /// The bytes of a file.
    File,
    /// Server-Sent Events, each with data of this shape.
    Events(SchemaOf),
    /// A page for people.
    Page,
}

/// A request that can be sent as it stands, and its answer. A test sends each.
pub(crate) struct Example {
    /// The query string, if any.
    pub(crate) query: &'static str,
    /// The body, if any.
    pub(crate) body: &'static str,
    /// The body of the answer, as it comes but for its ids and times.
    pub(crate) answer: &'static str,
}

/// One operation, but for its place: that is in the router's table.
pub(crate) struct Operation {
    /// Noun, dot, verb: the name from the document to the command.
    pub(crate) id: &'static str,
    pub(crate) chapter: Chapter,
    /// A line.
    pub(crate) summary: &'static str,
    /// A paragraph or more; `code` in backticks.
    pub(crate) text: &'static str,
    /// Whether the published API does not have it. Its answers then say so in a header.
    pub(crate) extension: bool,
    pub(crate) query: fn() -> Vec<Parameter>,
    /// Headers that mean something to it alone.
    pub(crate) headers_in: fn() -> Vec<Parameter>,
    pub(crate) body: Option<Body>,
    /// The status of its success.
    pub(crate) success: u16,
    pub(crate) content: Content,
    /// Headers of the success beside those of every answer.
    pub(crate) headers: &'static [&'static str],
    /// The statuses of errors that the published API lists for it.
    pub(crate) listed: &'static [u16],
    /// The codes that it may answer beside those of all operations of its kind: see [`Given`].
    pub(crate) codes: &'static [&'static str],
    pub(crate) example: Example,
}

impl Operation {
    /// An operation that takes nothing and answers 200 with JSON of the shape `T`.
    fn of<T: JsonSchema>(id: &'static str, chapter: Chapter, summary: &'static str, text: &'static str) -> Self {
        Self::with(id, chapter, summary, text, Content::Json(schema_of::<T>))
    }

    /// An operation that takes nothing and answers 200 with `content`.
    fn with(id: &'static str, chapter: Chapter, summary: &'static str, text: &'static str, content: Content) -> Self {
        Self {
            id,
            chapter,
            summary,
            text,
            extension: false,
            query: Vec::new,
            headers_in: Vec::new,
            body: None,
            success: 200,
            content,
            headers: &[],
            listed: &[],
            codes: &[],
            example: Example { query: "", body: "", answer: "" },
        }
    }

    fn takes<T: JsonSchema>(self) -> Self {
        Self { body: Some(Body::Json(schema_of::<T>)), ..self }
    }

    fn takes_a_file(self) -> Self {
        Self { body: Some(Body::File), ..self }
    }

    fn takes_bytes(self) -> Self {
        Self { body: Some(Body::Bytes), ..self }
    }

    fn asks(self, query: fn() -> Vec<Parameter>) -> Self {
        Self { query, ..self }
    }

    fn asks_in_headers(self, headers_in: fn() -> Vec<Parameter>) -> Self {
        Self { headers_in, ..self }
    }

    /// The success is a 201.
    fn creates(self) -> Self {
        Self { success: 201, ..self }
    }

    fn tells(self, headers: &'static [&'static str]) -> Self {
        Self { headers, ..self }
    }

    fn lists(self, listed: &'static [u16]) -> Self {
        Self { listed, ..self }
    }

    fn gives(self, codes: &'static [&'static str]) -> Self {
        Self { codes, ..self }
    }

    fn ours(self) -> Self {
        Self { extension: true, ..self }
    }

    fn example(self, query: &'static str, body: &'static str, answer: &'static str) -> Self {
        Self { example: Example { query, body, answer }, ..self }
    }
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

//! The room `contract`: what travels over the wire of the v1 API, and nothing else.
//!
//! **Holds** the request and response shapes, the error body, pages and their limits, the
//! envelope of a run's events, and the strict reading of JSON bodies.
//!
//! Each shape also yields its JSON Schema, from which the server makes the API's document; the doc
//! comments of shapes and fields are what readers of that document see.
//!
//! **May** name things, give defaults, and check what the published schema itself states (closed
//! objects, non-empty names, UUID spelling, ranges of query parameters).
//!
//! **May not** know a rule of the domain, touch HTTP, read the time or make ids. Whether a config
//! makes sense or an agent exists is decided elsewhere; here a config is JSON text passed along.
//!
//! Requests are closed: a key that the schema does not have, or a null where it allows none, is
//! refused. Responses are written closed but read openly, so that a client survives a newer server.
//!
//! One file per noun. Start with [`agents`] to see the pattern, or [`strict_json`] to see how a
//! body becomes a request.

pub mod agents;
pub mod builds;
pub mod configs;
pub mod errors;
pub mod events;
mod fields;
pub mod files;
pub mod human_requests;
pub mod messages;
pub mod pages;
pub mod runs;
pub mod sandboxes;
mod shapes;
pub mod strict_json;
pub mod webhooks;

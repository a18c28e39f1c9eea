//! # egress
//!
//! **Holds** the one way out for URLs that users give: webhooks, tools, files. [`Policy`] says where it may lead, [`Client`] goes there.
//!
//! **May** resolve names, dial what the policy vetted, speak HTTP/1.1 with it. **May not** read or write the database, try again, or know what
//! a request is for. Nothing else in the house opens a connection to a place that a user named; clippy refuses raw HTTP clients elsewhere.
//!
//! The rule that all of it serves: **what is dialled is what was vetted**. A URL is parsed once. Its name is resolved here, all answers are
//! vetted, and one of the very addresses that were vetted is dialled. There is no pool, no proxy and no second resolver, so each request is
//! vetted anew, and each hop of a redirect is a request.
//!
//! [`policy`] has the rules (`urls.rs`, `addresses.rs`, `allow.rs`, `headers.rs` are its parts), [`client`] the walk, `connect.rs` the way from
//! a name to a connection, [`answers`] what comes back. [`parts`] is what tests put in place of the network.

mod addresses;
pub mod allow;
pub mod answers;
pub mod client;
mod connect;
pub mod errors;
mod headers;
pub mod parts;
pub mod policy;
pub mod requests;
#[cfg(test)]
mod tests;
mod urls;

pub use hyper::body::Bytes;
pub use hyper::header::{HeaderMap, HeaderName, HeaderValue};
pub use hyper::{Method, StatusCode};
pub use url::Url;

pub use self::allow::Allow;
pub use self::answers::Answer;
pub use self::client::Client;
pub use self::errors::Error;
pub use self::policy::Policy;
pub use self::requests::Request;

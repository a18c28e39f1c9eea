//! # mcp
//!
//! **Holds** the client of MCP servers: how one is reached ([`Servers`]), what it says that its tools are, and one call of one of them
//! ([`Session`]).
//!
//! **May** talk to servers through [`egress`], and to those that the operator starts on this machine. **May not** read or write the database, decide
//! which tool may be called, or try a call twice.
//!
//! The protocol is the official SDK's (`rmcp`). Ours is the way to the server: [`http`](self) requests go out by the egress client, one connection
//! each, so that each of them is vetted; and what comes back is bounded before it is read. `http.rs` has Streamable HTTP, `sse.rs` the transport that came
//! before it, `stdio.rs` the operator's own servers, `results.rs` what a call brought.

mod failure;
mod http;
pub mod results;
mod servers;
mod session;
mod sse;
mod stdio;

pub use failure::Failure;
pub use results::Results;
pub use servers::{Known, Place, Servers};
pub use session::Session;

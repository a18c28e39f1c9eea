//! The room `testkit`: what the tests of several rooms share.
//!
//! **Holds** judges and stand-ins: the published schemas that answers are checked against, model vendors, a tool server that counts what was
//! done to it, a network that breaks on demand, a PostgreSQL of the test's own.
//!
//! **May** panic on a broken fixture, since only tests use it.
//!
//! **May not** be a dependency of anything that ships, nor hold a rule of its own: what is right is
//! said by the published contract and by the rooms themselves.

pub mod ambient;
pub mod chaos_proxy;
pub mod checker;
pub mod collector;
pub mod documents;
pub mod fake_provider;
pub mod hook;
pub mod ledger;
pub mod mcp_server;
pub mod npm;
pub mod postgres;
pub mod schemas;
pub mod scripted;

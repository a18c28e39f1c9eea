//! # domain
//!
//! **Holds** the nouns of Errand and their rules, as values: assignments and Builds, runs and their state machine,
//! messages, human requests, sandboxes, API keys, limits, the table from model names to providers.
//!
//! **May** decide. **May not** await, read the time, make ids or random numbers, log, or touch files and sockets:
//! whatever a rule needs of these comes in as an argument. Imports no other room but `faults`, which is nothing in an ordinary build.
//!
//! Start at [`runs::Run::apply`]: it is the heart of the server. [`builds::normalise`] is what a config goes through.

pub mod agents;
pub mod ambient;
pub mod api_keys;
pub mod audit;
pub mod builds;
pub mod files;
pub mod human_requests;
pub mod ids;
pub mod limits;
pub mod master_key;
pub mod models;
pub mod runs;
pub mod sandboxes;
pub mod shape;
pub mod time;
pub mod tools;
pub mod turns;
pub mod uploads;
pub mod webhooks;

pub use ambient::Ambient;
pub use ids::{AgentId, ApiKeyId, BuildId, FileId, RunId, TeamId};
pub use time::Timestamp;

//! # storage
//!
//! **Holds** the only SQL of Errand: one file per noun, each query once; one [`Tx`] over all nouns; the work table with its leases, the inbox,
//! the bell that wakes whoever waits; and the driver underneath ([`Db`]: one writer with group commit, many readers).
//!
//! **May** speak SQL, run transactions, wake. **May not** decide what a run does, or speak HTTP.
//!
//! Every query that serves a person starts from the team. Start at `runs.rs`: a run's row, its journal and its lease are written there in one
//! commit.

pub mod agents;
pub mod api_keys;
pub mod bell;
pub mod builds;
mod db;
pub mod human_requests;
mod ids;
pub mod journal;
pub mod runs;
pub mod sandboxes;
#[cfg(test)]
mod statements;
pub mod teams;
pub mod work;

pub use bell::Bell;
pub use db::{DataLock, Db, Migration, Row, Settings, StoreError, Synchronous, Tx, Value};

/// The schema, as numbered steps. A released step never changes.
pub const MIGRATIONS: &[Migration] =
    &[Migration { number: 1, name: "start", sql: include_str!("../migrations/0001_start.sqlite.sql") }];

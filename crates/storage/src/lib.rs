//! # storage
//!
//! **Holds** the only SQL of Errand: one file per noun, each query once; one [`Tx`] over all nouns; the work table with its leases, the inbox,
//! the bell that wakes whoever waits; and the drivers underneath ([`Db`]: SQLite with one writer and group commit, or PostgreSQL for many nodes).
//!
//! **May** speak SQL, run transactions, wake. **May not** decide what a run does, or speak HTTP.
//!
//! Every query that serves a person starts from the team. Start at `runs.rs`: a run's row, its journal and its lease are written there in one
//! commit.

pub mod agents;
pub mod answers;
pub mod api_keys;
pub mod audit;
pub mod bell;
pub mod builds;
mod db;
pub mod files;
pub mod health;
pub mod hints;
pub mod holds;
pub mod human_requests;
mod ids;
pub mod journal;
pub mod load;
pub mod master_keys;
pub mod pins;
pub mod quota;
pub mod rates;
pub mod runs;
#[doc(hidden)]
pub mod sabotage;
pub mod sandboxes;
pub mod settings;
#[cfg(test)]
mod statements;
pub mod teams;
pub mod webhooks;
pub mod work;

pub use bell::Bell;
pub use db::{
    Clock, DataLock, Db, Health, Migration, Pooler, PostgresSettings, Row, Settings, Sql, StoreError, Synchronous, Tx,
    Value, Weather,
};
pub use journal::unreadable;

macro_rules! step {
    ($number:literal, $name:literal, $file:literal) => {
        Migration {
            number: $number,
            name: $name,
            sql: Sql::pair(
                include_str!(concat!("../migrations/", $file, ".sqlite.sql")),
                include_str!(concat!("../migrations/", $file, ".postgres.sql")),
            ),
        }
    };
}

/// The schema, as numbered steps. A released step never changes.
pub const MIGRATIONS: &[Migration] = &[
    step!(1, "start", "0001_start"),
    step!(2, "nodes", "0002_nodes"),
    step!(3, "edge", "0003_edge"),
    step!(4, "secrets", "0004_secrets"),
    step!(5, "quota", "0005_quota"),
    step!(6, "outbox", "0006_outbox"),
    step!(7, "lines", "0007_lines"),
    step!(8, "tools", "0008_tools"),
];

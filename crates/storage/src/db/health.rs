//! How the engine underneath is: for whoever looks for what is wrong. Reads only.

use super::error::StoreError;

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// A file of this machine.
    Sqlite {
        /// The library's version.
        library: String,
        /// How the file is written; a server sets `wal`.
        journal_mode: String,
        /// What SQLite's quick check of the file found.
        file: Result<(), StoreError>,
    },
    /// A server. One with settings that may lose writes was refused before it came to this.
    Postgres {
        /// Its version.
        version: String,
        /// What it is set to, of that on which the promises rest: name and value.
        settings: Vec<(String, String)>,
        /// Connections that all its clients may have, and those of Errand's nodes now.
        connections: (u32, u32),
        /// How many one node with these settings uses at most.
        of_a_node: u32,
        /// Behind a transaction pooler: whether the session that was asked ends by itself when whoever uses it froze in a transaction.
        ends_idle: Option<bool>,
    },
}

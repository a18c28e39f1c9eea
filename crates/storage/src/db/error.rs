//! What can go wrong with the store, in words for the operator who reads the log.
//!
//! What a client is told is the server's affair; nothing here may quote stored values.

/// A failed statement, transaction or opening. Whatever the kind, the job it came from has left
/// nothing behind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// What was needed was held by others for too long. Worth repeating.
    #[error("the database is busy: what was needed was held by others for too long; try again")]
    Busy,
    /// This process has used up what the system lets it have at once. Nothing was written. Worth repeating.
    #[error("too many files are open: raise the limit of open files (`ulimit -n`, LimitNOFILE=); {0}")]
    Exhausted(String),
    /// The disk (or the allowed size of the database) is full. Reads go on, and writes do again
    /// as soon as there is room.
    #[error("the disk is full: make room on it")]
    Full,
    /// The operating system refused to read, write or sync.
    #[error("the database file cannot be read or written: {0}")]
    Io(String),
    /// The file, or a value in it, is not what it must be.
    #[error("the database holds something unexpected: {what}")]
    Corrupt {
        /// Where, and what was expected there.
        what: String,
    },
    /// The file is not ours, or of another version. Says what to do.
    #[error("{0}")]
    Schema(String),
    /// The engine or the disk cannot give the guarantees that the store needs.
    #[error("the database cannot be set up: {0}")]
    Setup(String),
    /// The data folder belongs to another running server. Says which.
    #[error("{0}")]
    Locked(String),
    /// The server of the database does not answer, or not now. Nothing was written. Worth repeating.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// The connection broke while a commit was under way: it may have happened or not.
    #[error("the database broke off in a commit, which may have happened or not: {0}")]
    InDoubt(String),
    /// A secret does not open: the master key is another one, or the secret was altered. Says which.
    #[error("{0}")]
    Sealed(String),
    /// A row with this key is already there.
    #[error("already there: {constraint}")]
    Conflict {
        /// The unique key as the engine names it: on PostgreSQL `runs_pkey`, on SQLite its columns,
        /// `runs.team_id, runs.id`, or `index 'name'` where the index is on expressions.
        constraint: String,
    },
    /// A check, a `NOT NULL` or a foreign key refused the row.
    #[error("the database refused a row: {0}")]
    Constraint(String),
    /// A statement is wrong: a bug of ours.
    #[error("a statement failed: {0}")]
    Sql(String),
    /// The store was closed, or its writer has stopped.
    #[error("the database is closed")]
    Closed,
    /// A job panicked and was rolled back, alone.
    #[error("a database job panicked: {0}")]
    Panicked(String),
    /// A job awaited something other than its own statements and was rolled back, alone: a
    /// transaction must never wait for the world.
    #[error("a database job awaited something that is not a statement")]
    Pending,
}

impl StoreError {
    /// Whether going on could acknowledge what is not on the disk: then the process must stop.
    /// A failed sync must not be repeated, because the system may have dropped the dirty pages
    /// and would report success the second time. Only SQLite's file is ours to judge: PostgreSQL
    /// stops by itself.
    pub(super) fn durability_in_doubt(&self) -> bool {
        matches!(self, StoreError::Io(_) | StoreError::Corrupt { .. })
    }

    /// Whether the same may go well in a moment, with nothing changed but the weather.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Busy | Self::Exhausted(_) | Self::Full | Self::Unreachable(_) | Self::InDoubt(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_doubtful_disk_stops_the_process() {
        let what = String::new;
        assert!(StoreError::Io(what()).durability_in_doubt());
        assert!(StoreError::Corrupt { what: what() }.durability_in_doubt());
        for survivable in [StoreError::Full, StoreError::Busy, StoreError::Exhausted(what()), StoreError::Sql(what())] {
            assert!(!survivable.durability_in_doubt(), "{survivable:?}");
        }
    }
}

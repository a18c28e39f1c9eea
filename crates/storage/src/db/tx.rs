//! One transaction, as the noun files see it: three ways to run a statement.
//!
//! Beginning, committing and rolling back do not belong here; they are the driver's. A noun
//! function takes `tx: &mut Tx<'_>` and never knows which engine it speaks to.

use super::error::StoreError;
use super::sqlite;
use super::value::{Row, Value};
use rusqlite::Connection;

/// An open transaction. Placeholders are `$1`, `$2`, … with as many values as the highest number.
///
/// On SQLite a statement is run at once and the returned future is ready at its first poll; on a
/// networked engine it waits for the answer. Awaiting anything else inside a transaction is an
/// error ([`StoreError::Pending`]).
pub struct Tx<'c> {
    connection: &'c mut Connection,
    fault: Option<StoreError>,
}

#[expect(
    clippy::unused_async,
    reason = "a statement over a network will wait; the nouns are written for that from the start"
)]
impl Tx<'_> {
    /// Runs a statement that answers no rows; returns how many it changed.
    pub async fn exec(&mut self, sql: &'static str, params: &[Value]) -> Result<u64, StoreError> {
        let outcome = sqlite::exec(self.connection, sql, params);
        self.noted(outcome)
    }

    /// Runs a statement and returns all its rows. Put a `LIMIT` on what can grow.
    pub async fn rows(&mut self, sql: &'static str, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        let outcome = sqlite::rows(self.connection, sql, params, usize::MAX);
        self.noted(outcome)
    }

    /// Runs a statement and returns its first row, if there is one.
    pub async fn row(&mut self, sql: &'static str, params: &[Value]) -> Result<Option<Row>, StoreError> {
        let outcome = sqlite::rows(self.connection, sql, params, 1);
        self.noted(outcome).map(|mut rows| rows.pop())
    }
}

impl<'c> Tx<'c> {
    pub(super) fn new(connection: &'c mut Connection) -> Self {
        Tx { connection, fault: None }
    }

    /// Runs several statements separated by semicolons: only for migrations, which are files.
    pub(super) fn script(&mut self, sql: &str) -> Result<(), StoreError> {
        let outcome = self.connection.execute_batch(sql).map_err(|error| sqlite::said(&error));
        self.noted(outcome)
    }

    /// The first error of the disk itself (broken or full), even if the job turned it into
    /// something else: the driver asks for it after each job.
    pub(super) fn fault(&mut self) -> Option<StoreError> {
        self.fault.take()
    }

    /// Remembers an error of the disk on its way to the job.
    pub(super) fn noted<T>(&mut self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &outcome
            && (error.durability_in_doubt() || *error == StoreError::Full)
        {
            self.fault.get_or_insert_with(|| error.clone());
        }
        outcome
    }
}

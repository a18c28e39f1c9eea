//! The connections that read: each sees only what is committed, and none waits for the writer.
//!
//! Nothing here may write; SQLite refuses it twice (a read-only file and `query_only`).

use super::connect::for_reading;
use super::{at_once, backup, check, control, out_of_files, rewrite, said};
use crate::db::Settings;
use crate::db::error::StoreError;
use crate::db::health::Health;
use crate::db::sql::Sql;
use crate::db::tx::Tx;
use rusqlite::Connection;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// Idle connections for reading. A read that finds none opens one instead of waiting: there are
/// never more than threads that read.
pub(in crate::db) struct Readers {
    settings: Settings,
    /// `None` after closing.
    idle: Mutex<Option<Vec<Connection>>>,
    slow: Arc<Semaphore>,
}

impl Readers {
    /// Opens those that are kept, so that a file that cannot be read is found at the start, and reads go on where no more files can be opened.
    pub(in crate::db) fn new(settings: &Settings) -> Result<Self, StoreError> {
        let first = (0..settings.readers.max(1)).map(|_| for_reading(settings)).collect::<Result<_, _>>()?;
        Ok(Readers {
            settings: settings.clone(),
            idle: Mutex::new(Some(first)),
            slow: Arc::new(Semaphore::new(settings.readers.max(1))),
        })
    }

    /// Who may read slowly: holds as many permits as slow reads may run at once.
    pub(in crate::db) fn slow(&self) -> Arc<Semaphore> {
        Arc::clone(&self.slow)
    }

    /// Runs the job on one snapshot, on this thread.
    pub(in crate::db) fn read<T, E, F>(&self, job: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, E>,
        E: From<StoreError>,
    {
        // If the job panics, the connection is dropped with it and never used again.
        let mut connection = self.take()?;
        control(&connection, "BEGIN DEFERRED")?;
        let mut tx = Tx::sqlite(&mut connection);
        let outcome = at_once(job(&mut tx));
        if let Some(error) = tx.fault().filter(StoreError::durability_in_doubt) {
            // A page that cannot be read: what is written from here on may rest on it.
            (self.settings.fatal)(&error);
        }
        if control(&connection, "COMMIT").is_ok() {
            self.give_back(connection);
        }
        outcome
    }

    /// Prepares each statement; see [`Db::check_sql`](crate::db::Db::check_sql).
    pub(in crate::db) fn check(&self, statements: &[Sql]) -> Result<(), StoreError> {
        let connection = self.take()?;
        let outcome = statements.iter().try_for_each(|sql| check(&connection, sql.sqlite));
        self.give_back(connection);
        outcome
    }

    /// Copies what is committed to another file; see [`Db::back_up`](crate::db::Db::back_up).
    pub(in crate::db) fn back_up(&self, to: &Path) -> Result<(), StoreError> {
        backup::copy(&self.settings, to)
    }

    /// See [`Db::rewrite`](crate::db::Db::rewrite). None of these connections does it: they cannot write.
    pub(in crate::db) fn rewrite(&self) -> Result<(), StoreError> {
        rewrite::rewrite(&self.settings)
    }

    /// See [`Db::health`](crate::db::Db::health).
    pub(in crate::db) fn health(&self) -> Result<Health, StoreError> {
        let connection = self.take()?;
        let journal_mode =
            connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(|error| said(&error))?;
        let file = backup::sound(&connection, "quick_check");
        self.give_back(connection);
        Ok(Health::Sqlite { library: rusqlite::version().to_owned(), journal_mode, file })
    }

    /// Closes what is idle, and what is in use when it comes back.
    pub(in crate::db) fn close(&self) {
        self.slow.close();
        self.idle().take();
    }

    fn take(&self) -> Result<Connection, StoreError> {
        let idle = self.idle().as_mut().ok_or(StoreError::Closed)?.pop();
        idle.map_or_else(|| for_reading(&self.settings).map_err(one_too_many), Ok)
    }

    fn give_back(&self, connection: Connection) {
        if let Some(idle) = self.idle().as_mut()
            && idle.len() < self.settings.readers.max(1)
        {
            idle.push(connection);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Option<Vec<Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Others read the same file at this moment: that it cannot be opened once more says nothing of the disk, if nothing else
/// can be opened either.
fn one_too_many(error: StoreError) -> StoreError {
    match error {
        StoreError::Io(why) if out_of_files() => StoreError::Exhausted(why),
        other => other,
    }
}

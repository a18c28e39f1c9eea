//! The database as the rest of the crate sees it: open it, write in it, read from it.
//!
//! How transactions work is here and in `db/`; what is stored is in the noun files beside this
//! one. `db/tx.rs` is what a noun function is handed, `db/sqlite.rs` the engine underneath.

mod error;
mod lock;
mod migrate;
mod sqlite;
mod tx;
mod value;

pub use error::StoreError;
pub use lock::DataLock;
pub use migrate::Migration;
pub use tx::Tx;
pub(crate) use value::params;
pub use value::{Row, Value};

use std::path::PathBuf;
use std::sync::Arc;
use std::{fmt, panic, process};

/// How to open a database. [`Settings::new`] has the defaults.
#[derive(Clone)]
pub struct Settings {
    /// The database file; created when it is not there. Its folder must exist.
    pub path: PathBuf,
    /// When a commit counts as done. Default: [`Synchronous::Full`].
    pub synchronous: Synchronous,
    /// How many idle reading connections are kept (each holds up to about 2 MB of pages), and how
    /// many slow reads run at once. Default: 4.
    pub readers: usize,
    /// How many jobs share one transaction at most. Default: 128, where the cost of a sync is
    /// spread so thin that more no longer shows.
    pub batch: usize,
    /// Called when the disk can no longer be trusted, before anyone is answered. It is meant not
    /// to return; if it does, the store answers [`StoreError::Closed`] from then on. Default: log
    /// the error and exit with status 70.
    pub fatal: Arc<dyn Fn(&StoreError) + Send + Sync>,
}

/// When a commit counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronous {
    /// When the disk has it: survives loss of power. Group commit makes it affordable.
    Full,
    /// When the operating system has it: survives a crash of the process, but loss of power may
    /// forget the last answered writes.
    Normal,
}

impl Settings {
    /// The defaults for the database file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Settings {
            path: path.into(),
            synchronous: Synchronous::Full,
            readers: 4,
            batch: 128,
            fatal: Arc::new(|error| {
                tracing::error!(%error, "the disk cannot be trusted any more: stopping");
                process::exit(70);
            }),
        }
    }
}

/// An open database: one writer, many readers. Clones share it; close it once.
///
/// ```text
/// let run = db.write(async move |tx| runs::start(tx, team, &new).await).await?;
/// let page = db.read(async |tx| runs::page(tx, team, &wanted).await).await?;
/// ```
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    writer: sqlite::Writer,
    readers: Arc<sqlite::Readers>,
}

impl Db {
    /// Opens or creates the file and starts the writer's thread. Refuses a file of another
    /// program, a library with known corruption bugs, and settings that do not take effect. The
    /// schema is not looked at: see [`Db::migrate`] and [`Db::require_schema`].
    pub fn open(settings: &Settings) -> Result<Db, StoreError> {
        // The writer first: it creates the file that the others only read.
        let writer = sqlite::Writer::start(settings)?;
        let readers = Arc::new(sqlite::Readers::new(settings)?);
        Ok(Db(Arc::new(Inner { writer, readers })))
    }

    /// Runs a job in a transaction that may write, and answers when it is on the disk.
    ///
    /// Jobs that wait at the same time share one commit, each in its own savepoint: one that
    /// errors or panics is undone alone. If the commit itself fails, nobody is answered `Ok`. A
    /// caller that stops waiting does not take its job back.
    ///
    /// The job must await nothing but its own statements and must not call the database again.
    pub async fn write<T, E, F>(&self, job: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.0.writer.write(job).await
    }

    /// Runs a short read on one snapshot of what is committed, on the caller's own thread: a hop
    /// to another one costs more than a few rows found by key. A write in it is refused.
    ///
    /// The job must await nothing but its own statements.
    #[expect(clippy::unused_async, reason = "a read over a network will wait")]
    pub async fn read<T, E, F>(&self, job: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, E>,
        E: From<StoreError>,
    {
        self.0.readers.read(job)
    }

    /// The same for a read that takes long (a scan, a count, an export): runs on the blocking
    /// pool, at most `readers` at once, so that it holds up nobody's point read.
    pub async fn read_slow<T, E, F>(&self, job: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let Ok(permit) = self.0.readers.slow().acquire_owned().await else {
            return Err(StoreError::Closed.into());
        };
        let readers = Arc::clone(&self.0.readers);
        let reading = tokio::task::spawn_blocking(move || {
            let _held_while_reading = permit;
            readers.read(job)
        });
        match reading.await {
            Ok(outcome) => outcome,
            Err(stopped) if stopped.is_panic() => panic::resume_unwind(stopped.into_panic()),
            Err(_shutting_down) => Err(StoreError::Closed.into()),
        }
    }

    /// Brings the schema up to date: applies what is missing of `known`, in one transaction.
    /// `now` is the time that is noted, in UTC milliseconds. Answers how many were applied.
    ///
    /// Refuses ([`StoreError::Schema`]) a database that has a migration this program does not
    /// know, or had one applied that reads differently now.
    pub async fn migrate(&self, known: &'static [Migration], now: i64) -> Result<u32, StoreError> {
        self.write(async move |tx| migrate::migrate(tx, known, now).await).await
    }

    /// Checks, without changing anything, that exactly the migrations of `known` are applied: for
    /// a program that opens the database beside a running server and must not migrate under it.
    pub async fn require_schema(&self, known: &'static [Migration]) -> Result<(), StoreError> {
        self.read(async |tx| migrate::require(tx, known).await).await
    }

    /// Prepares each statement without running it, and answers the first that the schema does not
    /// allow or whose placeholders are not `$1`, `$2`, … without a gap.
    pub fn check_sql(&self, statements: &[&'static str]) -> Result<(), StoreError> {
        self.0.readers.check(statements)
    }

    /// Finishes every write already asked for, moves the write-ahead log into the database file
    /// and closes it. Writes asked for later are answered [`StoreError::Closed`], reads too.
    pub async fn close(&self) {
        self.0.readers.close();
        self.0.writer.close().await;
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Db")
    }
}

#[cfg(test)]
mod tests;

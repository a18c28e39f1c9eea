//! The database as the rest of the crate sees it: open it, write in it, read from it.
//!
//! How transactions work is here and in `db/`; what is stored is in the noun files beside this
//! one. `db/tx.rs` is what a noun function is handed, `db/sqlite.rs` the engine underneath.

mod error;
mod health;
mod lock;
mod migrate;
mod postgres;
mod sql;
mod sqlite;
mod tx;
mod value;

pub use error::StoreError;
pub use health::Health;
pub use lock::DataLock;
pub use migrate::Migration;
pub use postgres::{Pooler, PostgresSettings};
pub use sql::Sql;
pub use sqlite::Weather;
pub use tx::Tx;
pub(crate) use value::params;
pub use value::{Row, Value};

use domain::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, panic, process};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where an engine without a clock of its own reads the time by which leases are given and end. It must not step: a lease would end early or late.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How long a slow read waits for those before it.
const SLOW_PATIENCE: Duration = Duration::from_secs(5);

/// How to open a database file. [`Settings::new`] has the defaults.
#[derive(Clone)]
pub struct Settings {
    /// The database file; created when it is not there. Its folder must exist.
    pub path: PathBuf,
    /// The time of its leases.
    pub clock: Clock,
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
    pub fn new(path: impl Into<PathBuf>, clock: Clock) -> Self {
        Settings {
            path: path.into(),
            clock,
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

/// An open database. Clones share it; close it once.
///
/// ```text
/// let run = db.write(async move |tx| runs::start(tx, team, &new).await).await?;
/// let page = db.read(async |tx| runs::page(tx, team, &wanted).await).await?;
/// ```
#[derive(Clone)]
pub struct Db(Arc<Engine>);

enum Engine {
    /// A file of this machine: one writer, many readers.
    Sqlite { writer: sqlite::Writer, readers: Arc<sqlite::Readers> },
    /// The same without a writer, and what a write is answered.
    Reading(Arc<sqlite::Readers>, StoreError),
    /// The memory of this process.
    Memory(sqlite::Memory),
    /// A server that many machines share.
    Postgres(Box<postgres::Postgres>),
}

impl Db {
    /// Opens or creates the file and starts the writer's thread. Refuses a file of another
    /// program, a library with known corruption bugs, and settings that do not take effect. The
    /// schema is not looked at: see [`Db::migrate`] and [`Db::require_schema`].
    pub fn open(settings: &Settings) -> Result<Db, StoreError> {
        // The writer first: it creates the file that the others only read.
        let writer = sqlite::Writer::start(settings)?;
        let readers = Arc::new(sqlite::Readers::new(settings)?);
        Ok(Db(Arc::new(Engine::Sqlite { writer, readers })))
    }

    /// Opens a file that is there for reading only, beside a server or without one: nothing in it changes, and every write is refused.
    pub fn open_for_reading(settings: &Settings) -> Result<Db, StoreError> {
        Self::reading(settings, StoreError::Setup("it was opened for reading only".to_owned()))
    }

    /// The same as [`Db::open`], but for a full disk: there it is opened for reading only, and every write is refused as [`StoreError::Full`].
    pub fn open_even_if_full(settings: &Settings) -> Result<Db, StoreError> {
        match Self::open(settings) {
            Err(StoreError::Full) => Self::reading(settings, StoreError::Full),
            opened => opened,
        }
    }

    fn reading(settings: &Settings, refusal: StoreError) -> Result<Db, StoreError> {
        // Whoever only looks says what it found: nothing that is acknowledged rests on it.
        let settings = Settings { fatal: Arc::new(|_| {}), ..settings.clone() };
        Ok(Db(Arc::new(Engine::Reading(Arc::new(sqlite::Readers::new(&settings)?), refusal))))
    }

    /// Connects to a PostgreSQL server. Refuses one that may forget what it acknowledged, and says which setting to mend.
    pub async fn connect(settings: PostgresSettings) -> Result<Db, StoreError> {
        Ok(Db(Arc::new(Engine::Postgres(Box::new(postgres::Postgres::connect(settings).await?)))))
    }

    /// A database that lives in this process only.
    pub fn in_memory(clock: &Clock) -> Result<Db, StoreError> {
        Ok(Db(Arc::new(Engine::Memory(sqlite::Memory::new(clock)?))))
    }

    /// The same database in memory as somebody sees it to whom this happens. Any other engine has real weather, and is answered as it is.
    #[must_use]
    pub fn under(&self, weather: Arc<dyn Weather>) -> Db {
        match &*self.0 {
            Engine::Memory(memory) => Db(Arc::new(Engine::Memory(memory.under(weather)))),
            _ => self.clone(),
        }
    }

    /// Runs a job in a transaction that may write, and answers when it is on the disk.
    ///
    /// On SQLite jobs that wait at the same time share one commit, each in its own savepoint: one
    /// that errors or panics is undone alone. If the commit itself fails, nobody is answered `Ok`.
    /// A caller that stops waiting does not take its job back.
    ///
    /// The job must await nothing but its own statements and must not call the database again.
    /// What it reads may be changed by others before it commits, where the engine is PostgreSQL:
    /// compare in the statement that changes, or hold what it decides on ([`crate::work::hold`]).
    pub async fn write<T, E, F>(&self, job: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        match &*self.0 {
            Engine::Sqlite { writer, .. } => writer.write(job).await,
            Engine::Reading(_, refusal) => Err(refusal.clone().into()),
            Engine::Memory(memory) => memory.write(job).await,
            Engine::Postgres(postgres) => postgres.write(job).await,
        }
    }

    /// The same for what keeps runs moving: claims, renewals, lettings-go. On PostgreSQL it has a connection of its own, so that it never waits
    /// behind writes that wait for each other.
    pub async fn write_leases<T, E, F>(&self, job: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        match &*self.0 {
            Engine::Postgres(postgres) => postgres.write_leases(job).await,
            _ => self.write(job).await,
        }
    }

    /// Runs a short read on one snapshot of what is committed; on SQLite on the caller's own
    /// thread: a hop to another one costs more than a few rows found by key. A write in it is
    /// refused.
    ///
    /// The job must await nothing but its own statements.
    pub async fn read<T, E, F>(&self, job: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, E>,
        E: From<StoreError>,
    {
        match &*self.0 {
            Engine::Sqlite { readers, .. } | Engine::Reading(readers, _) => readers.read(job),
            Engine::Memory(memory) => {
                memory.clear().await?;
                memory.read(job)
            }
            Engine::Postgres(postgres) => postgres.reads().read(job).await,
        }
    }

    /// The same for a read that takes long (a scan, a count, an export): at most half the
    /// connections at once, on SQLite on the blocking pool, so that it holds up nobody's point
    /// read.
    pub async fn read_slow<T, E, F>(&self, job: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let readers = match &*self.0 {
            Engine::Sqlite { readers, .. } | Engine::Reading(readers, _) => Arc::clone(readers),
            Engine::Memory(_) => return self.read(job).await,
            Engine::Postgres(postgres) => {
                let _held_while_reading = place(postgres.slow()).await?;
                return postgres.reads().read(job).await;
            }
        };
        let permit = place(readers.slow()).await?;
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
        let job = async move |tx: &mut Tx<'_>| migrate::migrate(tx, known, now).await;
        match &*self.0 {
            Engine::Postgres(postgres) => postgres.write_long(job).await,
            _ => self.write(job).await,
        }
    }

    /// Behind a transaction pooler: has the server end every session that idles in a transaction, so that a node that froze there holds up no
    /// other. For each start of a server; says in the log what did not work. Elsewhere there is nothing to do.
    pub async fn end_idle_sessions(&self) -> Result<(), StoreError> {
        match &*self.0 {
            Engine::Postgres(postgres) => postgres.end_idle_sessions().await,
            _ => Ok(()),
        }
    }

    /// Checks, without changing anything, that exactly the migrations of `known` are applied: for
    /// a program that opens the database beside a running server and must not migrate under it.
    pub async fn require_schema(&self, known: &'static [Migration]) -> Result<(), StoreError> {
        self.read(async |tx| migrate::require(tx, known).await).await
    }

    /// The numbers of the migrations that are applied, in order.
    pub async fn applied(&self) -> Result<Vec<u32>, StoreError> {
        self.read(async |tx| migrate::applied(tx).await).await
    }

    /// Copies everything that is committed now to a new file, beside a server that goes on writing, and answers when the copy is on the disk. Only a
    /// database that is a file can be copied so.
    pub async fn back_up(&self, to: &Path) -> Result<(), StoreError> {
        let (Engine::Sqlite { readers, .. } | Engine::Reading(readers, _)) = &*self.0 else {
            return Err(StoreError::Setup("only a database that is a file can be copied".to_owned()));
        };
        let (readers, to) = (Arc::clone(readers), to.to_owned());
        aside(move || readers.back_up(&to)).await
    }

    /// Writes the file anew, so that nothing is left in it of what was changed or deleted before, and empties its log. It takes as long as reading and
    /// writing all of it, and up to twice its room on the disk. Whether it did: only a database that is a file can be written so.
    pub async fn rewrite(&self) -> Result<bool, StoreError> {
        let Engine::Sqlite { readers, .. } = &*self.0 else { return Ok(false) };
        let readers = Arc::clone(readers);
        aside(move || readers.rewrite()).await.map(|()| true)
    }

    /// Checks a file that nobody uses: that it is a database of ours, and every page and index of it.
    pub async fn examine(file: &Path) -> Result<(), StoreError> {
        let file = file.to_owned();
        aside(move || sqlite::examine(&file)).await
    }

    /// How the engine is. Of SQLite it reads the whole file.
    pub async fn health(&self) -> Result<Health, StoreError> {
        match &*self.0 {
            Engine::Sqlite { readers, .. } | Engine::Reading(readers, _) => {
                let readers = Arc::clone(readers);
                aside(move || readers.health()).await
            }
            Engine::Memory(_) => Err(StoreError::Setup("a database in memory has no health to look at".to_owned())),
            Engine::Postgres(postgres) => postgres.health().await,
        }
    }

    /// Prepares each statement without running it, and answers the first that the schema does not
    /// allow or, on SQLite, whose placeholders are not `$1`, `$2`, … without a gap.
    pub async fn check_sql(&self, statements: &[Sql]) -> Result<(), StoreError> {
        match &*self.0 {
            Engine::Sqlite { readers, .. } | Engine::Reading(readers, _) => readers.check(statements),
            Engine::Memory(memory) => memory.check(statements),
            Engine::Postgres(postgres) => postgres.check(statements).await,
        }
    }

    /// Whether other processes may work on the same database.
    pub fn is_shared(&self) -> bool {
        match &*self.0 {
            Engine::Sqlite { .. } | Engine::Reading(..) => false,
            Engine::Memory(memory) => memory.is_shared(),
            Engine::Postgres(_) => true,
        }
    }

    /// How the server is reached, where there is one.
    pub(crate) fn server(&self) -> Option<&PostgresSettings> {
        match &*self.0 {
            Engine::Postgres(postgres) => Some(postgres.settings()),
            _ => None,
        }
    }

    /// Finishes every write already asked for and closes the database; SQLite's write-ahead log is
    /// moved into the file. Writes asked for later are answered [`StoreError::Closed`], reads too.
    pub async fn close(&self) {
        match &*self.0 {
            Engine::Sqlite { writer, readers } => {
                readers.close();
                writer.close().await;
            }
            Engine::Reading(readers, _) => readers.close(),
            Engine::Memory(_) => {}
            Engine::Postgres(postgres) => postgres.close().await,
        }
    }
}

/// Waits for one of the places of slow reads.
async fn place(places: Arc<Semaphore>) -> Result<OwnedSemaphorePermit, StoreError> {
    match tokio::time::timeout(SLOW_PATIENCE, places.acquire_owned()).await {
        Ok(place) => place.map_err(|_closed| StoreError::Closed),
        Err(_late) => Err(StoreError::Busy),
    }
}

/// Something that takes long, on the blocking pool.
async fn aside<T: Send + 'static>(
    job: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(job).await {
        Ok(outcome) => outcome,
        Err(stopped) if stopped.is_panic() => panic::resume_unwind(stopped.into_panic()),
        Err(_shutting_down) => Err(StoreError::Closed),
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Db")
    }
}

#[cfg(test)]
mod tests;

//! The PostgreSQL engine: many connections, many processes, one database.
//!
//! `connect.rs` opens connections and judges the server; `jobs.rs` is the thread on which writing transactions run; `statement.rs` runs one
//! statement; `trouble.rs` says what an error means. Nothing outside `db` may name `tokio_postgres`.
//!
//! Every transaction is READ COMMITTED, so what it decides on it has locked or compares again in the statement that changes it.

mod connect;
mod jobs;
mod statement;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{GenericClient as _, Object, Pool, Transaction};
use tokio::sync::Semaphore;
use tokio_postgres::IsolationLevel;

use super::error::StoreError;
use super::health::Health;
use super::sql::Sql;
use super::tx::Tx;
pub use connect::{Pooler, PostgresSettings};
use jobs::Writer;
pub(super) use statement::{exec, rows, script};
use trouble::{lost, said};

/// Holds a name until the transaction ends.
pub(super) const TRY_ALONE: &str = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))";
pub(super) const ALONE: &str = "SELECT 1 FROM (SELECT pg_advisory_xact_lock(hashtextextended($1, 0))) AS held";

/// How long a close waits for writes that are under way.
const CLOSING: Duration = Duration::from_secs(5);

/// An open database.
pub(super) struct Postgres {
    writer: Writer,
    reads: Reads,
    slow: Arc<Semaphore>,
    settings: PostgresSettings,
}

/// The connections that read.
#[derive(Clone)]
pub(super) struct Reads {
    pool: Pool,
    pooler: Pooler,
}

/// An open transaction, as [`Tx`] holds it.
pub(super) struct Open<'c> {
    transaction: Transaction<'c>,
    pooler: Pooler,
}

impl Postgres {
    /// Connects, and refuses a server whose settings would forget what was acknowledged.
    pub(super) async fn connect(settings: PostgresSettings) -> Result<Self, StoreError> {
        let places = settings.connections.max(2).div_ceil(2);
        let reads = Reads { pool: settings.pool(places)?, pooler: settings.pooler };
        let first = reads.pool.get().await.map_err(|error| lost(&error))?;
        connect::judge(&first).await?;
        if settings.pooler == Pooler::None && places > 1 {
            let second = reads.pool.get().await.map_err(|error| lost(&error))?;
            connect::look_for_pooler(&first, &second).await?;
        }
        drop(first);
        let writer = Writer::start(&settings, places)?;
        Ok(Self { writer, reads, slow: Arc::new(Semaphore::new((places / 2).max(1))), settings })
    }

    /// See [`Db::write`](super::Db::write).
    pub(super) async fn write<T, E, F>(&self, job: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.writer.write(job, connect::DEADLINE).await
    }

    /// The same for what may take as long as it takes: a new index on a large table.
    pub(super) async fn write_long<T, E, F>(&self, job: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.writer.write(job, connect::LONG_DEADLINE).await
    }

    /// The connections for [`Db::read`](super::Db::read).
    pub(super) fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Who may read slowly.
    pub(super) fn slow(&self) -> Arc<Semaphore> {
        Arc::clone(&self.slow)
    }

    /// How this database is reached, for the connection that carries rings.
    pub(super) fn settings(&self) -> &PostgresSettings {
        &self.settings
    }

    /// See [`Db::health`](super::Db::health).
    pub(super) async fn health(&self) -> Result<Health, StoreError> {
        let client = self.reads.pool.get().await.map_err(|error| lost(&error))?;
        // One more listens for news.
        let of_a_node = u32::try_from(self.settings.connections.max(2).div_ceil(2) * 2 + 1).unwrap_or(u32::MAX);
        connect::health(&client, of_a_node).await
    }

    /// Prepares each statement without running it.
    pub(super) async fn check(&self, statements: &[Sql]) -> Result<(), StoreError> {
        let client = self.reads.pool.get().await.map_err(|error| lost(&error))?;
        for sql in statements {
            let explain = |error| StoreError::Sql(format!("{} in `{}`", said(&error), sql.postgres));
            client.prepare(sql.postgres).await.map_err(explain)?;
        }
        Ok(())
    }

    /// Lets every write that was asked for end, and closes the connections. A server that does not answer is not waited for long.
    pub(super) async fn close(&self) {
        self.slow.close();
        if tokio::time::timeout(CLOSING, self.writer.close()).await.is_err() {
            tracing::error!("the database does not answer: whether the last writes are in it, nobody knows");
        }
        self.reads.pool.close();
    }
}

impl Reads {
    /// Runs the job on one snapshot.
    pub(super) async fn read<T, E, F>(&self, job: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, E>,
        E: From<StoreError>,
    {
        if self.pool.is_closed() {
            return Err(StoreError::Closed.into());
        }
        let mut client = self.pool.get().await.map_err(|error| lost(&error))?;
        match tokio::time::timeout(connect::DEADLINE, self.on(&mut client, job)).await {
            Ok(outcome) => outcome,
            Err(_late) => {
                // It may answer at any later time: nobody may have it again.
                drop(Object::take(client));
                Err(StoreError::Unreachable("the database did not answer in time".into()).into())
            }
        }
    }

    async fn on<T, E, F>(&self, client: &mut Object, job: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, E>,
        E: From<StoreError>,
    {
        let begun = begin(client, Access::Read, self.pooler).await?;
        let mut tx = Tx::postgres(&begun);
        let outcome = job(&mut tx).await;
        // Nothing was written, so how it ends decides nothing; but the connection is clean only after a commit that worked.
        let ended = begun.transaction.commit().await;
        match (outcome, ended) {
            (Ok(_), Err(error)) => Err(said(&error).into()),
            (outcome, _) => outcome,
        }
    }
}

/// What a transaction may do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

async fn begin(client: &mut Object, access: Access, pooler: Pooler) -> Result<Open<'_>, StoreError> {
    let building = client.build_transaction();
    let building = match access {
        Access::Read => building.isolation_level(IsolationLevel::RepeatableRead).read_only(true),
        Access::Write => building.isolation_level(IsolationLevel::ReadCommitted),
    };
    let transaction = building.start().await.map_err(|error| said(&error))?;
    if pooler == Pooler::Transaction {
        // A session behind such a pooler is everybody's: nothing may be set in it that outlives the transaction.
        transaction.batch_execute(connect::LOCAL_TIMEOUTS).await.map_err(|error| said(&error))?;
    }
    Ok(Open { transaction, pooler })
}

//! One transaction, as the noun files see it: three ways to run a statement.
//!
//! Beginning, committing and rolling back do not belong here; they are the driver's. A noun
//! function takes `tx: &mut Tx<'_>` and never knows which engine it speaks to.

use super::error::StoreError;
use super::postgres::{self, Open};
use super::sql::Sql;
use super::sqlite;
use super::value::{Row, Value};
use rusqlite::Connection;
use uuid::Uuid;

/// An open transaction. Placeholders are `$1`, `$2`, … with as many values as the highest number.
///
/// On SQLite a statement is run at once and the returned future is ready at its first poll; on
/// PostgreSQL it waits for the answer. Awaiting anything else inside a transaction is an
/// error ([`StoreError::Pending`]) on SQLite, and holds locks on PostgreSQL: never do it.
pub struct Tx<'c> {
    engine: Engine<'c>,
    fault: Option<StoreError>,
}

enum Engine<'c> {
    Sqlite(&'c mut Connection),
    Postgres(&'c Open<'c>),
}

impl Tx<'_> {
    /// Runs a statement that answers no rows; returns how many it changed.
    pub async fn exec(&mut self, sql: impl Into<Sql>, params: &[Value]) -> Result<u64, StoreError> {
        let sql = sql.into();
        let outcome = match &mut self.engine {
            Engine::Sqlite(connection) => sqlite::exec(connection, sql.sqlite, params),
            Engine::Postgres(open) => postgres::exec(open, sql.postgres, params).await,
        };
        self.noted(outcome)
    }

    /// Runs a statement and returns all its rows. Put a `LIMIT` on what can grow.
    pub async fn rows(&mut self, sql: impl Into<Sql>, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        self.some_rows(sql.into(), params, usize::MAX).await
    }

    /// Runs a statement and returns its first row, if there is one.
    pub async fn row(&mut self, sql: impl Into<Sql>, params: &[Value]) -> Result<Option<Row>, StoreError> {
        Ok(self.some_rows(sql.into(), params, 1).await?.into_iter().next())
    }

    /// Waits until no other transaction holds this name, and holds it until this one ends. On SQLite
    /// whoever may write is alone already.
    pub(crate) async fn alone(&mut self, name: Uuid) -> Result<(), StoreError> {
        match &self.engine {
            Engine::Sqlite(_) => Ok(()),
            Engine::Postgres(_) => self.row(postgres::ALONE, &[name.into()]).await.map(drop),
        }
    }

    /// The same without waiting: whether nobody else held it. On SQLite whoever may write is alone already.
    pub(crate) async fn try_alone(&mut self, name: Uuid) -> Result<bool, StoreError> {
        match &self.engine {
            Engine::Sqlite(_) => Ok(true),
            Engine::Postgres(_) => {
                self.row(postgres::TRY_ALONE, &[name.into()]).await?.map_or(Ok(false), |row| row.bool(0))
            }
        }
    }

    async fn some_rows(&mut self, sql: Sql, params: &[Value], limit: usize) -> Result<Vec<Row>, StoreError> {
        let outcome = match &mut self.engine {
            Engine::Sqlite(connection) => sqlite::rows(connection, sql.sqlite, params, limit),
            Engine::Postgres(open) => postgres::rows(open, sql.postgres, params).await,
        };
        self.noted(outcome)
    }

    /// Runs several statements separated by semicolons: only for migrations, which are files.
    pub(super) async fn script(&mut self, sql: Sql) -> Result<(), StoreError> {
        let outcome = match &mut self.engine {
            Engine::Sqlite(connection) => connection.execute_batch(sql.sqlite).map_err(|error| sqlite::said(&error)),
            Engine::Postgres(open) => postgres::script(open, sql.postgres).await,
        };
        self.noted(outcome)
    }
}

impl<'c> Tx<'c> {
    pub(super) fn sqlite(connection: &'c mut Connection) -> Self {
        Tx { engine: Engine::Sqlite(connection), fault: None }
    }

    pub(super) fn postgres(open: &'c Open<'c>) -> Self {
        Tx { engine: Engine::Postgres(open), fault: None }
    }

    /// The words of this transaction's engine.
    pub(super) fn words(&self, sql: Sql) -> &'static str {
        match self.engine {
            Engine::Sqlite(_) => sql.sqlite,
            Engine::Postgres(_) => sql.postgres,
        }
    }

    /// The first error that the job may not overlook, even if it turned it into something else: on
    /// SQLite one of the disk itself (broken or full), on PostgreSQL any, since the server undoes
    /// the whole transaction. The driver asks for it after each job.
    pub(super) fn fault(&mut self) -> Option<StoreError> {
        self.fault.take()
    }

    /// Remembers such an error on its way to the job.
    pub(super) fn noted<T>(&mut self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &outcome
            && (matches!(self.engine, Engine::Postgres(_)) || error.durability_in_doubt() || *error == StoreError::Full)
        {
            self.fault.get_or_insert_with(|| error.clone());
        }
        outcome
    }
}

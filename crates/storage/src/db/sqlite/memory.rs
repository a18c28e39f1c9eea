//! A database in the memory of one process, shared by all who would share a server: for simulations and for tests that want speed.
//!
//! The same statements on the same engine, but nothing waits for a thread or a disk, so that whoever also controls the clock gets the same
//! history again. What a network and a disk would do to a transaction is the [`Weather`].

use super::connect::in_memory;
use super::{at_once, check, control};
use crate::db::Clock;
use crate::db::error::StoreError;
use crate::db::sql::Sql;
use crate::db::tx::Tx;
use futures_util::future::BoxFuture;
use rusqlite::Connection;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What may happen to a transaction on its way.
pub trait Weather: Send + Sync + 'static {
    /// Before it: a wait, or an error instead of it.
    fn before(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// After the commit of one that may write: a wait, during which whoever asked may go away, or an error that hides it.
    fn after(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// The database, and the weather between it and one of its users.
#[derive(Clone)]
pub(in crate::db) struct Memory {
    connection: Arc<Mutex<Connection>>,
    weather: Option<Arc<dyn Weather>>,
}

impl Memory {
    pub(in crate::db) fn new(clock: &Clock) -> Result<Self, StoreError> {
        Ok(Self { connection: Arc::new(Mutex::new(in_memory(clock)?)), weather: None })
    }

    pub(in crate::db) fn under(&self, weather: Arc<dyn Weather>) -> Self {
        Self { connection: Arc::clone(&self.connection), weather: Some(weather) }
    }

    pub(in crate::db) async fn write<T, E, F>(&self, job: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        E: From<StoreError>,
    {
        if let Some(weather) = &self.weather {
            weather.before().await?;
        }
        let outcome = self.transact("BEGIN IMMEDIATE", job);
        if let (Ok(_), Some(weather)) = (&outcome, &self.weather) {
            weather.after().await?;
        }
        outcome
    }

    /// Whether others are under another weather.
    pub(in crate::db) fn is_shared(&self) -> bool {
        self.weather.is_some()
    }

    /// The connections that only look are in the same weather, but nothing of theirs can be in doubt.
    pub(in crate::db) async fn clear(&self) -> Result<(), StoreError> {
        match &self.weather {
            Some(weather) => weather.before().await,
            None => Ok(()),
        }
    }

    pub(in crate::db) fn read<T, E, F>(&self, job: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, E>,
        E: From<StoreError>,
    {
        self.transact("BEGIN DEFERRED", job)
    }

    pub(in crate::db) fn check(&self, statements: &[Sql]) -> Result<(), StoreError> {
        let connection = self.connection();
        statements.iter().try_for_each(|sql| check(&connection, sql.sqlite))
    }

    fn transact<T, E, F>(&self, begin: &'static str, job: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, E>,
        E: From<StoreError>,
    {
        let mut connection = self.connection();
        control(&connection, begin)?;
        let outcome = at_once(job(&mut Tx::sqlite(&mut connection)));
        control(&connection, if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
        outcome
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

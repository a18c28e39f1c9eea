//! Teams: the tenants. One exists from the first start; more come with `errand teams`.

use domain::{TeamId, Timestamp};

use crate::db::{Row, StoreError, Tx, params};
use crate::quota;

const FIRST: &str = "SELECT id FROM teams ORDER BY id LIMIT 1";
const ALL: &str = "SELECT id, name, created_at, file_bytes FROM teams ORDER BY id";
const INSERT: &str = "INSERT INTO teams (id, name, created_at) VALUES ($1, $2, $3)";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[FIRST, ALL, INSERT];

/// Keeps other nodes from founding teams and first keys until the transaction ends.
pub async fn hold(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    tx.alone(uuid::Uuid::nil()).await
}

/// The default team: the oldest. `None` before the first start has made it.
pub async fn first(tx: &mut Tx<'_>) -> Result<Option<TeamId>, StoreError> {
    match tx.row(FIRST, &[]).await? {
        Some(row) => Ok(Some(TeamId(row.uuid(0)?))),
        None => Ok(None),
    }
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// What people call it. Two may have the same name only if the operator wants it so.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Bytes of its files, as far as they are counted: see `quota.rs`.
    pub file_bytes: u64,
}

/// All teams, oldest first. For the operator only.
pub async fn all(tx: &mut Tx<'_>) -> Result<Vec<Team>, StoreError> {
    let rows = tx.rows(ALL, &[]).await?;
    let read = |row: &Row| {
        let (id, file_bytes) = (TeamId(row.uuid(0)?), quota::count(row.int(3)?));
        Ok(Team { id, name: row.text(1)?, created_at: row.time(2)?, file_bytes })
    };
    rows.iter().map(read).collect()
}

/// Adds a team.
pub async fn insert(tx: &mut Tx<'_>, id: TeamId, name: &str, now: Timestamp) -> Result<(), StoreError> {
    tx.exec(INSERT, &params![id, name, now]).await.map(drop)
}

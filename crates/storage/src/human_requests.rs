//! Human requests: opened by the run's worker, closed once, by whoever is first.

use domain::human_requests::HumanRequest;
use domain::{RunId, TeamId, Timestamp};
use uuid::Uuid;

use crate::db::{Row, Sql, StoreError, Tx, params};

const INSERT: &str =
    "INSERT INTO human_requests (team_id, id, run_id, body, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)";
const EXPIRED: &str = "SELECT team_id, run_id, id FROM human_requests WHERE closed_at IS NULL AND expires_at <= $1 \
    ORDER BY expires_at LIMIT 100";
// Left to choose, SQLite reads all requests that the team ever had.
macro_rules! open {
    ($before:literal, $after:literal) => {
        Sql::pair(concat!($before, " INDEXED BY human_requests_open ", $after), concat!($before, " ", $after))
    };
}
const PENDING: Sql = open!(
    "SELECT body, created_at, closed_at, response FROM human_requests",
    "WHERE team_id = $1 AND run_id = $2 AND closed_at IS NULL"
);
const GET: &str =
    "SELECT body, created_at, closed_at, response FROM human_requests WHERE team_id = $1 AND run_id = $2 AND id = $3";
const ANSWER: &str = "UPDATE human_requests SET closed_at = $4, response = $5 \
    WHERE team_id = $1 AND run_id = $2 AND id = $3 AND closed_at IS NULL";
const CLOSE: Sql =
    open!("UPDATE human_requests", "SET closed_at = $3 WHERE team_id = $1 AND run_id = $2 AND closed_at IS NULL");

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[INSERT, GET, ANSWER, EXPIRED];
#[cfg(test)]
pub(crate) const PAIRS: &[Sql] = &[PENDING, CLOSE];

/// A request as stored.
#[derive(Debug, Clone)]
pub struct Stored {
    /// What is asked.
    pub request: HumanRequest,
    /// When it was asked.
    pub created_at: Timestamp,
    /// When it was answered or overtaken.
    pub closed_at: Option<Timestamp>,
    /// The answer; none if it was overtaken.
    pub response: Option<String>,
}

/// Opens a request.
pub(crate) async fn insert(
    tx: &mut Tx<'_>,
    team: TeamId,
    run: RunId,
    request: &HumanRequest,
    now: Timestamp,
) -> Result<(), StoreError> {
    let body = crate::journal::json(request)?;
    tx.exec(INSERT, &params![team, request.id, run, body, now, request.expires_at]).await.map(drop)
}

/// Closes whatever request of the run is open, unanswered.
pub(crate) async fn close(tx: &mut Tx<'_>, team: TeamId, run: RunId, now: Timestamp) -> Result<(), StoreError> {
    tx.exec(CLOSE, &params![team, run, now]).await.map(drop)
}

/// The open request of a run; there is one at most.
pub async fn pending(tx: &mut Tx<'_>, team: TeamId, run: RunId) -> Result<Option<Stored>, StoreError> {
    tx.row(PENDING, &params![team, run]).await?.as_ref().map(read).transpose()
}

/// One request of a run, open or closed.
pub async fn get(tx: &mut Tx<'_>, team: TeamId, run: RunId, id: Uuid) -> Result<Option<Stored>, StoreError> {
    tx.row(GET, &params![team, run, id]).await?.as_ref().map(read).transpose()
}

/// Answers a request; whether it was still open. Of several answers at once exactly one gets `true`.
pub async fn answer(
    tx: &mut Tx<'_>,
    team: TeamId,
    run: RunId,
    id: Uuid,
    response: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    Ok(tx.exec(ANSWER, &params![team, run, id, now, response]).await? > 0)
}

/// Open requests whose time is over, a hundred at most, the oldest first.
pub async fn expired(tx: &mut Tx<'_>, now: Timestamp) -> Result<Vec<(TeamId, RunId, Uuid)>, StoreError> {
    let rows = tx.rows(EXPIRED, &params![now]).await?;
    rows.iter().map(|row| Ok((TeamId(row.uuid(0)?), RunId(row.uuid(1)?), row.uuid(2)?))).collect()
}

fn read(row: &Row) -> Result<Stored, StoreError> {
    let request = serde_json::from_str(row.text_ref(0)?)
        .map_err(|error| StoreError::Corrupt { what: format!("human_requests.body: {error}") })?;
    Ok(Stored { request, created_at: row.time(1)?, closed_at: row.opt_time(2)?, response: row.opt_text(3)? })
}

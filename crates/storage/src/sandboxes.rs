//! Sandboxes: who owns which file area, and until when. The files are not here: whoever deletes a row here has removed them first.

use domain::sandboxes::Sandbox;
use domain::{TeamId, Timestamp};

use crate::db::{Row, StoreError, Tx, params};
use crate::quota;

const INSERT: &str = "INSERT INTO sandboxes (team_id, id, created_at, expires_at) VALUES ($1, $2, $3, $4)";
const GET: &str = "SELECT id, team_id, created_at, expires_at FROM sandboxes WHERE team_id = $1 AND id = $2";
const HAS_RUN: &str = "SELECT 1 FROM runs WHERE team_id = $1 AND sandbox_id = $2 LIMIT 1";
const EXPIRED: &str = "SELECT id, team_id, created_at, expires_at FROM sandboxes \
    WHERE expires_at <= $1 AND (team_id, id) > ($2, $3) \
    AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.team_id = sandboxes.team_id AND runs.sandbox_id = sandboxes.id) \
    ORDER BY team_id, id LIMIT $4";
const DELETE: &str = "DELETE FROM sandboxes WHERE team_id = $1 AND id = $2 \
    AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.team_id = sandboxes.team_id AND runs.sandbox_id = sandboxes.id) RETURNING bytes";
const ALL: &str = "SELECT team_id, id FROM sandboxes WHERE (team_id, id) > ($1, $2) ORDER BY team_id, id LIMIT $3";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[INSERT, GET, HAS_RUN, EXPIRED, DELETE, ALL];

/// Adds a sandbox.
pub async fn insert(tx: &mut Tx<'_>, sandbox: &Sandbox) -> Result<(), StoreError> {
    let values = params![sandbox.team, &sandbox.id, sandbox.created_at, sandbox.expires_at];
    tx.exec(INSERT, &values).await.map(drop)
}

/// One sandbox of the team. The id is opaque text.
pub async fn get(tx: &mut Tx<'_>, team: TeamId, id: &str) -> Result<Option<Sandbox>, StoreError> {
    tx.row(GET, &params![team, id]).await?.as_ref().map(read).transpose()
}

/// Whether any run of the team, also one that has ended, works or worked in the sandbox.
pub async fn has_run(tx: &mut Tx<'_>, team: TeamId, id: &str) -> Result<bool, StoreError> {
    Ok(tx.row(HAS_RUN, &params![team, id]).await?.is_some())
}

/// Up to `most` sandboxes of all teams that expired by `now` and that no run names, in the order of their keys, from the first one after `after`
/// (the nil team and an empty id come before all). For the reaper only. It scans: use [`crate::Db::read_slow`].
pub async fn expired(
    tx: &mut Tx<'_>,
    now: Timestamp,
    after: (TeamId, &str),
    most: u32,
) -> Result<Vec<Sandbox>, StoreError> {
    let (team, id) = after;
    tx.rows(EXPIRED, &params![now, team, id, most]).await?.iter().map(read).collect()
}

/// Up to `most` sandboxes of all teams, in the order of their keys, from the first one after `after`. For the reaper only.
pub async fn all(tx: &mut Tx<'_>, after: (TeamId, &str), most: u32) -> Result<Vec<(TeamId, String)>, StoreError> {
    let rows = tx.rows(ALL, &params![after.0, after.1, most]).await?;
    rows.iter().map(|row| Ok((TeamId(row.uuid(0)?), row.text(1)?))).collect()
}

/// Forgets a sandbox whose files are gone, unless a run names it. Without effect if it is forgotten already.
pub async fn delete(tx: &mut Tx<'_>, team: TeamId, id: &str) -> Result<(), StoreError> {
    // Its team's row first, as whoever starts a run takes it: in the other order each could wait for the other.
    quota::replaced(tx, team, 0, 0).await?;
    match tx.row(DELETE, &params![team, id]).await? {
        Some(row) => quota::replaced(tx, team, row.u64(0)?, 0).await,
        None => Ok(()),
    }
}

fn read(row: &Row) -> Result<Sandbox, StoreError> {
    let (created_at, expires_at): (Timestamp, Timestamp) = (row.time(2)?, row.time(3)?);
    Ok(Sandbox { id: row.text(0)?, team: TeamId(row.uuid(1)?), created_at, expires_at })
}

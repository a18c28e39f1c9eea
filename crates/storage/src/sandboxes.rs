//! Sandboxes: who owns which file area, and until when. The files are not here.

use domain::sandboxes::Sandbox;
use domain::{TeamId, Timestamp};

use crate::db::{Row, StoreError, Tx, params};

const INSERT: &str = "INSERT INTO sandboxes (team_id, id, created_at, expires_at) VALUES ($1, $2, $3, $4)";
const GET: &str = "SELECT id, team_id, created_at, expires_at FROM sandboxes WHERE team_id = $1 AND id = $2";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[INSERT, GET];

/// Adds a sandbox.
pub async fn insert(tx: &mut Tx<'_>, sandbox: &Sandbox) -> Result<(), StoreError> {
    let values = params![sandbox.team, &sandbox.id, sandbox.created_at, sandbox.expires_at];
    tx.exec(INSERT, &values).await.map(drop)
}

/// One sandbox of the team. The id is opaque text.
pub async fn get(tx: &mut Tx<'_>, team: TeamId, id: &str) -> Result<Option<Sandbox>, StoreError> {
    tx.row(GET, &params![team, id]).await?.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<Sandbox, StoreError> {
    let (created_at, expires_at): (Timestamp, Timestamp) = (row.time(2)?, row.time(3)?);
    Ok(Sandbox { id: row.text(0)?, team: TeamId(row.uuid(1)?), created_at, expires_at })
}

//! What a team's files take up: those of its sandboxes as they were last looked at, and its own.
//!
//! The sum is a counter of the team, since a team may have very many sandboxes. Each change of a part changes it in the same transaction, by the
//! difference to what that part was; the part's row is held until the commit, so that no difference is counted twice.

use domain::TeamId;

use crate::db::{Sql, StoreError, Tx, params};

const USED: &str = "SELECT file_bytes FROM teams WHERE id = $1";
const OF_SANDBOX: &str = "SELECT bytes FROM sandboxes WHERE team_id = $1 AND id = $2";
const HELD: Sql = Sql::pair(
    OF_SANDBOX,
    // Not stronger: a run that starts in the sandbox must not wait for it.
    "SELECT bytes FROM sandboxes WHERE team_id = $1 AND id = $2 FOR NO KEY UPDATE",
);
const NOTE: &str = "UPDATE sandboxes SET bytes = $3 WHERE team_id = $1 AND id = $2";
const ADD: &str = "UPDATE teams SET file_bytes = file_bytes + $2 WHERE id = $1";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[USED, OF_SANDBOX, NOTE, ADD];
#[cfg(test)]
pub(crate) const PAIRS: &[Sql] = &[HELD];

/// Bytes of all files of a team, as far as is known.
pub async fn used(tx: &mut Tx<'_>, team: TeamId) -> Result<u64, StoreError> {
    tx.row(USED, &params![team]).await?.map_or(Ok(0), |row| row.int(0).map(count))
}

/// Bytes of a sandbox when it was last looked at.
pub async fn of_sandbox(tx: &mut Tx<'_>, team: TeamId, id: &str) -> Result<u64, StoreError> {
    tx.row(OF_SANDBOX, &params![team, id]).await?.map_or(Ok(0), |row| row.int(0).map(count))
}

/// Notes how many bytes a sandbox of the team has now. One that is forgotten already has none.
pub async fn note_sandbox(tx: &mut Tx<'_>, team: TeamId, id: &str, bytes: u64) -> Result<(), StoreError> {
    let Some(row) = tx.row(HELD, &params![team, id]).await? else { return Ok(()) };
    let (was, is) = (row.int(0)?, whole(bytes));
    if was != is {
        tx.exec(NOTE, &params![team, id, is]).await?;
        add(tx, team, is - was).await?;
    }
    Ok(())
}

/// Counts a file of the team that took the place of one with `was` bytes.
pub(crate) async fn replaced(tx: &mut Tx<'_>, team: TeamId, was: u64, is: u64) -> Result<(), StoreError> {
    add(tx, team, whole(is) - whole(was)).await
}

async fn add(tx: &mut Tx<'_>, team: TeamId, difference: i64) -> Result<(), StoreError> {
    tx.exec(ADD, &params![team, difference]).await.map(drop)
}

/// A counter as it is shown: one that is off by what was counted late is not below nothing.
pub(crate) fn count(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or(0)
}

/// A disk of half of this is larger than any: differences of two never overflow.
fn whole(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

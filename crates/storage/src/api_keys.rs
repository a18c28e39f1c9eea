//! API keys: only their hashes are here. Looked up on every request, so a revocation holds at once.

use domain::api_keys::ApiKey;
use domain::{ApiKeyId, TeamId, Timestamp};

use crate::db::{Row, StoreError, Tx, params};

const FIND: &str = "SELECT id, team_id FROM api_keys WHERE hash = $1 AND revoked_at IS NULL";
const INSERT: &str = "INSERT INTO api_keys (id, team_id, name, hash, created_at) VALUES ($1, $2, $3, $4, $5)";
const LIST: &str =
    "SELECT id, team_id, name, hash, created_at, revoked_at FROM api_keys WHERE team_id = $1 ORDER BY id";
const REVOKE: &str = "UPDATE api_keys SET revoked_at = $3 WHERE team_id = $1 AND id = $2 AND revoked_at IS NULL";
const RESTORE: &str = "UPDATE api_keys SET revoked_at = NULL WHERE hash = $1";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[FIND, INSERT, LIST, REVOKE, RESTORE];

/// Whose key this is. `None`: unknown or revoked.
pub async fn find(tx: &mut Tx<'_>, hash: [u8; 32]) -> Result<Option<(ApiKeyId, TeamId)>, StoreError> {
    match tx.row(FIND, &params![hash.to_vec()]).await? {
        Some(row) => Ok(Some((ApiKeyId(row.uuid(0)?), TeamId(row.uuid(1)?)))),
        None => Ok(None),
    }
}

/// Adds a key. [`StoreError::Conflict`] when the same secret is there already.
pub async fn insert(tx: &mut Tx<'_>, key: &ApiKey) -> Result<(), StoreError> {
    let values = params![key.id, key.team, &key.name, key.hash.to_vec(), key.created_at];
    tx.exec(INSERT, &values).await.map(drop)
}

/// Makes a key that is there valid again; whether it was there. For the key that the operator sets at every start.
pub async fn restore(tx: &mut Tx<'_>, hash: [u8; 32]) -> Result<bool, StoreError> {
    Ok(tx.exec(RESTORE, &params![hash.to_vec()]).await? > 0)
}

/// All keys of a team, oldest first, revoked ones too.
pub async fn list(tx: &mut Tx<'_>, team: TeamId) -> Result<Vec<ApiKey>, StoreError> {
    tx.rows(LIST, &params![team]).await?.iter().map(read).collect()
}

/// Refuses the key from now on; whether there was such a valid key.
pub async fn revoke(tx: &mut Tx<'_>, team: TeamId, id: ApiKeyId, now: Timestamp) -> Result<bool, StoreError> {
    Ok(tx.exec(REVOKE, &params![team, id, now]).await? > 0)
}

fn read(row: &Row) -> Result<ApiKey, StoreError> {
    let hash = row.bytes(3)?;
    let hash = hash.try_into().map_err(|_| StoreError::Corrupt { what: "api_keys.hash: expected 32 bytes".into() })?;
    Ok(ApiKey {
        id: ApiKeyId(row.uuid(0)?),
        team: TeamId(row.uuid(1)?),
        name: row.text(2)?,
        hash,
        created_at: row.time(4)?,
        revoked_at: row.opt_time(5)?,
    })
}

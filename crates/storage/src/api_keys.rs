//! API keys: only their hashes are here. Looked up on every request, so a revocation holds at once.

use domain::api_keys::ApiKey;
use domain::{ApiKeyId, TeamId, Timestamp};

use crate::db::{Row, StoreError, Tx, params};

const FIND: &str = "SELECT id, team_id, name, hash, scopes, requests_per_minute, created_at, expires_at, last_used_at, revoked_at \
    FROM api_keys WHERE hash = $1 AND revoked_at IS NULL";
const GET: &str = "SELECT id, team_id, name, hash, scopes, requests_per_minute, created_at, expires_at, last_used_at, revoked_at \
    FROM api_keys WHERE team_id = $1 AND id = $2";
const LIST: &str = "SELECT id, team_id, name, hash, scopes, requests_per_minute, created_at, expires_at, last_used_at, revoked_at \
    FROM api_keys WHERE team_id = $1 ORDER BY id";
const INSERT: &str = "INSERT INTO api_keys (id, team_id, name, hash, scopes, requests_per_minute, created_at, expires_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const USED: &str =
    "UPDATE api_keys SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";
const END: &str = "UPDATE api_keys SET expires_at = $3 WHERE team_id = $1 AND id = $2 AND revoked_at IS NULL \
    AND (expires_at IS NULL OR expires_at > $3)";
const REVOKE: &str = "UPDATE api_keys SET revoked_at = $3 WHERE team_id = $1 AND id = $2 AND revoked_at IS NULL";
const RESTORE: &str = "UPDATE api_keys SET revoked_at = NULL, expires_at = NULL \
    WHERE hash = $1 AND (revoked_at IS NOT NULL OR expires_at IS NOT NULL) RETURNING id, team_id";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[FIND, GET, LIST, INSERT, USED, END, REVOKE, RESTORE];

/// The key with this hash. `None`: unknown or revoked. Whether it has expired is for the caller to see.
pub async fn find(tx: &mut Tx<'_>, hash: [u8; 32]) -> Result<Option<ApiKey>, StoreError> {
    tx.row(FIND, &params![hash.to_vec()]).await?.as_ref().map(read).transpose()
}

/// One key of the team, also a revoked one.
pub async fn get(tx: &mut Tx<'_>, team: TeamId, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
    tx.row(GET, &params![team, id]).await?.as_ref().map(read).transpose()
}

/// Adds a key. [`StoreError::Conflict`] when the same secret is there already.
pub async fn insert(tx: &mut Tx<'_>, key: &ApiKey) -> Result<(), StoreError> {
    let scopes = key.scopes.to_string();
    let values = params![
        key.id,
        key.team,
        &key.name,
        key.hash.to_vec(),
        scopes,
        key.requests_per_minute,
        key.created_at,
        key.expires_at
    ];
    tx.exec(INSERT, &values).await.map(drop)
}

/// Notes that the key was used.
pub async fn used(tx: &mut Tx<'_>, id: ApiKeyId, now: Timestamp) -> Result<(), StoreError> {
    tx.exec(USED, &params![id, now]).await.map(drop)
}

/// Lets a key expire at a time, unless it does so earlier; whether there was such a valid key.
pub async fn end(tx: &mut Tx<'_>, team: TeamId, id: ApiKeyId, at: Timestamp) -> Result<bool, StoreError> {
    Ok(tx.exec(END, &params![team, id, at]).await? > 0)
}

/// Makes a key that was revoked or has an end valid again, for good; `None` if there is no such key. For the key that the operator sets at every start.
pub async fn restore(tx: &mut Tx<'_>, hash: [u8; 32]) -> Result<Option<(ApiKeyId, TeamId)>, StoreError> {
    let row = tx.row(RESTORE, &params![hash.to_vec()]).await?;
    row.map(|row| Ok((ApiKeyId(row.uuid(0)?), TeamId(row.uuid(1)?)))).transpose()
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
    let scopes = row.text(4)?;
    let scopes = scopes.parse().map_err(|wrong| StoreError::Corrupt { what: format!("api_keys.scopes: {wrong}") })?;
    Ok(ApiKey {
        id: ApiKeyId(row.uuid(0)?),
        team: TeamId(row.uuid(1)?),
        name: row.text(2)?,
        hash: row.hash(3)?,
        scopes,
        requests_per_minute: row.opt_int(5)?.map(|rate| u32::try_from(rate).unwrap_or(u32::MAX)),
        created_at: row.time(6)?,
        expires_at: row.opt_time(7)?,
        last_used_at: row.opt_time(8)?,
        revoked_at: row.opt_time(9)?,
    })
}

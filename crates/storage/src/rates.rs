//! How many requests of a key's current minute are taken, where several nodes serve. Each node takes some at a time and serves them by itself.

use domain::ApiKeyId;

use crate::db::{StoreError, Tx, params};

const TAKE: &str = "INSERT INTO rates (key_id, minute, taken) VALUES ($1, $2, $3) ON CONFLICT (key_id) DO UPDATE SET \
    taken = excluded.taken + CASE WHEN rates.minute < excluded.minute THEN 0 ELSE rates.taken END, \
    minute = CASE WHEN rates.minute < excluded.minute THEN excluded.minute ELSE rates.minute END \
    WHERE rates.minute < excluded.minute OR rates.taken < $4 RETURNING taken";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[TAKE];

/// What a node got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Requests that it may serve.
    pub got: u32,
    /// Requests that are left for all nodes after that.
    pub left: u32,
}

/// Takes up to `want` of the key's `limit` for `minute`, which is counted from 1970. A node whose clock is a little behind takes from the minute
/// that others are in already.
pub async fn take(tx: &mut Tx<'_>, key: ApiKeyId, minute: i64, want: u32, limit: u32) -> Result<Share, StoreError> {
    let Some(row) = tx.row(TAKE, &params![key, minute, want, limit]).await? else {
        return Ok(Share { got: 0, left: 0 });
    };
    let taken = row.u32(0)?;
    let over = taken.saturating_sub(limit).min(want);
    Ok(Share { got: want - over, left: limit.saturating_sub(taken) })
}

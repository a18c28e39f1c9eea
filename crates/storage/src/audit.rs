//! The audit log: one row a change, in the transaction of the change, tied to the row before (`domain::audit`). Only ever inserted into.

use domain::audit::{BEGINNING, Change, Entry, Hash};
use domain::{TeamId, Timestamp};
use uuid::Uuid;

use crate::db::{Row, StoreError, Tx, params};

const LAST: &str = "SELECT seq, hash FROM audit WHERE team_id = $1 ORDER BY seq DESC LIMIT 1";
const INSERT: &str = "INSERT INTO audit (team_id, seq, at, who, what, object, before, after, request_id, hash) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const PAGE: &str = "SELECT seq, at, who, what, object, before, after, request_id, hash FROM audit \
    WHERE team_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[LAST, INSERT, PAGE];

/// Set apart from the names of other locks, which are ids themselves.
const LOCK: u128 = 0xA0D1_7000_0000_0000_0000_0000_0000_0000;

/// Adds a row to the team's chain. The last thing a transaction does: on PostgreSQL the team's other changes wait from here until it ends.
pub async fn append(tx: &mut Tx<'_>, team: TeamId, now: Timestamp, change: Change) -> Result<(), StoreError> {
    tx.alone(Uuid::from_u128(team.0.as_u128() ^ LOCK)).await?;
    let last = match tx.row(LAST, &params![team]).await? {
        Some(row) => (row.u64(0)?, row.hash(1)?),
        None => (0, BEGINNING),
    };
    let entry = Entry::following(last, team, now, change);
    let hash = |hash: Option<Hash>| hash.map(|hash| hash.to_vec());
    let values = params![
        team,
        i64::try_from(entry.seq).unwrap_or(i64::MAX),
        entry.at,
        entry.who,
        entry.what,
        entry.object,
        hash(entry.before),
        hash(entry.after),
        entry.request_id,
        entry.hash.to_vec()
    ];
    tx.exec(INSERT, &values).await.map(drop)
}

/// Up to `most` rows of the team's chain behind number `after`, in order.
pub async fn page(tx: &mut Tx<'_>, team: TeamId, after: u64, most: u32) -> Result<Vec<Entry>, StoreError> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    tx.rows(PAGE, &params![team, after, most]).await?.iter().map(|row| read(row, team)).collect()
}

fn read(row: &Row, team: TeamId) -> Result<Entry, StoreError> {
    Ok(Entry {
        team,
        seq: row.u64(0)?,
        at: row.time(1)?,
        who: row.text(2)?,
        what: row.text(3)?,
        object: row.text(4)?,
        before: row.opt_hash(5)?,
        after: row.opt_hash(6)?,
        request_id: row.opt_text(7)?,
        hash: row.hash(8)?,
    })
}

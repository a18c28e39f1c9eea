//! Answers to requests with an `Idempotency-Key`, kept so that whoever asks again is answered the same and nothing happens twice.
//!
//! An answer is written in the transaction of what the request changed: either both are there or neither.

use domain::master_key::{Place, Sealed};
use domain::{TeamId, Timestamp};
use uuid::Uuid;

use crate::db::{Row, StoreError, Tx, params};
use crate::master_keys::{Keyring, open, seal};

const GET: &str =
    "SELECT asked, status, headers, body, at, sealed FROM answers WHERE team_id = $1 AND route = $2 AND key = $3";
const PUT: &str = "INSERT INTO answers (team_id, route, key, asked, status, headers, body, at, sealed) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (team_id, route, key) DO UPDATE SET \
    asked = excluded.asked, status = excluded.status, headers = excluded.headers, body = excluded.body, at = excluded.at, \
    sealed = excluded.sealed";
const SWEEP: &str = "DELETE FROM answers WHERE (team_id, route, key) IN \
    (SELECT team_id, route, key FROM answers WHERE at <= $1 ORDER BY at LIMIT $2)";

// Before answers were sealed, these were what held secrets: upload URLs.
const CLEAR: &str =
    "SELECT team_id, route, key, body FROM answers WHERE sealed = 0 AND route LIKE '%/upload-urls' LIMIT $1";
// Bytes 2 to 5 are the data key's number.
const OLD: &str =
    "SELECT team_id, route, key, body FROM answers WHERE sealed = 1 AND substr(body, 2, 4) <> $1 LIMIT $2";
const SEAL: &str = "UPDATE answers SET body = $4, sealed = 1 WHERE team_id = $1 AND route = $2 AND key = $3";
const FORGET: &str = "DELETE FROM answers WHERE sealed = 1";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[GET, PUT, SWEEP, CLEAR, OLD, SEAL, FORGET];

/// How long an answer is kept, in milliseconds.
pub const KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// What makes two requests the same one: the team, the operation with the ids in its path, and the client's key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Once {
    /// Who asked.
    pub team: TeamId,
    /// Method and path.
    pub route: String,
    /// The header's value.
    pub key: String,
}

/// An answer as it went out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Headers beyond those that every answer has, as a JSON object.
    pub headers: String,
    /// The body, byte for byte; or sealed, for [`Once::place`].
    pub body: Vec<u8>,
    /// Whether it is sealed: it holds a secret.
    pub sealed: bool,
}

/// What is known of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it may be done.
    New,
    /// Another transaction does it at this moment.
    UnderWay,
    /// It was answered.
    Answered(Answer),
    /// The key stands for a request with another body.
    Other,
}

/// Looks whether the request was answered before. In a transaction that writes, whoever asks the same meanwhile is told
/// [`Known::UnderWay`] until it ends.
pub async fn look(
    tx: &mut Tx<'_>,
    once: &Once,
    asked: &[u8; 32],
    now: Timestamp,
    writes: bool,
) -> Result<Known, StoreError> {
    if writes && !tx.try_alone(once.lock()).await? {
        return Ok(Known::UnderWay);
    }
    let Some(row) = tx.row(GET, &params![once.team, &once.route, &once.key]).await? else { return Ok(Known::New) };
    if row.time(4)?.0 <= now.0.saturating_sub(KEPT_MS) {
        return Ok(Known::New);
    }
    if row.bytes(0)? != asked {
        return Ok(Known::Other);
    }
    let status = row.u32(1)?.try_into().unwrap_or(500);
    Ok(Known::Answered(Answer { status, headers: row.text(2)?, body: row.bytes(3)?, sealed: row.bool(5)? }))
}

/// Keeps an answer, in the place of one that is too old.
pub async fn keep(
    tx: &mut Tx<'_>,
    once: &Once,
    asked: &[u8; 32],
    answer: &Answer,
    now: Timestamp,
) -> Result<(), StoreError> {
    let status = u32::from(answer.status);
    let Answer { headers, body, sealed, .. } = answer;
    let values =
        params![once.team, &once.route, &once.key, asked.to_vec(), status, headers, body.clone(), now, *sealed];
    tx.exec(PUT, &values).await.map(drop)
}

/// Forgets up to `most` answers that are too old; answers how many there were.
pub async fn sweep(tx: &mut Tx<'_>, now: Timestamp, most: u32) -> Result<u64, StoreError> {
    tx.exec(SWEEP, &params![Timestamp(now.0.saturating_sub(KEPT_MS)), most]).await
}

/// Seals up to `most` answers that an older version left in clear; how many they were.
pub(crate) async fn seal_clear(tx: &mut Tx<'_>, keys: &Keyring, most: u32) -> Result<u64, StoreError> {
    let rows = tx.rows(CLEAR, &params![most]).await?;
    for row in &rows {
        put_sealed(tx, keys, &once(row)?, &row.bytes(3)?).await?;
    }
    Ok(rows.len() as u64)
}

/// Seals up to `most` answers anew that another data key sealed than this one; how many they were.
pub(crate) async fn seal_anew(tx: &mut Tx<'_>, keys: &Keyring, number: u32, most: u32) -> Result<u64, StoreError> {
    let rows = tx.rows(OLD, &params![number.to_be_bytes().as_slice(), most]).await?;
    for row in &rows {
        let once = once(row)?;
        let opened = open(tx, keys, once.place(), &Sealed::from_bytes(row.bytes(3)?)).await?;
        put_sealed(tx, keys, &once, &opened).await?;
    }
    Ok(rows.len() as u64)
}

/// Forgets the answers that are sealed.
pub(crate) async fn forget_sealed(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    tx.exec(FORGET, &[]).await.map(drop)
}

async fn put_sealed(tx: &mut Tx<'_>, keys: &Keyring, once: &Once, body: &[u8]) -> Result<(), StoreError> {
    let sealed = seal(tx, keys, once.place(), body).await?;
    tx.exec(SEAL, &params![once.team, &once.route, &once.key, sealed.as_bytes()]).await.map(drop)
}

fn once(row: &Row) -> Result<Once, StoreError> {
    Ok(Once { team: TeamId(row.uuid(0)?), route: row.text(1)?, key: row.text(2)? })
}

impl Once {
    /// Where its answer is sealed for.
    pub fn place(&self) -> Place<'_> {
        Place::Answer { team: self.team, route: &self.route, key: &self.key }
    }

    /// The name of its lock. Two that share one by chance are told to try again; nothing else comes of it.
    fn lock(&self) -> Uuid {
        let name = format!("{} {} {}", self.team, self.route, self.key);
        let hash = domain::audit::hash(name.as_bytes());
        Uuid::from_u128(hash.iter().take(16).fold(0, |all, byte| all << 8 | u128::from(*byte)))
    }
}

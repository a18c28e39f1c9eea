//! Answers to requests with an `Idempotency-Key`, kept so that whoever asks again is answered the same and nothing happens twice.
//!
//! An answer is written in the transaction of what the request changed: either both are there or neither.

use domain::{TeamId, Timestamp};
use uuid::Uuid;

use crate::db::{StoreError, Tx, params};

const GET: &str = "SELECT asked, status, headers, body, at FROM answers WHERE team_id = $1 AND route = $2 AND key = $3";
const PUT: &str = "INSERT INTO answers (team_id, route, key, asked, status, headers, body, at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (team_id, route, key) DO UPDATE SET \
    asked = excluded.asked, status = excluded.status, headers = excluded.headers, body = excluded.body, at = excluded.at";
const SWEEP: &str = "DELETE FROM answers WHERE (team_id, route, key) IN \
    (SELECT team_id, route, key FROM answers WHERE at <= $1 ORDER BY at LIMIT $2)";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[GET, PUT, SWEEP];

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
    /// The body, byte for byte.
    pub body: Vec<u8>,
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
    Ok(Known::Answered(Answer { status, headers: row.text(2)?, body: row.bytes(3)? }))
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
    let Answer { headers, body, .. } = answer;
    let values = params![once.team, &once.route, &once.key, asked.to_vec(), status, headers, body.clone(), now];
    tx.exec(PUT, &values).await.map(drop)
}

/// Forgets up to `most` answers that are too old; answers how many there were.
pub async fn sweep(tx: &mut Tx<'_>, now: Timestamp, most: u32) -> Result<u64, StoreError> {
    tx.exec(SWEEP, &params![Timestamp(now.0.saturating_sub(KEPT_MS)), most]).await
}

impl Once {
    /// The name of its lock. Two that share one by chance are told to try again; nothing else comes of it.
    fn lock(&self) -> Uuid {
        let name = format!("{} {} {}", self.team, self.route, self.key);
        let hash = domain::audit::hash(name.as_bytes());
        Uuid::from_u128(hash.iter().take(16).fold(0, |all, byte| all << 8 | u128::from(*byte)))
    }
}

//! The journal of each run: append-only, `seq` without gaps. Everything that is shown of a run is read from here.

use domain::runs::{Entry, Event};
use domain::{RunId, TeamId, Timestamp};
use serde::Serialize;

use crate::db::{Row, StoreError, Tx, params};
use crate::sabotage;

const APPEND: &str =
    "INSERT INTO journal (run_id, seq, at, kind, body, private, message) VALUES ($1, $2, $3, $4, $5, $6, $7)";
const REPLAY: &str = "SELECT seq, at, body, private FROM journal WHERE run_id = $1 ORDER BY seq";
const AFTER: &str = "SELECT j.seq, j.at, j.kind, j.body FROM runs r JOIN journal j ON j.run_id = r.id \
    WHERE r.team_id = $1 AND r.id = $2 AND j.seq > $3 ORDER BY j.seq LIMIT $4";
// A message's place is below its seq, so the scan may begin there.
const MESSAGES: &str = "SELECT j.seq, j.at, j.body, j.private FROM runs r JOIN journal j ON j.run_id = r.id \
    WHERE r.team_id = $1 AND r.id = $2 AND j.seq > $3 AND j.message >= $3 ORDER BY j.seq LIMIT $4";
const LAST_CALL: &str = "SELECT kind, body FROM journal WHERE run_id = $1 \
    AND kind IN ('tool_started', 'tool_finished', 'person_asked', 'completed', 'failed', 'interrupted') ORDER BY seq DESC LIMIT 1";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[APPEND, REPLAY, AFTER, MESSAGES, LAST_CALL];

/// An entry as readers get it: its body is the event's JSON, not parsed.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its place, from 1.
    pub seq: u64,
    /// When it was committed.
    pub at: Timestamp,
    /// [`Event::kind`].
    pub kind: String,
    /// The event as JSON.
    pub body: String,
}

/// Appends `events` after `last_seq` of a run that shows `messages` messages so far; answers the new numbers of both.
pub(crate) async fn append(
    tx: &mut Tx<'_>,
    run: RunId,
    (mut last_seq, mut messages): (u64, u64),
    events: &[Event],
    now: Timestamp,
) -> Result<(u64, u64), StoreError> {
    for event in events {
        last_seq += 1;
        let message = event.is_message().then_some(messages);
        messages += u64::from(message.is_some());
        let private = match event {
            Event::Replied { reply, .. } => reply.carry.as_ref().map(json).transpose()?,
            _ => None,
        };
        let values =
            params![run, number(last_seq)?, now, event.kind(), json(event)?, private, message.map(number).transpose()?];
        tx.exec(APPEND, &values).await?;
    }
    Ok((last_seq, messages))
}

/// The whole journal of a run, to rebuild its state. [`StoreError::Schema`] when an entry is of a kind that a newer version wrote,
/// [`StoreError::Corrupt`] when one cannot be read.
pub async fn replay(tx: &mut Tx<'_>, run: RunId) -> Result<Vec<Entry>, StoreError> {
    tx.rows(REPLAY, &params![run]).await?.iter().map(entry).collect()
}

/// The key of a call that was begun and has no outcome, without reading the rest of the journal. `None` also where the entry cannot be read.
pub async fn in_flight(tx: &mut Tx<'_>, run: RunId) -> Result<Option<uuid::Uuid>, StoreError> {
    let Some(row) = tx.row(LAST_CALL, &params![run]).await? else { return Ok(None) };
    if row.text_ref(0)? != "tool_started" {
        return Ok(None);
    }
    Ok(match serde_json::from_str(row.text_ref(1)?) {
        Ok(Event::ToolStarted { call }) => Some(call.key),
        _ => None,
    })
}

/// Up to `limit` entries after `seq`, for the event stream.
pub async fn after(tx: &mut Tx<'_>, team: TeamId, run: RunId, seq: u64, limit: u32) -> Result<Vec<Line>, StoreError> {
    let rows = tx.rows(AFTER, &params![team, run, number(seq)?, limit]).await?;
    rows.iter()
        .filter(|row| !row.text_ref(2).is_ok_and(sabotage::drops))
        .map(|row| Ok(Line { seq: row.u64(0)?, at: row.time(1)?, kind: row.text(2)?, body: row.text(3)? }))
        .collect()
}

/// A page of the entries that show as messages, oldest first.
pub async fn messages(
    tx: &mut Tx<'_>,
    team: TeamId,
    run: RunId,
    limit: u32,
    offset: u64,
) -> Result<Vec<Entry>, StoreError> {
    let offset = i64::try_from(offset).unwrap_or(i64::MAX);
    tx.rows(MESSAGES, &params![team, run, offset, limit]).await?.iter().map(entry).collect()
}

fn entry(row: &Row) -> Result<Entry, StoreError> {
    let mut event: Event = read_event("a journal entry", row.text_ref(2)?)?;
    if let (Event::Replied { reply, .. }, Some(private)) = (&mut event, row.opt_text(3)?) {
        let carry = serde_json::from_str(&private);
        reply.carry = Some(carry.map_err(|error| unreadable("a journal entry's private part", &error))?);
    }
    Ok(Entry { seq: row.u64(0)?, at: row.time(1)?, event })
}

/// An event as it is stored. [`StoreError::Schema`] where a newer version wrote it.
pub(crate) fn read_event(what: &str, body: &str) -> Result<Event, StoreError> {
    serde_json::from_str(body).map_err(|error| match kind(body) {
        Some(kind) if !Event::knows(&kind) => {
            StoreError::Schema(format!("{what} of the kind {kind:?}, which this version does not know"))
        }
        _ => unreadable(what, &error),
    })
}

/// What it means that something stored cannot be read: a value or field that this version does not know was written by a newer one, anything else
/// is damaged.
pub fn unreadable(what: &str, error: &serde_json::Error) -> StoreError {
    let told = error.to_string();
    if told.starts_with("unknown variant") || told.starts_with("unknown field") {
        StoreError::Schema(format!("{what}: {told}"))
    } else {
        StoreError::Corrupt { what: format!("{what}: {told}") }
    }
}

/// The kind that an entry says it is.
fn kind(body: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Tagged {
        r#type: String,
    }
    serde_json::from_str::<Tagged>(body).ok().map(|tagged| tagged.r#type)
}

pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt { what: format!("cannot write as JSON: {error}") })
}

fn number(count: u64) -> Result<i64, StoreError> {
    i64::try_from(count).map_err(|_| StoreError::Corrupt { what: "a count beyond 63 bits".into() })
}

//! Webhooks: what somebody outside is to be told, and how far that has come.
//!
//! A row of the outbox is written in the commit of what it tells of (`runs.rs`). It is *due* until it is *delivered* or *dead*. Whoever tries it
//! has claimed it by a token first; a claim ends by itself, so that a dead server's are tried by another. The body is settled at the first try and
//! the same at all others.

use domain::human_requests::HumanRequest;
use domain::runs::Event;
use domain::webhooks::{DeliveryId, PAUSE_MAX_MS};
use domain::{AgentId, BuildId, RunId, TeamId, Timestamp};
use uuid::Uuid;

use crate::db::{Row, Sql, StoreError, Tx, params};
use crate::journal;
use crate::work::{FAR_MS, millis};

/// A query of `due`: each line (team, origin) in which something waits, and when the first of it is due. It goes from line to line in the index, however
/// much stands in them.
macro_rules! of_lines {
    ($query:literal) => {
        concat!(
            "WITH RECURSIVE team (id) AS (SELECT min(team_id) FROM outbox WHERE state = 'due' UNION ALL ",
            "SELECT (SELECT min(o.team_id) FROM outbox o WHERE o.state = 'due' AND o.team_id > team.id) FROM team WHERE team.id IS NOT NULL), ",
            "line (team, origin) AS (SELECT team.id, (SELECT min(o.origin) FROM outbox o WHERE o.state = 'due' AND o.team_id = team.id) ",
            "FROM team WHERE team.id IS NOT NULL UNION ALL ",
            "SELECT line.team, (SELECT min(o.origin) FROM outbox o WHERE o.state = 'due' AND o.team_id = line.team AND o.origin > line.origin) ",
            "FROM line WHERE line.origin IS NOT NULL), ",
            "due (team, origin, at) AS (SELECT line.team, line.origin, ",
            "(SELECT min(o.due_at) FROM outbox o WHERE o.state = 'due' AND o.team_id = line.team AND o.origin = line.origin) ",
            "FROM line WHERE line.origin IS NOT NULL) ",
            $query
        )
    };
}
pub(crate) use of_lines;

const LINES: &str =
    of_lines!("SELECT team, origin FROM due WHERE at <= errand_now() ORDER BY at, team, origin LIMIT $1");
const NEXT: &str = of_lines!("SELECT min(at) - errand_now() FROM due WHERE at > errand_now()");
macro_rules! claim {
    ($before:literal, $after:literal) => {
        concat!(
            "UPDATE outbox SET claim = $1, due_at = errand_now() + $2, tries = tries + 1 WHERE id ",
            $before,
            "SELECT id FROM outbox WHERE state = 'due' AND team_id = $3 AND origin = $4 AND due_at <= errand_now() ORDER BY due_at, id LIMIT $5",
            $after,
            " RETURNING id, team_id, run_id, seq, event, at, tries, body"
        )
    };
}
const CLAIM: Sql = Sql::pair(claim!("IN (", ")"), claim!("= ANY (ARRAY(", " FOR UPDATE SKIP LOCKED))"));
const FREE_ALL: &str =
    "UPDATE outbox SET claim = NULL, due_at = errand_now() WHERE state = 'due' AND claim IS NOT NULL";
const FAR: &str = "SELECT DISTINCT run_id FROM outbox WHERE state = 'due' AND claim IS NULL AND due_at > errand_now() + $1 ORDER BY run_id LIMIT 100";
const BRING_NEAR: &str =
    "UPDATE outbox SET due_at = errand_now() + $2 WHERE state = 'due' AND claim IS NULL AND due_at > errand_now() + $1";
const RUN: &str = "SELECT r.agent_id, r.build_id, r.webhook_url, g.url IS NOT NULL FROM runs r \
    LEFT JOIN gone g ON g.team_id = r.team_id AND g.url = r.webhook_url WHERE r.team_id = $1 AND r.id = $2";
const ENTRY: &str = "SELECT body FROM journal WHERE run_id = $1 AND seq = $2";
const BODY: &str = "UPDATE outbox SET body = $3 WHERE id = $1 AND claim = $2 AND body IS NULL";
const LATER: &str =
    "UPDATE outbox SET claim = NULL, due_at = errand_now() + $3, outcome = $4 WHERE id = $1 AND claim = $2";
const SETTLE: &str =
    "UPDATE outbox SET claim = NULL, state = $3, outcome = $4, settled_at = $5 WHERE id = $1 AND claim = $2";
const GONE: &str = "INSERT INTO gone (team_id, url, at) VALUES ($1, $2, $3) ON CONFLICT (team_id, url) DO NOTHING";
const NOT_GONE: &str =
    "DELETE FROM gone WHERE team_id = $1 AND url IN (SELECT webhook_url FROM runs WHERE team_id = $1 AND id = $2)";
const DEAD: &str = "SELECT o.run_id, o.seq, o.event, o.at, o.tries, o.outcome, r.webhook_url FROM outbox o \
    JOIN runs r ON r.team_id = o.team_id AND r.id = o.run_id \
    WHERE o.team_id = $1 AND o.state = 'dead' ORDER BY o.id DESC LIMIT $2 OFFSET $3";
const COUNT: &str = "SELECT count(*) FROM outbox WHERE team_id = $1 AND state = 'dead'";
const REPLAY: &str = "UPDATE outbox SET state = 'due', due_at = errand_now(), tries = 0, settled_at = NULL \
    WHERE team_id = $1 AND run_id = $2 AND seq = $3 AND state = 'dead'";
const SWEEP: &str =
    "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE settled_at <= $1 ORDER BY settled_at LIMIT $2)";
const SECRETS: &str = "SELECT webhook_generation, webhook_old_until FROM teams WHERE id = $1";
const ROTATE: &str =
    "UPDATE teams SET webhook_generation = webhook_generation + 1, webhook_old_until = $2 WHERE id = $1";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[
    LINES, NEXT, FREE_ALL, FAR, BRING_NEAR, RUN, ENTRY, BODY, LATER, SETTLE, GONE, NOT_GONE, DEAD, COUNT, REPLAY,
    SWEEP, SECRETS, ROTATE,
];
#[cfg(test)]
pub(crate) const PAIRS: &[Sql] = &[CLAIM];

/// Lines that are looked at together.
const LINES_MAX: u32 = 1_000;
/// How long settled rows are kept for whoever looks into them, in milliseconds.
pub const KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// A row that is claimed, with all that a try needs.
#[derive(Debug, Clone)]
pub struct Due {
    /// Its number.
    pub id: i64,
    /// The token of this claim.
    pub claim: Uuid,
    /// Whose run it is.
    pub team: TeamId,
    /// The run.
    pub run: RunId,
    /// The entry of its journal that is told of.
    pub seq: u64,
    /// What it is called outside.
    pub event: String,
    /// When it happened.
    pub at: Timestamp,
    /// How often it was tried, this try included.
    pub tries: u32,
    /// What was sent in earlier tries.
    pub body: Option<String>,
    /// The run's Assignment.
    pub agent: AgentId,
    /// Its Build.
    pub build: BuildId,
    /// Where to.
    pub url: String,
    /// Whether that URL said that nobody is there.
    pub gone: bool,
    /// What a person is asked, if that is what it tells.
    pub request: Option<HumanRequest>,
}

/// A row that was given up.
#[derive(Debug, Clone)]
pub struct Dead {
    /// The run, and the entry of its journal.
    pub id: DeliveryId,
    /// What it is called outside.
    pub event: String,
    /// When it happened.
    pub at: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// What came of the last try.
    pub outcome: String,
    /// Where to.
    pub url: String,
}

/// What becomes of a row after a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Tried again after so many milliseconds.
    Later(u64),
    /// It arrived.
    Delivered,
    /// It is given up.
    Dead,
    /// It is given up, and so is all else that goes to its URL.
    Gone,
}

/// What waits for one another: all that a team has for one origin (scheme, host and port).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Line {
    /// Whose runs it is about.
    pub team: TeamId,
    /// Where to.
    pub origin: String,
}

/// Lines in which something is due at this moment, a thousand at most, first the one in which it has been due the longest. For all teams: only for
/// whoever delivers.
pub async fn lines(tx: &mut Tx<'_>) -> Result<Vec<Line>, StoreError> {
    let rows = tx.rows(LINES, &params![LINES_MAX]).await?;
    rows.iter().map(|row| Ok(Line { team: TeamId(row.uuid(0)?), origin: row.text(1)? })).collect()
}

/// In how many milliseconds the first is due of what is not due yet; `None`: there is no more. For all teams: only for whoever delivers.
pub async fn next_ms(tx: &mut Tx<'_>) -> Result<Option<u64>, StoreError> {
    let row = tx.row(NEXT, &[]).await?;
    let ms = row.map(|row| row.opt_int(0)).transpose()?.flatten();
    Ok(ms.map(|ms| u64::try_from(ms).unwrap_or(0)))
}

/// Claims up to `most` rows that are due in a line, for `lease_ms`.
pub async fn claim(
    tx: &mut Tx<'_>,
    token: Uuid,
    lease_ms: u64,
    line: &Line,
    most: u32,
) -> Result<Vec<Due>, StoreError> {
    let rows = tx.rows(CLAIM, &params![token, millis(lease_ms), line.team, &line.origin, most]).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        all.push(due(tx, &row, token).await?);
    }
    Ok(all)
}

async fn due(tx: &mut Tx<'_>, row: &Row, claim: Uuid) -> Result<Due, StoreError> {
    let (team, run) = (TeamId(row.uuid(1)?), RunId(row.uuid(2)?));
    let missing = |what: &str| StoreError::Corrupt { what: format!("outbox {run}: {what} is gone") };
    let of_run = tx.row(RUN, &params![team, run]).await?.ok_or_else(|| missing("the run"))?;
    let entry = tx.row(ENTRY, &params![run, row.int(3)?]).await?.ok_or_else(|| missing("the entry"))?;
    let request = match journal::read_event("a journal entry", entry.text_ref(0)?)? {
        Event::PersonAsked { request } | Event::Held { request } => Some(request),
        _ => None,
    };
    Ok(Due {
        id: row.int(0)?,
        claim,
        team,
        run,
        seq: row.u64(3)?,
        event: row.text(4)?,
        at: row.time(5)?,
        tries: row.u32(6)?,
        body: row.opt_text(7)?,
        agent: AgentId(of_run.uuid(0)?),
        build: BuildId(of_run.uuid(1)?),
        url: of_run.opt_text(2)?.unwrap_or_default(),
        gone: of_run.bool(3)?,
        request,
    })
}

/// Ends all claims: only for whoever knows that no other process lives.
pub async fn free_all(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    tx.exec(FREE_ALL, &[]).await.map(drop)
}

/// Runs of which something is to be told later than after the longest pause, a hundred at most: a clock that was far ahead said when. It reads all
/// that is due to anybody: use [`crate::Db::read_slow`].
pub async fn far(tx: &mut Tx<'_>) -> Result<Vec<RunId>, StoreError> {
    let rows = tx.rows(FAR, &params![millis(PAUSE_MAX_MS + FAR_MS)]).await?;
    rows.iter().map(|row| Ok(RunId(row.uuid(0)?))).collect()
}

/// Makes it due after the longest pause that there is; answers how many rows there were.
pub async fn bring_near(tx: &mut Tx<'_>) -> Result<u64, StoreError> {
    tx.exec(BRING_NEAR, &params![millis(PAUSE_MAX_MS + FAR_MS), millis(PAUSE_MAX_MS)]).await
}

/// Settles what is sent, before it is sent the first time; whether the claim still holds and nothing was settled before.
pub async fn settle_body(tx: &mut Tx<'_>, due: (i64, Uuid), body: &str) -> Result<bool, StoreError> {
    Ok(tx.exec(BODY, &params![due.0, due.1, body]).await? > 0)
}

/// Writes down what came of a try, unless the claim has ended.
pub async fn finish(tx: &mut Tx<'_>, due: &Due, then: Then, outcome: &str, now: Timestamp) -> Result<(), StoreError> {
    let state = match then {
        Then::Later(ms) => {
            return tx.exec(LATER, &params![due.id, due.claim, millis(ms), outcome]).await.map(drop);
        }
        Then::Delivered => "delivered",
        Then::Dead | Then::Gone => "dead",
    };
    tx.exec(SETTLE, &params![due.id, due.claim, state, outcome, now]).await?;
    if then == Then::Gone {
        tx.exec(GONE, &params![due.team, &due.url, now]).await?;
    }
    Ok(())
}

/// A page of the team's rows that were given up, the newest first, and how many there are in all.
pub async fn dead(tx: &mut Tx<'_>, team: TeamId, limit: u32, offset: u64) -> Result<(Vec<Dead>, u64), StoreError> {
    let total = tx.row(COUNT, &params![team]).await?.map_or(Ok(0), |row| row.u64(0))?;
    let rows = tx.rows(DEAD, &params![team, limit, i64::try_from(offset).unwrap_or(i64::MAX)]).await?;
    let read = |row: &Row| {
        Ok(Dead {
            id: DeliveryId { run: RunId(row.uuid(0)?), seq: row.u64(1)? },
            event: row.text(2)?,
            at: row.time(3)?,
            tries: row.u32(4)?,
            outcome: row.opt_text(5)?.unwrap_or_default(),
            url: row.opt_text(6)?.unwrap_or_default(),
        })
    };
    Ok((rows.iter().map(read).collect::<Result<_, StoreError>>()?, total))
}

/// Makes a row that was given up due again, and its URL one that somebody is at; whether there was such a row.
pub async fn replay(tx: &mut Tx<'_>, team: TeamId, id: DeliveryId) -> Result<bool, StoreError> {
    let seq = i64::try_from(id.seq).unwrap_or(i64::MAX);
    if tx.exec(REPLAY, &params![team, id.run, seq]).await? == 0 {
        return Ok(false);
    }
    tx.exec(NOT_GONE, &params![team, id.run]).await?;
    Ok(true)
}

/// Forgets up to `most` rows that were settled long ago; answers how many there were.
pub async fn sweep(tx: &mut Tx<'_>, now: Timestamp, most: u32) -> Result<u64, StoreError> {
    tx.exec(SWEEP, &params![Timestamp(now.0.saturating_sub(KEPT_MS)), most]).await
}

/// The numbers of the team's secrets that hold at `now`, the newest first.
pub async fn generations(tx: &mut Tx<'_>, team: TeamId, now: Timestamp) -> Result<Vec<u64>, StoreError> {
    let row = tx.row(SECRETS, &params![team]).await?;
    let row = row.ok_or_else(|| StoreError::Corrupt { what: format!("team {team} is gone") })?;
    let (newest, old_until) = (row.u64(0)?, row.time(1)?);
    Ok(if newest > 1 && now < old_until { vec![newest, newest - 1] } else { vec![newest] })
}

/// Gives the team a new secret; the one before holds until `old_until`, and the one before that no more.
pub async fn rotate(tx: &mut Tx<'_>, team: TeamId, old_until: Timestamp) -> Result<(), StoreError> {
    tx.exec(ROTATE, &params![team, old_until]).await.map(drop)
}

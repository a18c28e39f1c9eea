//! Work: which runs are due, and who has the right to move them.
//!
//! A lease is the right to commit, nothing more: each claim draws a fresh token, every write of a worker names it, and a write whose token is no
//! longer in the table changes nothing. Tokens are compared, never names of workers. A claimed row's `due_at` is the end of its lease, so that
//! finding work and finding what a dead worker left is one query.
//!
//! All times of this table are the database's own (`errand_now()`): whoever writes says how long, never until when, so that no node's clock can
//! end another's lease.

use domain::runs::{Event, PAUSE_MAX_MS};
use domain::{BuildId, RunId, TeamId, Timestamp};
use faults::{Sabotage, sabotaged};
use uuid::Uuid;

use crate::db::{Db, Row, Sql, StoreError, Tx, params};
use crate::journal;
use crate::runs::{self, Then};
use crate::sabotage;

// A stop that waits keeps its place before everything else.
const WAKE: &str = "INSERT INTO work (run_id, team_id, due_at, attempt) VALUES ($1, $2, CASE WHEN $3 = 1 THEN 0 ELSE errand_now() END, 0) \
    ON CONFLICT (run_id) DO UPDATE SET due_at = CASE WHEN work.due_at < excluded.due_at THEN work.due_at ELSE excluded.due_at END \
    WHERE work.claim IS NULL";

// What another node looks at in this moment is skipped, not waited for.
macro_rules! claim {
    ($which:literal, $also:literal) => {
        Sql::pair(
            concat!(
                "UPDATE work SET claim = $1, due_at = errand_now() + $2, claimed_at = errand_now(), attempt = attempt + 1",
                $also,
                " WHERE run_id IN (SELECT run_id FROM work WHERE ",
                $which,
                " ORDER BY due_at LIMIT $3) RETURNING run_id, team_id, attempt, probations"
            ),
            concat!(
                "UPDATE work SET claim = $1, due_at = errand_now() + $2, claimed_at = errand_now(), attempt = attempt + 1",
                $also,
                " WHERE run_id = ANY (ARRAY(SELECT run_id FROM work WHERE ",
                $which,
                " ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED)) RETURNING run_id, team_id, attempt, probations"
            ),
        )
    };
}

const CLAIM: Sql = claim!("team_id = $5 AND due_at <= errand_now() AND needs <= $4 AND attempt < $6", "");
const CLAIM_SUSPECT: Sql = claim!(
    "team_id = $6 AND due_at <= errand_now() AND needs <= $4 AND attempt >= $5",
    ", probations = probations + 1"
);
// However long the lines are, few runs of them were ever taken: SQLite would rather walk along a whole line in the order of teams.
macro_rules! suspected {
    ($index:literal) => {
        concat!(
            "SELECT DISTINCT team_id FROM work",
            $index,
            " WHERE due_at <= errand_now() AND needs <= $1 AND attempt > 0 AND attempt >= $2 ORDER BY team_id LIMIT 100"
        )
    };
}

const SUSPECTED: Sql = Sql::pair(suspected!(" INDEXED BY work_taken"), suspected!(""));
const CLAIM_STOPS: Sql = claim!("due_at <= 0 AND needs <= $4", "");
const TEAMS: &str = "WITH RECURSIVE line (team) AS (SELECT min(team_id) FROM work UNION ALL \
    SELECT (SELECT min(w.team_id) FROM work w WHERE w.team_id > line.team) FROM line WHERE line.team IS NOT NULL) \
    SELECT line.team FROM line WHERE line.team IS NOT NULL \
    AND EXISTS (SELECT 1 FROM work w WHERE w.team_id = line.team AND w.due_at <= errand_now() AND w.needs <= $1) LIMIT 1000";
const HELD: &str = "SELECT count(*) FROM work WHERE team_id = $1 AND due_at > errand_now() AND claim IS NOT NULL";
const CLAIMED: &str = "UPDATE runs SET status = CASE WHEN completed_at IS NOT NULL THEN status WHEN started_at IS NULL THEN 'starting' ELSE 'running' END, \
    started_at = COALESCE(started_at, $3), updated_at = $3, last_seq = last_seq + 1 \
    WHERE team_id = $1 AND id = $2 RETURNING build_id, sandbox_id, last_seq, message_count, \
    webhook_url IS NOT NULL, CASE WHEN last_seq = 2 + prompt_count THEN created_at END";
const RENEW: &str = "UPDATE work SET due_at = errand_now() + $3 WHERE run_id = $1 AND claim = $2";
// A run that a worker has carried for so long does not kill its workers: the next death is the first again. One step proves nothing, since each
// life may get as far as the next call that kills.
const HOLD: &str = "UPDATE work SET due_at = errand_now() + $3, \
    attempt = CASE WHEN claimed_at <= errand_now() - $4 THEN 1 ELSE attempt END, \
    probations = CASE WHEN claimed_at <= errand_now() - $4 THEN 0 ELSE probations END WHERE run_id = $1 AND claim = $2";
const CLEAR: &str = "UPDATE work SET attempt = CASE WHEN claimed_at <= errand_now() - $4 THEN 1 WHEN attempt > $3 THEN $3 ELSE attempt END, \
    probations = CASE WHEN claimed_at <= errand_now() - $4 THEN 0 ELSE probations END WHERE run_id = $1 AND claim = $2";
const LET_GO: &str = "UPDATE work SET due_at = CASE WHEN EXISTS \
    (SELECT 1 FROM inbox i WHERE i.run_id = work.run_id AND i.kind = 'interrupted') THEN 0 ELSE errand_now() + $3 END, \
    claim = NULL, attempt = 0 WHERE run_id = $1 AND claim = $2";
const DROP: &str = "DELETE FROM work WHERE run_id = $1 AND claim = $2";
const AGAIN: &str = "INSERT INTO work (run_id, team_id, due_at, attempt) \
    SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CASE WHEN EXISTS \
    (SELECT 1 FROM inbox WHERE run_id = CAST($1 AS TEXT) AND kind = 'interrupted') THEN 0 ELSE errand_now() END, 0 \
    WHERE EXISTS (SELECT 1 FROM inbox WHERE run_id = CAST($1 AS TEXT)) \
    ON CONFLICT (run_id) DO UPDATE SET due_at = excluded.due_at";
const GIVE_BACK: &str = "UPDATE work SET due_at = CASE WHEN EXISTS \
    (SELECT 1 FROM inbox i WHERE i.run_id = work.run_id AND i.kind = 'interrupted') THEN 0 ELSE errand_now() END, \
    claim = NULL, attempt = attempt - 1 WHERE claim = $1";
const FREE_ALL: &str = "UPDATE work SET due_at = CASE WHEN EXISTS \
    (SELECT 1 FROM inbox i WHERE i.run_id = work.run_id AND i.kind = 'interrupted') THEN 0 ELSE errand_now() END, claim = NULL WHERE claim IS NOT NULL";
const NEXT_DUE: &str = "SELECT min(due_at) - errand_now(), min(due_at) FROM work WHERE needs <= $1";
// For whoever knows more than this version does.
const LEAVE: &str =
    "UPDATE work SET due_at = errand_now(), claim = NULL, attempt = 0, needs = $3 WHERE run_id = $1 AND claim = $2";
// Asked before the schema is there, too.
const NOW: Sql =
    Sql::pair("SELECT errand_now()", "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)");
// For the only process that may work on this database: whoever had it is gone.
const SEIZE: &str = "UPDATE work SET claim = $2, due_at = errand_now() + $3 WHERE run_id = $1 RETURNING team_id";
const SEIZED: &str =
    "SELECT build_id, last_seq, message_count, webhook_url IS NOT NULL FROM runs WHERE team_id = $1 AND id = $2";
const FAR: &str =
    "SELECT run_id FROM work WHERE claim IS NULL AND due_at > errand_now() + $1 ORDER BY due_at LIMIT 100";
const BRING_NEAR: &str =
    "UPDATE work SET due_at = errand_now() + $2 WHERE claim IS NULL AND due_at > errand_now() + $1";
const BEYOND: &str = "SELECT 1 FROM work WHERE run_id = $1 AND needs > $2";
const ALL: &str = "SELECT run_id FROM work ORDER BY run_id";
const STOPS: &str = "SELECT DISTINCT run_id FROM inbox WHERE kind = 'interrupted' LIMIT 1000";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[
    WAKE, TEAMS, HELD, CLAIMED, RENEW, HOLD, CLEAR, LET_GO, LEAVE, DROP, AGAIN, GIVE_BACK, FREE_ALL, NEXT_DUE, STOPS,
    SEIZE, SEIZED, FAR, BRING_NEAR, BEYOND, ALL,
];
#[cfg(test)]
pub(crate) const PAIRS: &[Sql] = &[CLAIM, CLAIM_SUSPECT, SUSPECTED, CLAIM_STOPS, NOW];

/// The version of the journal that this program writes and reads. It goes up with each new kind of entry.
pub(crate) const JOURNAL: u32 = 3;

/// What is due so much later than it may be, in milliseconds, was not only written a moment before the clock was set a little.
pub(crate) const FAR_MS: u64 = 60_000;

/// A run that one worker has carried for so long, in milliseconds, does not kill its workers.
pub const CARRIED_MS: u64 = 5 * 60 * 1000;

/// The right to move one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The run.
    pub run: RunId,
    /// Its team.
    pub team: TeamId,
    /// The token of this claim.
    pub claim: Uuid,
}

/// A run that was claimed, with what its worker needs to begin.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The right to move it.
    pub lease: Lease,
    /// How many workers have taken it since it was let go in good order or was carried for five minutes, this one included.
    pub attempt: u32,
    /// Whether it was taken alone, because its workers had died, and how often by now.
    pub probation: Option<u32>,
    /// Its Build.
    pub build: BuildId,
    /// Its file area.
    pub sandbox: String,
    /// Whether somebody wants to be called back.
    pub webhook: bool,
    /// The end of its journal, the claim's own entry included: last `seq`, number of messages.
    pub tail: (u64, u64),
    /// When it was accepted, if this is the first time that anybody takes it.
    pub fresh_since: Option<Timestamp>,
}

/// A run that was taken without a claim, with what is needed to settle it.
#[derive(Debug, Clone)]
pub(crate) struct Seized {
    pub(crate) lease: Lease,
    pub(crate) build: BuildId,
    /// Whether somebody wants to be called back.
    pub(crate) webhook: bool,
    /// The end of its journal: last `seq`, number of messages.
    pub(crate) tail: (u64, u64),
}

/// What to claim, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Claiming {
    /// The fresh token.
    pub token: Uuid,
    /// The time that the journal notes.
    pub now: Timestamp,
    /// How long the leases hold, in milliseconds.
    pub lease_ms: u64,
    /// Runs at most.
    pub most: u32,
    /// Only runs that somebody wants stopped.
    pub stops_only: bool,
    /// Runs of one team that may be held at once, on all nodes together; `None`: any number.
    pub team_most: Option<u32>,
    /// Runs that were taken so often without coming to an end are suspected of killing their workers.
    pub suspect_from: u32,
    /// Whether one of those may be taken; if there is one, nothing else is.
    pub suspect: bool,
}

/// When there is something to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Milliseconds from now until the next run is due, or a lease ends; 0 if one is.
    pub in_ms: u64,
    /// Somebody waits for a run to be stopped.
    pub stop: bool,
}

/// Keeps everybody else from telling, answering or moving this run until the transaction ends. Only PostgreSQL needs it: it runs transactions
/// side by side, and what one reads of a run before it decides must still hold when it commits.
pub async fn hold(tx: &mut Tx<'_>, run: RunId) -> Result<(), StoreError> {
    tx.alone(run.0).await
}

/// Makes a run due, unless somebody works on it already: that worker looks into the inbox by itself. `first`: before everything else.
pub(crate) async fn wake(tx: &mut Tx<'_>, team: TeamId, run: RunId, first: bool) -> Result<(), StoreError> {
    tx.exec(WAKE, &params![run, team, first]).await.map(drop)
}

/// Claims runs that are due, each team its share, and journals each claim. Stops come before all else.
pub async fn claim(tx: &mut Tx<'_>, wanted: Claiming) -> Result<Vec<Claimed>, StoreError> {
    let lease_ms = millis(wanted.lease_ms);
    let stops = tx.rows(CLAIM_STOPS, &params![wanted.token, lease_ms, wanted.most, JOURNAL]).await?;
    let mut left = wanted.most.saturating_sub(u32::try_from(stops.len()).unwrap_or(u32::MAX));
    let (mut taken, mut suspects) = (stops, Vec::new());
    if !wanted.stops_only && left > 0 {
        let mut teams = Vec::new();
        for row in tx.rows(TEAMS, &params![JOURNAL]).await? {
            teams.push(TeamId(row.uuid(0)?));
        }
        // Nobody is always the first.
        let turn = usize::try_from(wanted.token.as_u128() % teams.len().max(1) as u128).unwrap_or(0);
        teams.rotate_left(turn);
        if wanted.suspect {
            suspects = suspect(tx, &wanted, lease_ms).await?;
        }
        if !suspects.is_empty() {
            left = 0;
        }
        let share = left.div_ceil(u32::try_from(teams.len()).unwrap_or(u32::MAX).max(1));
        // Everybody's share, then what others left of theirs.
        for most in [share, left] {
            for team in &teams {
                let room = room(tx, *team, wanted.team_most).await?;
                let most = most.min(left).min(room);
                if most == 0 {
                    continue;
                }
                let rows =
                    tx.rows(CLAIM, &params![wanted.token, lease_ms, most, JOURNAL, *team, wanted.suspect_from]).await?;
                left = left.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
                taken.extend(rows);
            }
            if left == 0 || teams.len() < 2 {
                break;
            }
        }
    }
    if sabotaged(Sabotage::WallClockLeases) {
        sabotage::by_the_wall_clock(tx, wanted.token, wanted.now.plus_ms(wanted.lease_ms)).await?;
    }
    faults::point("claim.taken");
    let mut claimed = Vec::with_capacity(taken.len() + suspects.len());
    for (row, alone) in taken.iter().map(|row| (row, false)).chain(suspects.iter().map(|row| (row, true))) {
        let lease = Lease { run: RunId(row.uuid(0)?), team: TeamId(row.uuid(1)?), claim: wanted.token };
        let probation = if alone { Some(row.u32(3)?) } else { None };
        claimed.extend(journaled(tx, lease, (row.u32(2)?, probation), wanted.now).await?);
        faults::point("claim.journaled");
    }
    Ok(claimed)
}

/// Takes one suspected run of a team that may have one more.
async fn suspect(tx: &mut Tx<'_>, wanted: &Claiming, lease_ms: i64) -> Result<Vec<Row>, StoreError> {
    for row in tx.rows(SUSPECTED, &params![JOURNAL, wanted.suspect_from]).await? {
        let team = TeamId(row.uuid(0)?);
        if room(tx, team, wanted.team_most).await? > 0 {
            let values = params![wanted.token, lease_ms, 1, JOURNAL, wanted.suspect_from, team];
            let taken = tx.rows(CLAIM_SUSPECT, &values).await?;
            if !taken.is_empty() {
                return Ok(taken);
            }
        }
    }
    Ok(Vec::new())
}

/// How many runs of the team may still be claimed.
async fn room(tx: &mut Tx<'_>, team: TeamId, most: Option<u32>) -> Result<u32, StoreError> {
    let Some(most) = most else { return Ok(u32::MAX) };
    // Two nodes that count at once would both find room. Nobody waits: two that hold what the other wants would do so for ever, and whoever
    // has the team claims for it.
    if !tx.try_alone(team.0).await? {
        return Ok(0);
    }
    let held = tx.row(HELD, &params![team]).await?.map_or(Ok(0), |row| row.u32(0))?;
    Ok(most.saturating_sub(held))
}

async fn journaled(
    tx: &mut Tx<'_>,
    lease: Lease,
    (attempt, probation): (u32, Option<u32>),
    now: Timestamp,
) -> Result<Option<Claimed>, StoreError> {
    let Some(run) = tx.row(CLAIMED, &params![lease.team, lease.run, now]).await? else { return Ok(None) };
    let tail = (run.u64(2)?, run.u64(3)?);
    journal::append(tx, lease.run, (tail.0 - 1, tail.1), &[Event::Claimed { attempt }], now).await?;
    Ok(Some(Claimed {
        lease,
        attempt,
        probation,
        build: BuildId(run.uuid(0)?),
        sandbox: run.text(1)?,
        webhook: run.bool(4)?,
        tail,
        fresh_since: run.opt_time(5)?,
    }))
}

/// Renews leases for so many milliseconds; answers those that are lost.
pub async fn renew(tx: &mut Tx<'_>, leases: &[Lease], lease_ms: u64) -> Result<Vec<Lease>, StoreError> {
    let mut lost = Vec::new();
    for lease in leases {
        let renew = if sabotaged(Sabotage::FenceRenew) { sabotage::RENEW } else { RENEW };
        if tx.exec(renew, &params![lease.run, lease.claim, millis(lease_ms)]).await? == 0 {
            lost.push(*lease);
        }
    }
    Ok(lost)
}

/// Lets go of a run without moving it; it is due again after so many milliseconds. Nothing happens if the lease was lost.
pub async fn let_go(tx: &mut Tx<'_>, lease: Lease, after_ms: u64) -> Result<(), StoreError> {
    let let_go = if sabotaged(Sabotage::FenceRelease) { sabotage::LET_GO } else { LET_GO };
    tx.exec(let_go, &params![lease.run, lease.claim, millis(after_ms)]).await.map(drop)
}

/// Notes that a run on probation did not kill its worker: it counts as taken only so often, and as if for the first time once it was carried for
/// [`CARRIED_MS`].
pub async fn clear(tx: &mut Tx<'_>, lease: Lease, attempt: u32) -> Result<(), StoreError> {
    tx.exec(CLEAR, &params![lease.run, lease.claim, attempt, millis(CARRIED_MS)]).await.map(drop)
}

/// Lets go of a run in whose journal this version found something that it does not know, for a node of a newer version.
pub async fn leave_to_newer(tx: &mut Tx<'_>, lease: Lease) -> Result<(), StoreError> {
    tx.exec(LEAVE, &params![lease.run, lease.claim, JOURNAL + 1]).await.map(drop)
}

/// Whether nobody moves the run, nor stops it, before a newer version of Errand does: it was left to one.
pub async fn needs_newer(tx: &mut Tx<'_>, run: RunId) -> Result<bool, StoreError> {
    Ok(tx.row(BEYOND, &params![run, JOURNAL]).await?.is_some())
}

/// Undoes a claim whose answer was lost: its runs are free, and no worker counts as dead of them. Answers how many there were.
pub async fn give_back(tx: &mut Tx<'_>, token: Uuid) -> Result<u64, StoreError> {
    tx.exec(GIVE_BACK, &params![token]).await
}

/// Frees every claim: for the start of the only process that may work on this database, when no earlier claim can be alive.
pub async fn free_all(tx: &mut Tx<'_>) -> Result<u64, StoreError> {
    tx.exec(FREE_ALL, &[]).await
}

/// Runs that rest for longer than any pause lasts, a hundred at most: a clock that was far ahead said until when.
pub async fn far(tx: &mut Tx<'_>) -> Result<Vec<RunId>, StoreError> {
    let rows = tx.rows(FAR, &params![millis(PAUSE_MAX_MS + FAR_MS)]).await?;
    rows.iter().map(|row| Ok(RunId(row.uuid(0)?))).collect()
}

/// Makes them due after the longest pause that there is; answers how many there were.
pub async fn bring_near(tx: &mut Tx<'_>) -> Result<u64, StoreError> {
    tx.exec(BRING_NEAR, &params![millis(PAUSE_MAX_MS + FAR_MS), millis(PAUSE_MAX_MS)]).await
}

/// Every run that moves or would by itself: due now or later, or held by somebody.
pub async fn all(tx: &mut Tx<'_>) -> Result<Vec<RunId>, StoreError> {
    tx.rows(ALL, &[]).await?.iter().map(|row| Ok(RunId(row.uuid(0)?))).collect()
}

/// Takes a run to settle it in this very transaction, whoever holds it, and without a claim in its journal: for the only process that may work on
/// this database. `None`: it has no work, or no row.
pub(crate) async fn seize(tx: &mut Tx<'_>, run: RunId, token: Uuid) -> Result<Option<Seized>, StoreError> {
    let Some(work) = tx.row(SEIZE, &params![run, token, millis(60_000)]).await? else { return Ok(None) };
    let lease = Lease { run, team: TeamId(work.uuid(0)?), claim: token };
    let Some(row) = tx.row(SEIZED, &params![lease.team, run]).await? else { return Ok(None) };
    let tail = (row.u64(1)?, row.u64(2)?);
    Ok(Some(Seized { lease, build: BuildId(row.uuid(0)?), webhook: row.bool(3)?, tail }))
}

/// When there is something to claim. `None`: nothing will be by itself.
pub async fn next_due(tx: &mut Tx<'_>) -> Result<Option<Due>, StoreError> {
    let Some(row) = tx.row(NEXT_DUE, &params![JOURNAL]).await? else { return Ok(None) };
    let Some(in_ms) = row.opt_int(0)? else { return Ok(None) };
    Ok(Some(Due { in_ms: u64::try_from(in_ms).unwrap_or(0), stop: row.int(1)? <= 0 }))
}

/// The database's own time, as it was about half-way through the asking.
pub async fn time(db: &Db) -> Result<Timestamp, StoreError> {
    db.read(async |tx| now(tx).await).await
}

async fn now(tx: &mut Tx<'_>) -> Result<Timestamp, StoreError> {
    let row = tx.row(NOW, &[]).await?.ok_or_else(|| StoreError::Corrupt { what: "the database has no time".into() })?;
    row.time(0)
}

/// Runs that somebody wants stopped and whose workers have not heard it yet, for workers whom no bell reaches; a thousand at most.
pub async fn stops(tx: &mut Tx<'_>) -> Result<Vec<RunId>, StoreError> {
    tx.rows(STOPS, &[]).await?.iter().map(|row| Ok(RunId(row.uuid(0)?))).collect()
}

/// The fence and what becomes of the lease, in one. `None`: the lease was lost. Otherwise whether the run is due again at once, because
/// something came into its inbox.
pub(crate) async fn settle(
    tx: &mut Tx<'_>,
    lease: Lease,
    then: Then,
    taken: &[i64],
) -> Result<Option<bool>, StoreError> {
    let Lease { run, team, claim } = lease;
    let changed = match then {
        Then::Hold(lease_ms) => tx.exec(HOLD, &params![run, claim, millis(lease_ms), millis(CARRIED_MS)]).await?,
        Then::Sleep(ms) => tx.exec(LET_GO, &params![run, claim, millis(ms)]).await?,
        Then::Release => tx.exec(DROP, &params![run, claim]).await?,
    };
    if changed == 0 && !sabotaged(Sabotage::FenceJournal) {
        return Ok(None);
    }
    runs::take(tx, taken).await?;
    match then {
        Then::Hold(_) => Ok(Some(false)),
        Then::Sleep(_) | Then::Release => Ok(Some(tx.exec(AGAIN, &params![run, team]).await? > 0)),
    }
}

pub(crate) fn millis(ms: u64) -> i64 {
    // A century is as good as for ever, and does not overflow when it is added to a time.
    i64::try_from(ms).unwrap_or(i64::MAX).min(100 * 365 * 86_400_000)
}

//! Work: which runs are due, and who has the right to move them.
//!
//! A lease is the right to commit, nothing more: each claim draws a fresh token, every write of a worker names it, and a write whose token is no
//! longer in the table changes nothing. Tokens are compared, never names of workers. A claimed row's `due_at` is the end of its lease, so that
//! finding work and finding what a dead worker left is one query.

use domain::runs::Event;
use domain::{BuildId, RunId, TeamId, Timestamp};
use uuid::Uuid;

use crate::db::{StoreError, Tx, params};
use crate::journal;
use crate::runs::{self, Then};

const WAKE: &str = "INSERT INTO work (run_id, team_id, due_at, attempt) VALUES ($1, $2, $3, 0) \
    ON CONFLICT (run_id) DO UPDATE SET due_at = excluded.due_at WHERE work.claim IS NULL";
const CLAIM: &str = "UPDATE work SET claim = $1, due_at = $2, attempt = attempt + 1 \
    WHERE run_id IN (SELECT run_id FROM work WHERE due_at <= $3 ORDER BY due_at LIMIT $4) RETURNING run_id, team_id, attempt";
const CLAIMED: &str = "UPDATE runs SET status = CASE WHEN completed_at IS NOT NULL THEN status WHEN started_at IS NULL THEN 'starting' ELSE 'running' END, \
    started_at = COALESCE(started_at, $3), updated_at = $3, last_seq = last_seq + 1 \
    WHERE team_id = $1 AND id = $2 RETURNING build_id, sandbox_id, last_seq, message_count, \
    webhook_url IS NOT NULL";
const RENEW: &str = "UPDATE work SET due_at = $3 WHERE run_id = $1 AND claim = $2";
// A stop that waits keeps its place before everything else.
const LET_GO: &str = "UPDATE work SET due_at = CASE WHEN EXISTS \
    (SELECT 1 FROM inbox i WHERE i.run_id = work.run_id AND i.kind = 'interrupted') THEN 0 ELSE $3 END, claim = NULL, attempt = 0 WHERE run_id = $1 AND claim = $2";
const DROP: &str = "DELETE FROM work WHERE run_id = $1 AND claim = $2";
const AGAIN: &str = "INSERT INTO work (run_id, team_id, due_at, attempt) \
    SELECT $1, $2, CASE WHEN EXISTS (SELECT 1 FROM inbox WHERE run_id = $1 AND kind = 'interrupted') THEN 0 ELSE $3 END, 0 \
    WHERE EXISTS (SELECT 1 FROM inbox WHERE run_id = $1) \
    ON CONFLICT (run_id) DO UPDATE SET due_at = excluded.due_at";
const FREE_ALL: &str = "UPDATE work SET due_at = CASE WHEN EXISTS \
    (SELECT 1 FROM inbox i WHERE i.run_id = work.run_id AND i.kind = 'interrupted') THEN 0 ELSE $1 END, claim = NULL WHERE claim IS NOT NULL";
const NEXT_DUE: &str = "SELECT min(due_at) FROM work";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[WAKE, CLAIM, CLAIMED, RENEW, LET_GO, DROP, AGAIN, FREE_ALL, NEXT_DUE];

/// Due before everything else: runs that somebody wants stopped.
pub const FIRST: Timestamp = Timestamp(0);

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
    /// Its Build.
    pub build: BuildId,
    /// Its file area.
    pub sandbox: String,
    /// Whether somebody wants to be called back.
    pub webhook: bool,
    /// The end of its journal, the claim's own entry included: last `seq`, number of messages.
    pub tail: (u64, u64),
}

/// Makes a run due, unless somebody works on it already: that worker looks into the inbox by itself.
pub(crate) async fn wake(tx: &mut Tx<'_>, team: TeamId, run: RunId, now: Timestamp) -> Result<(), StoreError> {
    tx.exec(WAKE, &params![run, team, now]).await.map(drop)
}

/// Claims up to `most` runs that became due at `due` or earlier, until `lease_until`, and journals each claim.
pub async fn claim(
    tx: &mut Tx<'_>,
    token: Uuid,
    now: Timestamp,
    due: Timestamp,
    lease_until: Timestamp,
    most: u32,
) -> Result<Vec<Claimed>, StoreError> {
    let mut claimed = Vec::new();
    for row in tx.rows(CLAIM, &params![token, lease_until, due, most]).await? {
        let lease = Lease { run: RunId(row.uuid(0)?), team: TeamId(row.uuid(1)?), claim: token };
        let Some(run) = tx.row(CLAIMED, &params![lease.team, lease.run, now]).await? else {
            continue;
        };
        let tail = (run.u64(2)?, run.u64(3)?);
        let event = Event::Claimed { attempt: row.u32(2)? };
        journal::append(tx, lease.run, (tail.0 - 1, tail.1), &[event], now).await?;
        claimed.push(Claimed {
            lease,
            build: BuildId(run.uuid(0)?),
            sandbox: run.text(1)?,
            webhook: run.bool(4)?,
            tail,
        });
    }
    Ok(claimed)
}

/// Renews leases; answers those that are lost.
pub async fn renew(tx: &mut Tx<'_>, leases: &[Lease], until: Timestamp) -> Result<Vec<Lease>, StoreError> {
    let mut lost = Vec::new();
    for lease in leases {
        if !held(tx.exec(RENEW, &params![lease.run, lease.claim, until]).await?) {
            lost.push(*lease);
        }
    }
    Ok(lost)
}

/// Lets go of a run without moving it; it is due again at `due`. Nothing happens if the lease was lost.
pub async fn let_go(tx: &mut Tx<'_>, lease: Lease, due: Timestamp) -> Result<(), StoreError> {
    tx.exec(LET_GO, &params![lease.run, lease.claim, due]).await.map(drop)
}

/// Frees every claim: for the start of the only process that may work on this database, when no earlier claim can be alive.
pub async fn free_all(tx: &mut Tx<'_>, now: Timestamp) -> Result<u64, StoreError> {
    tx.exec(FREE_ALL, &params![now]).await
}

/// When the next run becomes due, or a lease ends.
pub async fn next_due(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, StoreError> {
    tx.row(NEXT_DUE, &[]).await?.map_or(Ok(None), |row| row.opt_time(0))
}

/// The fence and what becomes of the lease, in one. `None`: the lease was lost. Otherwise whether the run is due again at once, because
/// something came into its inbox.
pub(crate) async fn settle(
    tx: &mut Tx<'_>,
    lease: Lease,
    then: Then,
    now: Timestamp,
    taken: &[i64],
) -> Result<Option<bool>, StoreError> {
    let Lease { run, team, claim } = lease;
    let changed = match then {
        Then::Hold(until) => tx.exec(RENEW, &params![run, claim, until]).await?,
        Then::Sleep(until) => tx.exec(LET_GO, &params![run, claim, until]).await?,
        Then::Release => tx.exec(DROP, &params![run, claim]).await?,
    };
    if !held(changed) {
        return Ok(None);
    }
    runs::take(tx, taken).await?;
    match then {
        Then::Hold(_) => Ok(Some(false)),
        Then::Sleep(_) | Then::Release => Ok(Some(tx.exec(AGAIN, &params![run, team, now]).await? > 0)),
    }
}

#[cfg(not(feature = "sabotage-fence"))]
fn held(changed: u64) -> bool {
    changed > 0
}

#[cfg(feature = "sabotage-fence")]
fn held(_changed: u64) -> bool {
    true
}

//! What an armed build does wrong on purpose, so that a fault suite can show that it would notice (crate `faults`). No other build comes here.

use std::sync::atomic::{AtomicU32, Ordering};

use domain::Timestamp;
use uuid::Uuid;

use crate::db::{StoreError, Tx, params};
use crate::runs::{self, Commit};

/// Without the comparison of tokens.
pub(crate) const RENEW: &str = "UPDATE work SET due_at = errand_now() + $3 WHERE run_id = $1 AND $2 <> ''";
/// Without the comparison of tokens.
pub(crate) const LET_GO: &str =
    "UPDATE work SET due_at = errand_now() + $3, claim = NULL, attempt = 0 WHERE run_id = $1 AND $2 <> ''";
/// A server that does not find what it wrote at its start does not start.
const FIRST_WRITES: u32 = 16;
const UNTIL: &str = "UPDATE work SET due_at = $2 WHERE claim = $1";
const TAIL: &str = "SELECT last_seq, message_count FROM runs WHERE team_id = $1 AND id = $2";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[RENEW, LET_GO, UNTIL, TAIL];

/// Leases that end by the clock of whoever took them.
pub(crate) async fn by_the_wall_clock(tx: &mut Tx<'_>, token: Uuid, until: Timestamp) -> Result<(), StoreError> {
    tx.exec(UNTIL, &params![token, until]).await.map(drop)
}

/// Where the journal ends by now, for a worker that lost it to another.
pub(crate) async fn tail(tx: &mut Tx<'_>, step: &Commit) -> Result<(u64, u64), StoreError> {
    match tx.row(TAIL, &params![step.lease.team, step.lease.run]).await? {
        Some(row) => Ok((row.u64(0)?, row.u64(1)?)),
        None => Ok(step.tail),
    }
}

/// Tells outsiders of a step that was committed without.
pub async fn tell_outside(tx: &mut Tx<'_>, step: &Commit) -> Result<(), StoreError> {
    runs::tell_outside(tx, step, step.tail.0).await
}

/// Whether a reader misses this event.
pub(crate) fn drops(kind: &str) -> bool {
    faults::sabotaged(faults::Sabotage::DropEvent) && kind == "tool_finished"
}

/// Whether this write is answered before its commit: one in `every`. Where transactions run side by side one in four is: if all were, a worker would
/// never see its own claim, and nothing would happen that could be lost.
pub(crate) fn answers_early(every: u32) -> bool {
    static WRITES: AtomicU32 = AtomicU32::new(0);
    if !faults::sabotaged(faults::Sabotage::AckBeforeCommit) {
        return false;
    }
    let write = WRITES.fetch_add(1, Ordering::Relaxed);
    write >= FIRST_WRITES && write % every == every - 1
}

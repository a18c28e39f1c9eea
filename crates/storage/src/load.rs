//! How much there is to do at this moment, over all teams: for whoever watches the server. Reads only.
//!
//! Costs as much as there are runs that move or wait; runs that have ended are not looked at, however many there are. Use
//! [`crate::Db::read_slow`] all the same: a queue may be long.

use std::time::Duration;

use crate::db::{StoreError, Tx, params};
use crate::webhooks::of_lines;
use crate::work::JOURNAL;

const WORK: &str = "SELECT count(*), count(claim) FROM work";
// A stop has no time of its own: it is due before everything else.
const OLDEST: &str = "SELECT COALESCE(errand_now() - min(due_at), 0) FROM work WHERE due_at > 0 AND needs <= $1";
// An open question is what a run waits for, and there is an index of them.
const WAITING: &str = "SELECT count(*) FROM human_requests WHERE closed_at IS NULL";
// From one receiver to the next along the index, as those who deliver do: it does not matter how much each is to be told.
const OUTBOX: &str =
    of_lines!("SELECT COALESCE(errand_now() - min(oldest.at), 0) FROM (SELECT at FROM due LIMIT 1000) oldest");

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[WORK, OLDEST, WAITING, OUTBOX];

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Runs that wait for a worker, or for the time of their next try.
    pub pending: u64,
    /// Runs that a worker has.
    pub running: u64,
    /// Questions to people that are open; each is a run that waits.
    pub waiting: u64,
    /// How long the run that has been due longest has waited for a worker.
    pub queue_age: Duration,
    /// How long the webhook that has been due longest has waited for its try.
    pub webhook_lag: Duration,
}

/// Looks.
pub async fn load(tx: &mut Tx<'_>) -> Result<Load, StoreError> {
    let nothing = || StoreError::Corrupt { what: "nothing can be counted".into() };
    let work = tx.row(WORK, &[]).await?.ok_or_else(nothing)?;
    let (all, running) = (work.u64(0)?, work.u64(1)?);
    let waiting = tx.row(WAITING, &[]).await?.ok_or_else(nothing)?.u64(0)?;
    let oldest = tx.row(OLDEST, &params![JOURNAL]).await?.ok_or_else(nothing)?.int(0)?;
    let outbox = tx.row(OUTBOX, &[]).await?.ok_or_else(nothing)?.int(0)?;
    // What is due in the future has not waited.
    let waited = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    Ok(Load {
        pending: all.saturating_sub(running),
        running,
        waiting,
        queue_age: waited(oldest),
        webhook_lag: waited(outbox),
    })
}

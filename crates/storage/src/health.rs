//! Whether everything that should move does: for whoever looks for what is wrong. Reads only, over all teams, and some of it scans: use
//! [`crate::Db::read_slow`].

use domain::RunId;

use crate::db::{Row, StoreError, Tx, params};
use crate::work::{self, JOURNAL};
use crate::{runs, webhooks};

// A minute: whoever is that late is not only slow.
const LAPSED: &str =
    "SELECT run_id FROM work WHERE claim IS NOT NULL AND due_at < errand_now() - 60000 ORDER BY due_at LIMIT 100";
// A stop has no time of its own: it is due before everything else.
const UNCLAIMED: &str = "SELECT run_id FROM work WHERE claim IS NULL AND needs <= $1 AND due_at > 0 AND due_at < errand_now() - 60000 \
    ORDER BY due_at LIMIT 100";
const NEWER: &str = "SELECT run_id FROM work WHERE needs > $1 ORDER BY run_id LIMIT 100";
// As a set: asked for one run after the other, SQLite reads all requests of its team each time.
const MUTE: &str = "SELECT id FROM runs WHERE status = 'waiting' \
    AND id NOT IN (SELECT run_id FROM human_requests WHERE closed_at IS NULL) ORDER BY id LIMIT 100";
const UNHEARD: &str = "SELECT DISTINCT run_id FROM inbox WHERE NOT EXISTS (SELECT 1 FROM work WHERE work.run_id = inbox.run_id) \
    ORDER BY run_id LIMIT 100";
const SIZES: &str = "SELECT (SELECT count(*) FROM work), (SELECT count(*) FROM inbox), (SELECT count(*) FROM outbox)";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[LAPSED, UNCLAIMED, NEWER, MUTE, UNHEARD, SIZES];

/// Runs that do not move although they should, by what is wrong; a hundred of each at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standstill {
    /// They should be moving, and nobody would ever claim them.
    pub stuck: Vec<RunId>,
    /// Their lease ended more than a minute ago, and nobody took them.
    pub lapsed: Vec<RunId>,
    /// They have been due for more than a minute, and nobody took them.
    pub unclaimed: Vec<RunId>,
    /// They rest for longer than any pause lasts.
    pub far: Vec<RunId>,
    /// Somebody is to be told of them, and later than after any pause.
    pub untold: Vec<RunId>,
    /// A newer version of Errand is needed to move them.
    pub newer: Vec<RunId>,
    /// They wait for a person who was not asked anything.
    pub mute: Vec<RunId>,
    /// Something lies in their inbox, and nobody would ever look.
    pub unheard: Vec<RunId>,
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Runs that move or will by themselves.
    pub work: u64,
    /// What people and timers had to say to runs.
    pub inbox: u64,
    /// What somebody outside is to be told.
    pub outbox: u64,
}

/// Looks for runs that do not move.
pub async fn standstill(tx: &mut Tx<'_>) -> Result<Standstill, StoreError> {
    let ids = |rows: Vec<Row>| rows.iter().map(|row| Ok(RunId(row.uuid(0)?))).collect::<Result<Vec<_>, StoreError>>();
    Ok(Standstill {
        stuck: runs::stuck(tx).await?.into_iter().map(|(_, run)| run).collect(),
        lapsed: ids(tx.rows(LAPSED, &[]).await?)?,
        unclaimed: ids(tx.rows(UNCLAIMED, &params![JOURNAL]).await?)?,
        far: work::far(tx).await?,
        untold: webhooks::far(tx).await?,
        newer: ids(tx.rows(NEWER, &params![JOURNAL]).await?)?,
        mute: ids(tx.rows(MUTE, &[]).await?)?,
        unheard: ids(tx.rows(UNHEARD, &[]).await?)?,
    })
}

/// Counts what waits.
pub async fn sizes(tx: &mut Tx<'_>) -> Result<Sizes, StoreError> {
    let row = tx.row(SIZES, &[]).await?.ok_or_else(|| StoreError::Corrupt { what: "nothing can be counted".into() })?;
    Ok(Sizes { work: row.u64(0)?, inbox: row.u64(1)?, outbox: row.u64(2)? })
}

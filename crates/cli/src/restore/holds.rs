//! Which runs of a restored database must not go on by themselves: all that would. Also those that nobody had begun, since they may have been begun,
//! and finished, after the backup.

use std::path::Path;

use anyhow::Context;
use domain::human_requests::{HumanRequest, Kind};
use domain::{Ambient, Timestamp};
use storage::holds::{self, Hold};
use storage::{Db, MIGRATIONS, StoreError, work};
use uuid::Uuid;

use crate::config::Database;
use crate::wire;

/// How many runs had work, by what became of them.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) asks: u64,
    pub(super) rests: u64,
    pub(super) unreadable: u64,
}

/// Brings the schema up to date and holds each of them, in a transaction of its own.
pub(super) async fn hold_all(database: &Path, taken_at: Timestamp) -> anyhow::Result<Held> {
    let (db, ambient) = wire::open_database(&Database::Sqlite(database.to_owned())).await?;
    let held = hold_each(&db, &*ambient, taken_at).await;
    db.close().await;
    held
}

async fn hold_each(db: &Db, ambient: &dyn Ambient, taken_at: Timestamp) -> anyhow::Result<Held> {
    db.migrate(MIGRATIONS, ambient.now().0).await?;
    // Whoever held them did so in another life.
    db.write(async |tx| work::free_all(tx).await).await?;
    let mut held = Held::default();
    for run in db.read_slow(async |tx| work::all(tx).await).await? {
        let now = ambient.now();
        let (request, token) = (asking(ambient.id(now), taken_at), ambient.id(now));
        let became = db.write(async move |tx| holds::hold(tx, run, request, token, now).await).await;
        match became.with_context(|| format!("holding the Job {run}"))? {
            Hold::Asks => held.asks += 1,
            Hold::Rests => held.rests += 1,
            Hold::Unreadable => held.unreadable += 1,
        }
    }
    let left = db.read_slow(async |tx| work::all(tx).await).await?.len() as u64;
    if left != held.unreadable {
        return Err(
            StoreError::Corrupt { what: format!("{left} Jobs would go on by themselves after the restore") }.into()
        );
    }
    Ok(held)
}

/// What a person is to decide.
fn asking(id: Uuid, taken_at: Timestamp) -> HumanRequest {
    let description = "This Job was at work, or about to be, when that backup was taken. What it did after that moment is not in the backup and may \
        have happened all the same: messages sent, records changed, files written. Approve, and it goes on from where it stood then, as after a \
        crash: a tool call that was under way is not made again unless its tool is safe to repeat, and the model is told that its outcome is unknown; \
        but the model does not know of later steps and may take them once more. Deny, and the Job is stopped.";
    let title = format!("Restored from a backup of {taken_at}: continue?");
    HumanRequest { description: Some(description.to_owned()), ..HumanRequest::new(id, Kind::Approval, title) }
}

//! Runs that cannot be worked on: given up with their cause where nothing will mend them, left alone where something may.

use domain::runs::{Cause, Event, Status};
use storage::StoreError;
use storage::runs::{self, Commit, Committed, Then};
use storage::work::{self, Claimed, Lease};

use crate::shop::Shop;

/// How long a run is left alone after an error of the store, in milliseconds.
const A_MINUTE_MS: u64 = 60_000;
/// How long one is left alone that a newer version has worked on: until somebody upgrades.
const AN_HOUR_MS: u64 = 60 * A_MINUTE_MS;

/// Fails a run whose journal or Build cannot be read, so that whoever waits for it is told.
pub(crate) async fn give_up(shop: &Shop, claimed: &Claimed, what: String) -> Result<(), StoreError> {
    tracing::error!(run = %claimed.lease.run, what, "the run cannot be read and is given up");
    let message = format!(
        "What is stored of this Job cannot be read: {what}. Its journal is kept; this is a bug worth reporting."
    );
    let failed = Event::Failed { cause: Cause { code: "run_unreadable".into(), message } };
    let (lease, tail) = (claimed.lease, claimed.tail);
    let mut taken = vec![];
    loop {
        let after = taken.last().copied().unwrap_or(0);
        let inbox = shop.parts.db.read(async |tx| runs::inbox(tx, lease.run, after).await).await?;
        taken.extend(inbox.into_iter().map(|(id, _)| id));
        let commit = Commit {
            lease,
            tail,
            events: vec![failed.clone()],
            status: Status::Failed,
            taken: taken.clone(),
            asked: None,
            overtaken: true,
            then: Then::Release,
            now: shop.now(),
        };
        let committed = shop.parts.db.write(async move |tx| runs::commit(tx, commit).await).await?;
        if !matches!(committed, Committed::Overtaken(_)) {
            shop.parts.bell.ring_run(lease.run.0);
            return Ok(());
        }
    }
}

/// Lets go of a run for a while after an error.
pub(crate) async fn leave_alone(shop: &Shop, lease: Lease, error: &StoreError) {
    let pause = if matches!(error, StoreError::Schema(_)) { AN_HOUR_MS } else { A_MINUTE_MS };
    tracing::error!(run = %lease.run, %error, pause_ms = pause, "the run is left alone");
    let due = shop.now().plus_ms(pause);
    if let Err(error) = shop.parts.db.write(async move |tx| work::let_go(tx, lease, due).await).await {
        tracing::error!(run = %lease.run, %error, "letting go failed: the lease will run out");
    }
}

//! Runs that cannot be worked on: given up with their cause where nothing will mend them, left alone where something may.

use std::sync::Arc;

use domain::runs::{Cause, Event, Status};
use domain::turns::Outcome;
use storage::runs::{self, Commit, Committed, Then};
use storage::work::{self, Claimed, Lease};
use storage::{StoreError, journal};

use crate::shop::Shop;
use crate::{job, span};

/// How long a run is left alone after an error of the store, in milliseconds.
const A_MINUTE_MS: u64 = 60_000;

/// Fails a run whose journal or Build cannot be read, so that whoever waits for it is told.
pub(crate) async fn give_up(shop: &Shop, claimed: &Claimed, what: String) -> Result<(), StoreError> {
    tracing::error!(what, "the run cannot be read and is given up");
    let message = format!(
        "What is stored of this Job cannot be read: {what}. Its journal is kept; this is a bug worth reporting."
    );
    fail(shop, claimed, Cause { code: "run_unreadable".into(), message }).await
}

/// Fails a run that its workers do not survive, so that it cannot take down one node after the other.
pub(crate) async fn quarantine(shop: &Shop, claimed: &Claimed) {
    tracing::error!("the run outlived its workers too often and is quarantined");
    // Not how often: a worker that lived for a while takes some of what is counted back.
    let message = "Again and again the server that worked on this Job died, or lost its lease. The Job is not tried again. The log of those \
         servers says what happened; `engine.deaths` in errand.toml says how often a Job is tried."
        .to_owned();
    let cause = Cause { code: "worker_died".into(), message };
    if let Err(error) = fail(shop, claimed, cause).await {
        leave_alone(shop, claimed.lease, &error).await;
    }
}

/// Ends a run without reading it.
async fn fail(shop: &Shop, claimed: &Claimed, cause: Cause) -> Result<(), StoreError> {
    let (lease, tail) = (claimed.lease, claimed.tail);
    let in_flight = shop.parts.db.read(async |tx| journal::in_flight(tx, lease.run).await).await?;
    // Whoever reads the transcript must not take a call for undone that may have been made.
    let unknown = in_flight.map(|key| Event::ToolFinished { key, outcome: Outcome::Unknown });
    let mut events: Vec<Event> = unknown.into_iter().collect();
    let mut taken = vec![];
    loop {
        let after = taken.last().copied().unwrap_or(0);
        let (ids, said) = news(shop, lease, after).await?;
        taken.extend(ids);
        events.extend(said);
        let end = Event::Failed { cause: cause.clone() };
        let commit = Arc::new(Commit {
            lease,
            tail,
            events: events.iter().cloned().chain([end]).collect(),
            status: Status::Failed,
            taken: taken.clone(),
            asked: None,
            overtaken: true,
            webhook: claimed.webhook,
            then: Then::Release,
            now: shop.now(),
        });
        match job::write(shop, &commit).await? {
            Committed::Overtaken => continue,
            Committed::Lost => shop.parts.meters.lease_lost(),
            Committed::Done { .. } => {
                let round = span::unread(&commit);
                span::ended(shop, &commit, None, round, round);
            }
        }
        shop.parts.bell.ring_run(lease.run.0);
        return Ok(());
    }
}

/// What came into the inbox behind `after`: the ids of all of it, and what people said. That was acknowledged, so it is in the journal before the
/// end; a run that had ended already begins anew with it and may then fail.
async fn news(shop: &Shop, lease: Lease, after: i64) -> Result<(Vec<i64>, Vec<Event>), StoreError> {
    let (run, db) = (lease.run, &shop.parts.db);
    let read = db.read(async |tx| runs::inbox(tx, run, after).await).await;
    match read {
        Ok(news) => {
            let (ids, mut events): (Vec<i64>, Vec<Event>) = news.into_iter().unzip();
            events.retain(|event| matches!(event, Event::MessageReceived(_) | Event::PersonAnswered { .. }));
            Ok((ids, events))
        }
        Err(StoreError::Corrupt { .. }) => {
            Ok((db.read(async |tx| runs::inbox_ids(tx, run, after).await).await?, vec![]))
        }
        Err(error) => Err(error),
    }
}

/// Lets go of a run for a while after an error, or for good where only a newer version can go on.
pub(crate) async fn leave_alone(shop: &Shop, lease: Lease, error: &StoreError) {
    tracing::error!(%error, "the run is left alone");
    let newer = matches!(error, StoreError::Schema(_));
    let left = shop.parts.db.write_leases(async move |tx| {
        if newer { work::leave_to_newer(tx, lease).await } else { work::let_go(tx, lease, A_MINUTE_MS).await }
    });
    if let Err(error) = left.await {
        tracing::error!(%error, "letting go failed: the lease will run out");
    } else {
        shop.parts.bell.ring_work();
    }
}

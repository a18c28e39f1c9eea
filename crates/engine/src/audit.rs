//! The audit: once a minute it looks for runs that should be moving and that nobody would ever claim. There are none, unless something is wrong;
//! what is found is said loudly and made due again. It also looks, at once and then every minute, for what is due days from now because a clock was
//! far ahead when that was written; and for requests to people whose time is over, which it answers for them: denied.

use std::sync::Arc;
use std::time::Duration;

use domain::RunId;
use domain::human_requests::Response;
use domain::runs::Event;
use storage::{Db, StoreError, human_requests, runs, webhooks, work};

use crate::shop::Shop;

/// Between two looks.
const PAUSE: Duration = Duration::from_mins(1);

/// Looks every minute.
pub(crate) async fn keep_auditing(shop: Arc<Shop>) {
    loop {
        if let Err(error) = bring_near(&shop.parts.db).await {
            tracing::warn!(%error, "the audit failed; the next one tries again");
        }
        if let Err(error) = expire(&shop).await {
            tracing::warn!(%error, "requests to people that are over could not be closed; the next look does it");
        }
        tokio::time::sleep(PAUSE).await;
        match audit(&shop.parts.db).await {
            Ok(0) => {}
            Ok(stuck) => {
                tracing::error!(stuck, "runs were stuck and are due again: this is a bug worth reporting");
                shop.parts.bell.ring_work();
            }
            Err(error) => tracing::warn!(%error, "the audit failed; the next one tries again"),
        }
    }
}

/// Answers for people all that waited for them for too long, however much of it there is.
async fn expire(shop: &Shop) -> Result<(), StoreError> {
    let (db, now) = (&shop.parts.db, shop.now());
    loop {
        let expired = db.read_slow(async move |tx| human_requests::expired(tx, now).await).await?;
        if expired.is_empty() {
            return Ok(());
        }
        let answer = async move |tx: &mut storage::Tx<'_>| {
            for (team, run, request_id) in &expired {
                let (request_id, response) = (*request_id, Response::Expired);
                if human_requests::answer(tx, *team, *run, request_id, &response.text(), now).await? {
                    runs::tell(tx, *team, *run, &Event::PersonAnswered { request_id, response }, now).await?;
                }
            }
            Ok::<_, StoreError>(())
        };
        db.write(answer).await?;
        shop.parts.bell.ring_work();
    }
}

/// One look; how many were stuck.
async fn audit(db: &Db) -> Result<usize, StoreError> {
    let stuck = db.read_slow(async |tx| runs::stuck(tx).await).await?;
    for (team, run) in stuck.iter().copied() {
        tracing::error!(%run, "the run was stuck");
        db.write(async move |tx| runs::unstick(tx, team, run).await).await?;
    }
    Ok(stuck.len())
}

/// Makes due what waits for longer than any pause lasts. Whoever looks at it first says so.
async fn bring_near(db: &Db) -> Result<(), StoreError> {
    let far = async |tx: &mut storage::Tx<'_>| Ok::<_, StoreError>((work::far(tx).await?, webhooks::far(tx).await?));
    let (resting, untold) = db.read_slow(far).await?;
    if let Some(first) = resting.first() {
        let runs = db.write_leases(async |tx| work::bring_near(tx).await).await?;
        say(
            runs,
            *first,
            "runs rested for longer than any pause lasts, since a clock was far ahead; they are due in ten minutes",
        );
    }
    if let Some(first) = untold.first() {
        let rows = db.write(async |tx| webhooks::bring_near(tx).await).await?;
        say(
            rows,
            *first,
            "webhooks were due later than after any pause, since a clock was far ahead; they are due in 27 hours",
        );
    }
    Ok(())
}

fn say(count: u64, first: RunId, what: &str) {
    if count > 0 {
        tracing::warn!(count, %first, "{what}");
    }
}

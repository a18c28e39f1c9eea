//! Finds runs that are due and gives each a task of its own.
//!
//! A bell says when to look; a slow poll behind it finds what no bell was rung for: a pause that is over, a lease that ran out.

use std::sync::Arc;
use std::time::Duration;

use storage::StoreError;
use storage::work::{self, Claimed};
use tokio::sync::OwnedSemaphorePermit;

use crate::job;
use crate::shop::{Held, Pace, Shop, lock};

/// Runs claimed in one transaction: enough to fill a commit, few enough not to hold others up.
const BATCH: u32 = 64;
/// The slow poll.
const POLL: Duration = Duration::from_secs(5);
/// After a database error, before the next try.
const PAUSE: Duration = Duration::from_secs(1);

/// Claims until the process drains.
pub(crate) async fn keep_claiming(shop: Arc<Shop>) {
    let mut pace = shop.pace.clone();
    loop {
        let places = tokio::select! {
            biased;
            _ = pace.wait_for(|pace| *pace != Pace::Work) => return,
            places = shop.take_places(BATCH) => places,
            // All places are taken, but a stop needs none.
            () = shop.parts.bell.work() => None,
        };
        // Not in the select: a claim whose answer nobody waits for would hold its runs for a whole lease.
        let idle = match look(&shop, places).await {
            Ok(idle) => idle,
            Err(error) => {
                tracing::error!(%error, "claiming failed");
                PAUSE
            }
        };
        if idle.is_zero() {
            continue;
        }
        tokio::select! {
            _ = pace.wait_for(|pace| *pace != Pace::Work) => return,
            () = shop.parts.bell.work() => {}
            () = tokio::time::sleep(idle) => {}
        }
    }
}

/// Claims what is due, one run a place; answers how long nothing will be, unless the bell rings. Without places only runs that are to be
/// stopped are claimed: they end at once.
async fn look(shop: &Arc<Shop>, mut places: Option<OwnedSemaphorePermit>) -> Result<Duration, StoreError> {
    let now = shop.now();
    let until_due = if places.is_some() { now } else { work::FIRST };
    let Some(next) = shop.parts.db.read(async |tx| work::next_due(tx).await).await? else { return Ok(POLL) };
    if next > until_due {
        // Where places are short, a free one is what to wait for, and `take_places` does.
        let pause = Duration::from_millis(next.ms_since(now)).min(POLL);
        return Ok(if places.is_some() { pause } else { Duration::ZERO });
    }
    let (token, lease_end) = (shop.parts.ambient.id(now), shop.lease_end(now));
    let most = places.as_ref().map_or(BATCH, |places| u32::try_from(places.num_permits()).unwrap_or(1));
    let claiming = shop.parts.db.write(async move |tx| work::claim(tx, token, now, until_due, lease_end, most).await);
    for claimed in claiming.await? {
        begin(shop, claimed, places.as_mut().and_then(|places| places.split(1)));
    }
    Ok(Duration::ZERO)
}

fn begin(shop: &Arc<Shop>, claimed: Claimed, place: Option<OwnedSemaphorePermit>) {
    let lease = claimed.lease;
    let shop_of_run = Arc::clone(shop);
    let mut held = lock(&shop.held);
    let task = tokio::spawn(async move {
        job::drive(&shop_of_run, claimed, place.is_some()).await;
        let mut held = lock(&shop_of_run.held);
        if held.get(&lease.run).is_some_and(|held| held.lease == lease) {
            held.remove(&lease.run);
        }
        drop(place);
    });
    // After a pause longer than the lease, this process may claim a run that a task of its own still works on.
    if let Some(late) = held.insert(lease.run, Held { lease, task: task.abort_handle(), missed: false }) {
        late.task.abort();
    }
}

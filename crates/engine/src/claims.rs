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
            _ = pace.wait_for(|pace| *pace != Pace::Work) => return,
            places = shop.take_places(BATCH) => places,
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

/// Claims what is due, one run a place; answers how long nothing will be, unless the bell rings.
async fn look(shop: &Arc<Shop>, places: Option<OwnedSemaphorePermit>) -> Result<Duration, StoreError> {
    let Some(mut places) = places else { return Ok(POLL) };
    let now = shop.now();
    let Some(due) = shop.parts.db.read(async |tx| work::next_due(tx).await).await? else {
        return Ok(POLL);
    };
    if due > now {
        return Ok(Duration::from_millis(due.ms_since(now)).min(POLL));
    }
    let (token, until) = (shop.parts.ambient.id(now), shop.lease_end(now));
    let most = u32::try_from(places.num_permits()).unwrap_or(1);
    let claimed = shop.parts.db.write(async move |tx| work::claim(tx, token, now, until, most).await).await?;
    for claimed in claimed {
        if let Some(place) = places.split(1) {
            begin(shop, claimed, place);
        }
    }
    Ok(Duration::ZERO)
}

fn begin(shop: &Arc<Shop>, claimed: Claimed, place: OwnedSemaphorePermit) {
    let lease = claimed.lease;
    let shop_of_run = Arc::clone(shop);
    let mut held = lock(&shop.held);
    let task = tokio::spawn(async move {
        job::drive(&shop_of_run, claimed).await;
        let mut held = lock(&shop_of_run.held);
        if held.get(&lease.run).is_some_and(|held| held.lease == lease) {
            held.remove(&lease.run);
        }
        drop(place);
    });
    // After a pause longer than the lease, this process may claim a run that a task of its own still works on.
    if let Some(late) = held.insert(lease.run, Held { lease, task: task.abort_handle() }) {
        late.task.abort();
    }
}

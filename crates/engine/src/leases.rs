//! The heartbeat: renews what this process holds and stops whatever it lost.

use std::sync::Arc;
use std::time::Duration;

use storage::work::{self, Lease};

use crate::shop::{Shop, lock};

/// Leases renewed in one write: a few milliseconds of the writer's time.
const BATCH: usize = 500;

/// Renews all leases three times per lease time, so that one slow write loses none.
pub(crate) async fn keep_alive(shop: Arc<Shop>) {
    let pause = Duration::from_millis((shop.parts.settings.lease_ms / 3).max(1));
    loop {
        tokio::time::sleep(pause).await;
        let leases = held_leases(&shop);
        for batch in leases.chunks(BATCH) {
            renew(&shop, batch.to_vec()).await;
        }
    }
}

/// What this process holds. A task that panicked holds nothing: its lease runs out, so that its run is claimed again.
fn held_leases(shop: &Shop) -> Vec<Lease> {
    let mut held = lock(&shop.held);
    held.retain(|_, held| !held.task.is_finished());
    held.values().map(|held| held.lease).collect()
}

async fn renew(shop: &Shop, leases: Vec<Lease>) {
    let until = shop.lease_end(shop.now());
    match shop.parts.db.write(async move |tx| work::renew(tx, &leases, until).await).await {
        Ok(lost) => lost.into_iter().for_each(|lease| abandon(shop, lease)),
        Err(error) => tracing::error!(%error, "renewing leases failed"),
    }
}

/// Stops the task of a lost lease. One that was let go while the write was under way looks lost too, so only what is still there, and lost, at the
/// next beat is stopped; until then the fence keeps it from writing.
fn abandon(shop: &Shop, lease: Lease) {
    let mut held = lock(&shop.held);
    let Some(lost) = held.get_mut(&lease.run).filter(|held| held.lease == lease) else { return };
    if lost.missed {
        tracing::warn!(run = %lease.run, "lease lost: its worker stops");
        lost.task.abort();
        held.remove(&lease.run);
    } else {
        lost.missed = true;
    }
}

//! The heartbeat: renews what this process holds and stops whatever it lost.

use std::sync::Arc;
use std::time::Duration;

use storage::work::{self, Lease};

use crate::shop::{Shop, lock};

/// Leases renewed in one write: a few milliseconds of the writer's time.
const BATCH: usize = 500;

/// How often a worker that no bell may reach looks for stops of the runs it holds.
const STOPS: Duration = Duration::from_secs(2);

/// Renews all leases three times per lease time, so that one slow write loses none.
pub(crate) async fn keep_alive(shop: Arc<Shop>) {
    let pause = Duration::from_millis((shop.parts.settings.lease_ms / 3).max(1));
    loop {
        tokio::time::sleep(pause).await;
        let leases = held_leases(&shop);
        for batch in leases.chunks(BATCH) {
            // A renewal that hangs must not make the next one late.
            let renewing = tokio::time::timeout(pause, renew(&shop, batch.to_vec()));
            if renewing.await.is_err() {
                tracing::error!("renewing leases takes too long");
            }
        }
    }
}

/// Hears of stops that were asked for on another node, should the bell not carry that far.
pub(crate) async fn keep_hearing(shop: Arc<Shop>) {
    if !shop.parts.db.is_shared() {
        return;
    }
    loop {
        tokio::time::sleep(STOPS).await;
        if lock(&shop.held).is_empty() {
            continue;
        }
        match shop.parts.db.read(async |tx| work::stops(tx).await).await {
            Ok(stops) => stops.into_iter().for_each(|run| shop.parts.bell.ring_here(run.0)),
            Err(error) => tracing::warn!(%error, "looking for stops failed"),
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
    let (asked, lease_ms, all) = (shop.parts.ambient.steady_ms(), shop.parts.settings.lease_ms, leases.clone());
    faults::point("lease.renew");
    match shop.parts.db.write_leases(async move |tx| work::renew(tx, &leases, lease_ms).await).await {
        Ok(lost) => {
            faults::point("lease.renewed");
            for lease in all.into_iter().filter(|lease| !lost.contains(lease)) {
                shop.renewed(lease, asked);
            }
            for lease in lost {
                abandon(shop, lease);
            }
        }
        Err(error) => tracing::error!(%error, "renewing leases failed"),
    }
}

/// Renews one lease; whether it holds long enough now to begin something.
pub(crate) async fn renew_one(shop: &Shop, lease: Lease) -> bool {
    renew(shop, vec![lease]).await;
    shop.may_act(lease)
}

/// Stops the task of a lost lease. One that was let go while the write was under way looks lost too, so only what is still there, and lost, at the
/// next beat is stopped; until then the fence keeps it from writing.
fn abandon(shop: &Shop, lease: Lease) {
    let mut held = lock(&shop.held);
    let Some(lost) = held.get_mut(&lease.run).filter(|held| held.lease == lease) else { return };
    if lost.missed {
        shop.parts.meters.lease_lost();
        tracing::warn!(run = %lease.run, "lease lost: its worker stops");
        lost.task.abort();
        held.remove(&lease.run);
    } else {
        lost.missed = true;
    }
}

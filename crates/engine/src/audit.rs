//! The audit: once a minute it looks for runs that should be moving and that nobody would ever claim. There are none, unless something is wrong;
//! what is found is said loudly and made due again.

use std::sync::Arc;
use std::time::Duration;

use storage::{Db, StoreError, runs};

use crate::shop::Shop;

/// Between two looks.
const PAUSE: Duration = Duration::from_mins(1);

/// Looks every minute, the first time after one.
pub(crate) async fn keep_auditing(shop: Arc<Shop>) {
    loop {
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

/// One look; how many were stuck.
async fn audit(db: &Db) -> Result<usize, StoreError> {
    let stuck = db.read_slow(async |tx| runs::stuck(tx).await).await?;
    for (team, run) in stuck.iter().copied() {
        tracing::error!(%run, "the run was stuck");
        db.write(async move |tx| runs::unstick(tx, team, run).await).await?;
    }
    Ok(stuck.len())
}

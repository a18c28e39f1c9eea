//! Webhooks on their way out: what is due is claimed, sent, and what came of it is written down.
//!
//! What is to be sent was written with what it tells of (`storage/webhooks.rs`), so that nothing is lost with a server; a try that a server did not
//! live to write down is made again, with the same id and the same bytes. Each origin gets a few connections and no more, so that one which hangs
//! holds up itself only. How deliveries are signed and when they are tried again is `domain::webhooks`.

mod attempt;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::Ambient;
use egress::Client;
use storage::webhooks::{self, Due};
use storage::{Bell, Db, StoreError, Tx};
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::Meters;

/// Deliveries to one origin at once.
const PER_ORIGIN: usize = 4;
/// Deliveries at once.
const IN_ALL: usize = 256;
/// How long a claim holds, in milliseconds: beyond the longest try and what it takes to write down what came of it.
const LEASE_MS: u64 = 20_000;
/// The slow poll: how late a second try is noticed, or what another node left.
const POLL: Duration = Duration::from_secs(10);
/// After a database error, before the next look.
const PAUSE: Duration = Duration::from_secs(1);

/// What deliveries need of the rest of the program.
#[derive(Clone)]
pub struct Deliveries {
    /// Where the outbox is.
    pub db: Db,
    /// Rung when something is put into it.
    pub bell: Bell,
    /// Time, tokens, jitter.
    pub ambient: Arc<dyn Ambient>,
    /// The way out.
    pub client: Client,
    /// The server's own key, from which teams' secrets come.
    pub key: [u8; 32],
    /// What is counted.
    pub meters: Meters,
}

/// Deliveries at work.
pub struct Delivering {
    shared: Arc<Shared>,
    looking: JoinHandle<()>,
}

struct Shared {
    parts: Deliveries,
    /// Deliveries under way, by origin.
    under_way: Mutex<HashMap<String, usize>>,
    /// A delivery has ended.
    ended: Notify,
    stop: Notify,
}

impl Deliveries {
    /// Begins to deliver.
    pub fn start(self) -> Delivering {
        let shared =
            Arc::new(Shared { parts: self, under_way: Mutex::default(), ended: Notify::new(), stop: Notify::new() });
        let looking = tokio::spawn(Arc::clone(&shared).keep_delivering());
        Delivering { shared, looking }
    }
}

impl Delivering {
    /// Waits until the deliverer ends by itself, which it does only when it breaks; nobody delivers then.
    pub async fn failed(&mut self) -> JoinError {
        match (&mut self.looking).await {
            Err(broken) => broken,
            // It was told to.
            Ok(()) => std::future::pending().await,
        }
    }

    /// Claims nothing more and waits until what is under way has ended; what has not within `grace` is tried again by whoever comes.
    pub async fn drain(self, grace: Duration) {
        self.shared.stop.notify_one();
        // Late or broken: the claims end by themselves.
        let _ = tokio::time::timeout(grace, self.looking).await;
    }
}

impl Shared {
    async fn keep_delivering(self: Arc<Self>) {
        let mut tries = JoinSet::new();
        loop {
            let pause = match self.look().await {
                Ok(due) => {
                    let some = !due.is_empty();
                    for (origin, due) in due {
                        let shared = Arc::clone(&self);
                        tries.spawn(async move {
                            attempt::make(&shared.parts, &due).await;
                            shared.leave(&origin);
                        });
                    }
                    if some { Duration::ZERO } else { POLL }
                }
                Err(error) => {
                    tracing::error!(%error, "the outbox cannot be read");
                    PAUSE
                }
            };
            while tries.try_join_next().is_some() {}
            tokio::select! {
                biased;
                () = self.stop.notified() => break,
                () = self.ended.notified() => {}
                () = self.parts.bell.outbox() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        while tries.join_next().await.is_some() {}
    }

    /// Claims what is due and has room, each with its origin.
    async fn look(&self) -> Result<Vec<(String, Due)>, StoreError> {
        let parts = &self.parts;
        let wanted: Vec<_> = {
            let origins = parts.db.read::<_, StoreError, _>(async |tx| webhooks::origins(tx).await).await?;
            let under_way = self.under_way();
            let mut left = IN_ALL.saturating_sub(under_way.values().sum());
            let room = origins.into_iter().map(|origin| {
                let most = PER_ORIGIN.saturating_sub(under_way.get(&origin).copied().unwrap_or(0)).min(left);
                left -= most;
                (origin, most)
            });
            room.filter(|(_, most)| *most > 0).collect()
        };
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let token = parts.ambient.id(parts.ambient.now());
        let claim = async move |tx: &mut Tx<'_>| {
            let mut claimed = Vec::new();
            for (origin, most) in wanted {
                let most = u32::try_from(most).unwrap_or(1);
                for mut due in webhooks::claim(tx, token, LEASE_MS, &origin, most).await? {
                    if due.body.is_none() {
                        let body = attempt::body(&due)?;
                        webhooks::settle_body(tx, (due.id, due.claim), &body).await?;
                        due.body = Some(body);
                    }
                    claimed.push((origin.clone(), due));
                }
            }
            Ok::<_, StoreError>(claimed)
        };
        let claimed = parts.db.write(claim).await?;
        let mut under_way = self.under_way();
        for (origin, _) in &claimed {
            *under_way.entry(origin.clone()).or_default() += 1;
        }
        Ok(claimed)
    }

    fn leave(&self, origin: &str) {
        let mut under_way = self.under_way();
        if let Some(count) = under_way.get_mut(origin) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(origin);
            }
        }
        self.ended.notify_one();
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

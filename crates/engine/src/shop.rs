//! What all runs of this process share: the parts, the places, the plans already read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::{BuildId, RunId, TeamId, Timestamp};
use storage::work::Lease;
use storage::{StoreError, builds};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::AbortHandle;

use crate::Parts;
use crate::plan::Plan;

/// Plans kept in memory. Builds never change, so one is right for ever; past this number all are forgotten.
const PLANS_MAX: usize = 1_000;

/// How hard to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Claim and carry on.
    Work,
    /// Claim nothing; let go after the step that is under way.
    EndStep,
    /// Let go now.
    DropStep,
}

/// A run that this process holds.
pub(crate) struct Held {
    pub(crate) lease: Lease,
    pub(crate) task: AbortHandle,
    /// The last heartbeat did not find the lease.
    pub(crate) missed: bool,
}

pub(crate) struct Shop {
    pub(crate) parts: Parts,
    pub(crate) pace: watch::Receiver<Pace>,
    pub(crate) held: Mutex<HashMap<RunId, Held>>,
    places: Arc<Semaphore>,
    plans: Mutex<HashMap<BuildId, Arc<Plan>>>,
}

impl Shop {
    pub(crate) fn new(parts: Parts, pace: watch::Receiver<Pace>) -> Self {
        let places = Arc::new(Semaphore::new(parts.settings.concurrency));
        Self { parts, pace, held: Mutex::default(), places, plans: Mutex::default() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.ambient.now()
    }

    /// Until when a lease that is taken or renewed now will hold.
    pub(crate) fn lease_end(&self, now: Timestamp) -> Timestamp {
        now.plus_ms(self.parts.settings.lease_ms)
    }

    /// Waits for a free place, then takes all that are free, `most` at most.
    pub(crate) async fn take_places(&self, most: u32) -> Option<OwnedSemaphorePermit> {
        let mut places = Arc::clone(&self.places).acquire_owned().await.ok()?;
        let more = self.places.available_permits().min(most.saturating_sub(1) as usize);
        if let Ok(more) = Arc::clone(&self.places).try_acquire_many_owned(u32::try_from(more).unwrap_or(0)) {
            places.merge(more);
        }
        Some(places)
    }

    /// Waits until no run is in flight.
    pub(crate) async fn idle(&self) {
        let all = u32::try_from(self.parts.settings.concurrency).unwrap_or(u32::MAX);
        drop(self.places.acquire_many(all).await);
    }

    /// What a Build demands of its runs.
    pub(crate) async fn plan(&self, team: TeamId, build: BuildId) -> Result<Arc<Plan>, StoreError> {
        if let Some(plan) = lock(&self.plans).get(&build) {
            return Ok(Arc::clone(plan));
        }
        let stored = self.parts.db.read(async |tx| builds::get(tx, team, build).await).await?;
        let stored = stored.ok_or_else(|| StoreError::Corrupt { what: format!("build {build} is gone") })?;
        let plan = Arc::new(Plan::read(&stored.config_json)?);
        let mut plans = lock(&self.plans);
        if plans.len() >= PLANS_MAX {
            plans.clear();
        }
        plans.insert(build, Arc::clone(&plan));
        Ok(plan)
    }
}

/// A map that a panicking task held is still a map.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! What all runs of this process share: the parts, the places, the plans already read.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use agent::tools;
use domain::turns::ToolSpec;
use domain::{BuildId, RunId, TeamId, Timestamp};
use storage::work::Lease;
use storage::{StoreError, builds};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

use crate::Parts;
use crate::outage::Outage;
use crate::pace::{Heard, Pace};
use crate::plan::Plan;
use crate::probation::Probation;

/// Plans kept in memory. Builds never change, so one is right for ever; past this number all are forgotten.
const PLANS_MAX: usize = 1_000;

/// A lease must hold for so long, in milliseconds, when something begins under it; a sixth of it where leases are short.
const MARGIN_MS: u64 = 5_000;

/// More than there will ever be.
const STANDING: u32 = u32::MAX;

/// A run that this process holds.
pub(crate) struct Held {
    pub(crate) lease: Lease,
    pub(crate) task: AbortHandle,
    /// The last heartbeat did not find the lease.
    pub(crate) missed: bool,
    /// Until when the lease holds at least, on this process's steady clock: counted from before the database was asked.
    pub(crate) until: u64,
}

pub(crate) struct Shop {
    pub(crate) parts: Parts,
    pub(crate) pace: Heard,
    pub(crate) held: Mutex<BTreeMap<RunId, Held>>,
    places: Arc<Semaphore>,
    /// For runs that need no place, so that it is known when the last of them has gone.
    standing: Arc<Semaphore>,
    pub(crate) probation: Probation,
    pub(crate) outage: Outage,
    plans: Mutex<HashMap<BuildId, Arc<Plan>>>,
    /// For answers in words, and for answers that are one JSON object.
    specs: [Vec<ToolSpec>; 2],
}

impl Shop {
    pub(crate) fn new(parts: Parts, pace: Heard) -> Self {
        let places = Arc::new(Semaphore::new(parts.settings.concurrency));
        let standing = Arc::new(Semaphore::new(STANDING as usize));
        let more = parts.more_tools.as_ref().map_or(vec![], |more| more.specs());
        let specs = [false, true].map(|json_object| [tools::specs(json_object), &more].concat());
        Self {
            parts,
            pace,
            held: Mutex::default(),
            places,
            standing,
            probation: Probation::default(),
            outage: Outage::default(),
            plans: Mutex::default(),
            specs,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.ambient.now()
    }

    /// From how many deaths on a run is suspected: one more and it is given up.
    pub(crate) fn suspect_from(&self) -> u32 {
        self.parts.settings.deaths.saturating_sub(1).max(1)
    }

    /// Notes that a lease was renewed by a write that began at `asked`, on the steady clock.
    pub(crate) fn renewed(&self, lease: Lease, asked: u64) {
        let mut held = lock(&self.held);
        if let Some(held) = held.get_mut(&lease.run).filter(|held| held.lease == lease) {
            held.until = asked.saturating_add(self.parts.settings.lease_ms);
            held.missed = false;
        }
    }

    /// Whether the lease surely holds long enough to begin something that leaves the server. A worker that cannot know leaves it to others:
    /// what it started after its lease ended would be started twice.
    pub(crate) fn may_act(&self, lease: Lease) -> bool {
        let margin = (self.parts.settings.lease_ms / 6).min(MARGIN_MS);
        let now = self.parts.ambient.steady_ms();
        let held = lock(&self.held);
        held.get(&lease.run).is_some_and(|held| held.lease == lease && held.until > now.saturating_add(margin))
    }

    /// The tools as models see them.
    pub(crate) fn specs(&self, json_object: bool) -> &[ToolSpec] {
        &self.specs[usize::from(json_object)]
    }

    /// Whether it is worth waiting for the store: not when the process is about to drop everything.
    pub(crate) fn goes_on(&self) -> bool {
        self.pace.now() != Pace::DropStep
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

    /// What a run without a place holds while it is in flight.
    pub(crate) fn stand(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.standing).try_acquire_owned().ok()
    }

    /// Waits until no run is in flight.
    pub(crate) async fn idle(&self) {
        let all = u32::try_from(self.parts.settings.concurrency).unwrap_or(u32::MAX);
        drop(self.places.acquire_many(all).await);
        drop(self.standing.acquire_many(STANDING).await);
    }

    /// What a Build demands of its runs.
    pub(crate) async fn plan(&self, team: TeamId, build: BuildId) -> Result<Arc<Plan>, StoreError> {
        if let Some(plan) = lock(&self.plans).get(&build) {
            return Ok(Arc::clone(plan));
        }
        let stored = self.parts.db.read(async |tx| builds::get(tx, team, build).await).await?;
        let stored = stored.ok_or_else(|| StoreError::Corrupt { what: format!("build {build} is gone") })?;
        let plan = Arc::new(Plan::read(&stored)?);
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

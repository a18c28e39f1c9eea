//! Places for work that takes much of the server for long, shared out: so many in all, and so many of them for one holder.
//!
//! Who waits for their own share holds no place meanwhile, so that a team with more to do than its share keeps nobody else from theirs.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use domain::TeamId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::errors::ApiError;

/// How long a place is waited for before the client is asked to come back.
const PATIENCE: Duration = Duration::from_secs(2);
/// Holders remembered before those without a place are forgotten.
const KNOWN: usize = 1_024;

/// Places, and the share of each team.
pub(crate) struct Places {
    all: Arc<Semaphore>,
    teams: Shares<TeamId>,
}

/// A place, until it is dropped.
pub(crate) struct Place {
    _all: OwnedSemaphorePermit,
    _share: OwnedSemaphorePermit,
}

impl Places {
    /// `all` of them, of which one team may have half. Who gets none is told `busy`.
    pub(crate) fn new(all: usize, busy: &'static str) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), teams: Shares::new(all.div_ceil(2), busy) }
    }

    /// Waits for a place for this team.
    pub(crate) async fn take(&self, team: TeamId) -> Result<Place, ApiError> {
        self.teams
            .patiently(async {
                let share = acquire(self.teams.of(team)).await?;
                Ok(Place { _share: share, _all: acquire(Arc::clone(&self.all)).await? })
            })
            .await
    }
}

/// So many for each holder, whatever the others have.
pub(crate) struct Shares<K> {
    each: usize,
    busy: &'static str,
    held: Mutex<HashMap<K, Weak<Semaphore>>>,
}

impl<K: Eq + Hash> Shares<K> {
    /// Who gets none is told `busy`.
    pub(crate) fn new(each: usize, busy: &'static str) -> Self {
        Self { each, busy, held: Mutex::default() }
    }

    /// Waits for one of this holder's.
    pub(crate) async fn take(&self, holder: K) -> Result<OwnedSemaphorePermit, ApiError> {
        self.patiently(acquire(self.of(holder))).await
    }

    async fn patiently<T>(&self, taking: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
        tokio::time::timeout(PATIENCE, taking).await.unwrap_or(Err(ApiError::Busy(self.busy)))
    }

    fn of(&self, holder: K) -> Arc<Semaphore> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= KNOWN {
            held.retain(|_, share| share.strong_count() > 0);
        }
        let known = held.get(&holder).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let share = Arc::new(Semaphore::new(self.each));
            held.insert(holder, Arc::downgrade(&share));
            share
        })
    }
}

async fn acquire(places: Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ApiError> {
    places.acquire_owned().await.map_err(|_closed| ApiError::NotReady)
}

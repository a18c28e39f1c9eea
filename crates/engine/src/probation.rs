//! Probation: runs whose workers died are tried alone, so that the one that kills is found without blaming those that died with it.
//!
//! A worker that dies takes all its runs with it, and each of them counts the death. So before the last death that a run may have, it is tried
//! while nothing else is begun on this node. If the worker dies, it was this run. If it lives through, it is cleared, and the deaths that come
//! later, with others, bring it here again but never further. Each time it is watched twice as long, for those that kill slowly, and in the end for
//! as long as makes a run begin anew: so one that kills in that time is found, however slow it is.
//!
//! Between two trials whatever else is due has its turn, so that it waits for one of them and not for all.

use std::sync::Mutex;
use std::time::Duration;

use storage::work::{CARRIED_MS, Lease};

use crate::shop::lock;

/// The first time, in milliseconds.
const FIRST_MS: u64 = 1_000;
/// How often it is looked whether the run has ended already.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// The run of this node that is on probation, if there is one.
#[derive(Default)]
pub(crate) struct Probation(Mutex<Option<(Lease, u64)>>);

/// How it stands.
pub(crate) enum Watch {
    /// No run is on probation.
    Nobody,
    /// One is.
    Goes,
    /// One was, and has ended or gone to rest.
    Ended,
    /// This one has just come through.
    CameThrough(Lease),
}

impl Probation {
    /// Begins at `now` on the steady clock, for the run's `times`th time.
    pub(crate) fn begin(&self, lease: Lease, now: u64, times: u32) {
        let length = FIRST_MS.saturating_mul(1 << times.saturating_sub(1).min(16)).min(CARRIED_MS);
        *lock(&self.0) = Some((lease, now.saturating_add(length)));
    }

    /// Looks at `now`; `held` says whether the run is still at work here.
    pub(crate) fn look(&self, now: u64, held: impl FnOnce(Lease) -> bool) -> Watch {
        let mut watched = lock(&self.0);
        let Some((lease, until)) = *watched else { return Watch::Nobody };
        let held = held(lease);
        if held && now < until {
            return Watch::Goes;
        }
        *watched = None;
        if held { Watch::CameThrough(lease) } else { Watch::Ended }
    }
}

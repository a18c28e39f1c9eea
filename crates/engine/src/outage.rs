//! A store that fails for all runs at work, of which each tries again several times a second: said once when that begins and once when it is over.

use std::sync::atomic::{AtomicUsize, Ordering};

use domain::RunId;
use storage::StoreError;

/// How many runs are trying again at this moment.
#[derive(Default)]
pub(crate) struct Outage(AtomicUsize);

/// One run's tries of one thing. Dropped in the middle it says nothing: whoever comes next says it anew.
pub(crate) struct Tries<'o> {
    outage: &'o Outage,
    failing: bool,
}

impl Outage {
    /// For whatever is tried until it works.
    pub(crate) fn tries(&self) -> Tries<'_> {
        Tries { outage: self, failing: false }
    }
}

impl Tries<'_> {
    /// Notes that it did not work: `what`, as a sentence.
    pub(crate) fn failed(&mut self, run: RunId, what: &str, error: &StoreError) {
        let first = !std::mem::replace(&mut self.failing, true) && self.outage.0.fetch_add(1, Ordering::Relaxed) == 0;
        if first {
            tracing::warn!(%run, %error, "{what}; this and all else that fails so is tried again until it works, and not said again until then");
        } else {
            tracing::debug!(%run, %error, "{what}");
        }
    }

    /// Notes that it worked.
    pub(crate) fn worked(&mut self) {
        if std::mem::take(&mut self.failing) && self.outage.0.fetch_sub(1, Ordering::Relaxed) == 1 {
            tracing::info!("the store works again for all runs");
        }
    }
}

impl Drop for Tries<'_> {
    fn drop(&mut self) {
        if self.failing {
            self.outage.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

//! How hard to work: said by whoever owns the engine, heard by all its tasks.
//!
//! Not tokio's `watch`, which wakes those who wait in an order left to chance: a simulation must tell the same story twice.

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::shop::lock;

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

/// Where the pace is read.
#[derive(Clone)]
pub(crate) struct Heard(Arc<Line>);

/// Where it is set. Nobody works on once this is dropped.
pub(crate) struct Said(Arc<Line>);

struct Line {
    pace: Mutex<Pace>,
    changed: Notify,
}

/// Both ends, at work.
pub(crate) fn pace() -> (Said, Heard) {
    let line = Arc::new(Line { pace: Mutex::new(Pace::Work), changed: Notify::new() });
    (Said(Arc::clone(&line)), Heard(line))
}

impl Said {
    pub(crate) fn set(&self, pace: Pace) {
        *lock(&self.0.pace) = pace;
        self.0.changed.notify_waiters();
    }
}

impl Drop for Said {
    fn drop(&mut self) {
        self.set(Pace::DropStep);
    }
}

impl Heard {
    pub(crate) fn now(&self) -> Pace {
        *lock(&self.0.pace)
    }

    /// Waits until the pace is one of those.
    pub(crate) async fn until(&self, wanted: impl Fn(Pace) -> bool) {
        loop {
            // In this order: a change after this line ends the wait, one before it is seen.
            let changed = self.0.changed.notified();
            if wanted(self.now()) {
                return;
            }
            changed.await;
        }
    }
}

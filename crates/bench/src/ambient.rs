//! The real clock, ids and chance, as the product has them, so that their cost is in the figures.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use domain::{Ambient, Timestamp};
use storage::Clock;
use uuid::{ContextV7, Uuid};

/// The time of a database file's leases.
pub(crate) fn clock() -> Clock {
    let ambient = SystemAmbient::new();
    Arc::new(move || ambient.now())
}

/// This machine's.
pub(crate) struct SystemAmbient(Mutex<ContextV7>);

impl SystemAmbient {
    /// Starts counting ids.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(ContextV7::new()))
    }
}

impl Ambient for SystemAmbient {
    #[expect(clippy::disallowed_methods, reason = "the bench wires a server, so it brings the clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn steady_ms(&self) -> u64 {
        u64::try_from(self.now().0).unwrap_or(0)
    }

    fn id(&self, at: Timestamp) -> Uuid {
        let ms = u64::try_from(at.0).unwrap_or(0);
        let nanos = u32::try_from(ms % 1000 * 1_000_000).unwrap_or(0);
        let counter = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Uuid::new_v7(uuid::Timestamp::from_unix(&*counter, ms / 1000, nanos))
    }

    #[expect(clippy::disallowed_methods, reason = "the bench wires a server, so it brings the chance")]
    fn random(&self, bytes: &mut [u8]) {
        if let Err(error) = getrandom::fill(bytes) {
            eprintln!("errand-bench: the system gives no random numbers ({error}): stopping");
            std::process::exit(1);
        }
    }
}

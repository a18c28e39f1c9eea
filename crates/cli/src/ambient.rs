//! The real clock, ids and chance: the one place of the whole program that reads them. Everybody else is handed an [`Ambient`].

use std::process::abort;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use domain::{Ambient, Timestamp};
use uuid::{ContextV7, Uuid};

/// This machine's.
pub(crate) struct SystemAmbient {
    /// Counts within a millisecond, so that ids made one after the other sort in that order.
    counter: Mutex<ContextV7>,
}

impl SystemAmbient {
    /// Starts counting.
    pub(crate) fn new() -> Self {
        Self { counter: Mutex::new(ContextV7::new()) }
    }
}

impl Ambient for SystemAmbient {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else asks")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn id(&self, at: Timestamp) -> Uuid {
        let ms = u64::try_from(at.0).unwrap_or(0);
        let nanos = u32::try_from(ms % 1000 * 1_000_000).unwrap_or(0);
        let counter = self.counter.lock().unwrap_or_else(PoisonError::into_inner);
        Uuid::new_v7(uuid::Timestamp::from_unix(&*counter, ms / 1000, nanos))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the source that everybody else asks")]
    fn random(&self, bytes: &mut [u8]) {
        if let Err(error) = getrandom::fill(bytes) {
            // A key made without chance would be everybody's key.
            eprintln!("errand: the system gives no random numbers ({error}): stopping");
            abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_begin_with_their_time_and_sort_as_they_were_made() {
        let ambient = SystemAmbient::new();
        let at = Timestamp(1_764_000_000_123);
        let ids: Vec<Uuid> = (0..2000).map(|_| ambient.id(at)).collect();
        assert!(ids.is_sorted() && ids[0] != ids[1]);
        let made = ids[0].get_timestamp().unwrap().to_unix();
        assert_eq!(made, (1_764_000_000, 123_000_000));
    }
}

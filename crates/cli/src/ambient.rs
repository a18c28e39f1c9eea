//! The real clock, ids and chance: the one place of the whole program that reads them. Everybody else is handed an [`Ambient`].
//!
//! The clock of a node runs by itself, on the machine's steady clock, and *follows* another: the database server's, or where there is none the
//! machine's wall clock. It is never more than [`SLEW`] faster or slower than it should be, so that a wall clock that is set by an hour ends no
//! lease and no pause early.

use std::process::abort;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use domain::{Ambient, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use uuid::{ContextV7, Uuid};

/// A twentieth: an hour is caught up within a day.
const SLEW: u64 = 20;

/// This machine's.
pub(crate) struct SystemAmbient {
    /// Counts within a millisecond, so that ids made one after the other sort in that order.
    counter: Mutex<ContextV7>,
    /// What is added to the steady clock to get the time.
    offset: AtomicI64,
    /// When it last followed, on the steady clock.
    followed: AtomicU64,
}

impl SystemAmbient {
    /// Starts counting, at the wall clock's time.
    pub(crate) fn new() -> Self {
        let ambient =
            Self { counter: Mutex::new(ContextV7::new()), offset: AtomicI64::new(0), followed: AtomicU64::new(0) };
        ambient.set(wall());
        ambient
    }

    /// Takes this for the time at once: at a start, before anybody has asked.
    pub(crate) fn set(&self, time: Timestamp) {
        let steady = self.steady_ms();
        self.offset.store(time.0.saturating_sub_unsigned(steady), Ordering::Relaxed);
        self.followed.store(steady, Ordering::Relaxed);
    }

    /// Comes nearer to this time, the slower the farther away it is. Answers how far it was ahead of it, in milliseconds.
    pub(crate) fn follow(&self, time: Timestamp) -> i64 {
        let steady = self.steady_ms();
        let since = steady.saturating_sub(self.followed.swap(steady, Ordering::Relaxed));
        let behind = time.0.saturating_sub(self.now().0);
        let most = i64::try_from(since / SLEW).unwrap_or(i64::MAX);
        self.offset.fetch_add(behind.clamp(-most, most), Ordering::Relaxed);
        -behind
    }

    /// [`Ambient::now`] in nanoseconds since 1970, for what is shorter than a millisecond.
    pub(crate) fn nanos(&self) -> u64 {
        let ms = u64::try_from(self.offset.load(Ordering::Relaxed)).unwrap_or(0);
        ms.saturating_mul(1_000_000).saturating_add(steady_ns())
    }

    /// [`Self::follow`] the machine's own wall clock.
    pub(crate) fn follow_the_wall(&self) -> i64 {
        self.follow(wall())
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else asks")]
fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Goes on while the machine sleeps, where the system has such a clock: a lease does not wait for a laptop to be opened again.
fn steady_ns() -> u64 {
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    let time = clock_gettime(clock);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or(0)
}

impl Ambient for SystemAmbient {
    fn now(&self) -> Timestamp {
        let steady = i64::try_from(self.steady_ms()).unwrap_or(i64::MAX);
        Timestamp(steady.saturating_add(self.offset.load(Ordering::Relaxed)))
    }

    fn steady_ms(&self) -> u64 {
        steady_ns() / 1_000_000
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
    fn a_step_of_the_wall_clock_is_followed_slowly() {
        let ambient = SystemAmbient::new();
        let before = ambient.now();
        let ahead = ambient.follow(Timestamp(before.0 - 3_600_000));
        assert!((3_600_000..3_601_000).contains(&ahead), "{ahead}");
        let after = ambient.now();
        assert!(after.0 - before.0 < 1_000 && before.0 - after.0 < 1_000, "it did not jump");
        // As if a minute had passed since: a twentieth of it may be caught up.
        ambient.followed.store(ambient.steady_ms().saturating_sub(60_000), Ordering::Relaxed);
        ambient.follow(Timestamp(before.0 + 3_600_000));
        let caught = ambient.now().0 - after.0;
        assert!((2_900..3_200).contains(&caught), "{caught}");
    }

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

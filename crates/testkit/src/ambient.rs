//! Surroundings that a test controls: a clock that stands still until it is moved, ids and chance that repeat from run to run.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use domain::{Ambient, Timestamp};
use uuid::Uuid;

/// When a [`FakeAmbient`] begins: 2026-11-23T14:00:00Z.
pub const START: Timestamp = Timestamp(1_795_442_400_000);

/// A clock, ids and chance without surprises. Share it in an `Arc` and keep a clone to move the clock.
#[derive(Debug)]
pub struct FakeAmbient {
    now: AtomicI64,
    drawn: AtomicU64,
}

impl Default for FakeAmbient {
    fn default() -> Self {
        Self { now: AtomicI64::new(START.0), drawn: AtomicU64::new(0) }
    }
}

impl FakeAmbient {
    /// Lets `ms` milliseconds pass.
    pub fn advance_ms(&self, ms: u64) {
        let now = self.now();
        self.now.store(now.plus_ms(ms).0, Ordering::Relaxed);
    }

    fn draw(&self) -> u64 {
        self.drawn.fetch_add(1, Ordering::Relaxed)
    }
}

impl Ambient for FakeAmbient {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::Relaxed))
    }

    fn steady_ms(&self) -> u64 {
        self.now().ms_since(Timestamp(0))
    }

    fn id(&self, at: Timestamp) -> Uuid {
        // The count stands where a real UUIDv7 has random bits, so ids of one millisecond sort as they were made.
        let mut count = [0; 10];
        count[2..].copy_from_slice(&self.draw().to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(u64::try_from(at.0).unwrap_or(0), &count).into_uuid()
    }

    fn random(&self, bytes: &mut [u8]) {
        for (chunk, place) in bytes.chunks_mut(8).zip(0_u64..) {
            // Spread over all bits, so that neighbours differ in more than the last one.
            let number = (self.draw() + place + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            chunk.copy_from_slice(&number.to_be_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_as_they_are_made_and_begin_with_the_time() {
        let ambient = FakeAmbient::default();
        let (first, second) = (ambient.id(START), ambient.id(START));
        let earlier = ambient.id(Timestamp(0));
        assert!(earlier < first && first < second);
        assert_eq!(first.get_version_num(), 7);
        ambient.advance_ms(5);
        assert_eq!(ambient.now(), START.plus_ms(5));
    }

    #[test]
    fn chance_is_not_the_same_twice() {
        let ambient = FakeAmbient::default();
        let (mut one, mut other) = ([0; 16], [0; 16]);
        ambient.random(&mut one);
        ambient.random(&mut other);
        assert!(one != other && one[..8] != one[8..]);
    }
}

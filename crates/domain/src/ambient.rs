//! What a rule cannot make itself: the time, ids, chance.

use uuid::Uuid;

use crate::Timestamp;

/// The surroundings a server runs in. One real implementation stands in the `cli` room, where parts are wired; tests bring their own.
pub trait Ambient: Send + Sync + 'static {
    /// The time now, by the clock of the database: all nodes agree on it but for milliseconds, and it never jumps.
    fn now(&self) -> Timestamp;

    /// Milliseconds since some moment before the start. It never stands still or goes back, whatever is done to the clock; for lengths of time.
    fn steady_ms(&self) -> u64;

    /// A fresh UUIDv7 that begins with `at`; ids made one after the other sort in that order.
    fn id(&self, at: Timestamp) -> Uuid;

    /// Fills `bytes` from a cryptographic source.
    fn random(&self, bytes: &mut [u8]);

    /// A fair number in 0..1000, to spread retries.
    fn permille(&self) -> u16 {
        let mut bytes = [0; 4];
        self.random(&mut bytes);
        u16::try_from(u32::from_le_bytes(bytes) % 1000).unwrap_or(0)
    }
}

//! How often this node looks into the store for keys that it has never found there.
//!
//! Whoever has no key can make up as many as they like, and each costs a look. So looks for the unknown have a bound, beyond which the answer is
//! "not now" and the store is left alone. A key that was found good once is looked for without it: whoever has one is not kept out by those who
//! have none, but for the first request of a new key in such a second.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use domain::Timestamp;

/// Looks for unknown keys a second, on this node.
pub(crate) const PER_SECOND: u32 = 500;
/// Keys remembered as good at once; past this all are forgotten.
const GOOD_MAX: usize = 10_000;

/// What is counted.
#[derive(Default)]
pub(crate) struct Strangers(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    /// Counted from 1970.
    second: i64,
    looks: u32,
    /// Hashes of keys that were found at least once. One that was revoked since costs its owner's looks, as before.
    good: HashSet<[u8; 32]>,
}

impl Strangers {
    /// Whether the store may be asked for this key at this moment.
    pub(crate) fn may_look(&self, hash: &[u8; 32], now: Timestamp) -> bool {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.good.contains(hash) {
            return true;
        }
        let second = now.0.div_euclid(1_000);
        if counted.second != second {
            (counted.second, counted.looks) = (second, 0);
        }
        counted.looks = counted.looks.saturating_add(1);
        counted.looks <= PER_SECOND
    }

    /// The key was found, so looking for it again is nobody's guess.
    pub(crate) fn found(&self, hash: [u8; 32]) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.good.len() >= GOOD_MAX {
            counted.good.clear();
        }
        counted.good.insert(hash);
    }

    /// The key is not there, or not any more.
    pub(crate) fn missed(&self, hash: &[u8; 32]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).good.remove(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_looks_and_known_keys_cost_none() {
        let strangers = Strangers::default();
        let guess = |n: u32| {
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&n.to_be_bytes());
            hash
        };
        let known = [1; 32];
        assert!(strangers.may_look(&known, Timestamp(0)));
        strangers.found(known);
        let looks = (0..1_000).filter(|n| strangers.may_look(&guess(*n), Timestamp(999))).count();
        assert_eq!(looks, PER_SECOND as usize - 1, "the first look for the known one counted");
        assert!(strangers.may_look(&known, Timestamp(999)));
        assert!(strangers.may_look(&guess(0), Timestamp(1_000)), "another second");
        strangers.missed(&known);
        assert!((0..1_000).any(|n| !strangers.may_look(&guess(n), Timestamp(1_500))));
        assert!(!strangers.may_look(&known, Timestamp(1_500)), "it was revoked, so it is a guess like others");
    }
}

//! What must never be in a ledger.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::Entry;

/// What was done too often or not at all, one sentence each; empty is good. A key that is not safe to repeat has at most one effect, since nobody
/// can know better after a crash. A safe one that has arrived has exactly one.
pub fn duplicates(entries: &[Entry]) -> Vec<String> {
    let mut keys: BTreeMap<Uuid, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        keys.entry(entry.key).or_default().push(entry);
    }
    keys.values().filter_map(|arrivals| wrong(arrivals)).collect()
}

fn wrong(arrivals: &[&Entry]) -> Option<String> {
    let first = arrivals.first()?;
    let effects = arrivals.iter().filter(|entry| entry.applied).count();
    // Who calls a key both ways may not lean on its being safe.
    let safe = arrivals.iter().all(|entry| entry.safe);
    if if safe { effects == 1 } else { effects <= 1 } {
        return None;
    }
    let kind = if safe { "safe" } else { "unsafe" };
    Some(format!(
        "the {kind} call {:?} of run {} (key {}) arrived {} times and had {effects} effects",
        first.call,
        first.run,
        first.key,
        arrivals.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: u128, safe: bool, applied: bool) -> Entry {
        let (run, call) = (Uuid::from_u128(99), format!("call-{key}"));
        Entry { key: Uuid::from_u128(key), run, call, safe, line: String::new(), applied }
    }

    #[test]
    fn what_may_happen_is_not_held_against_anyone() {
        let good = [
            entry(1, false, true),
            entry(2, false, false),
            entry(3, true, true),
            entry(3, true, false),
            entry(4, true, false),
            entry(4, true, true),
            entry(5, false, false),
            entry(5, false, true),
        ];
        assert_eq!(duplicates(&good), Vec::<String>::new());
    }

    #[test]
    fn each_way_of_going_wrong_is_named() {
        let twice = duplicates(&[entry(1, false, true), entry(2, false, true), entry(1, false, true)]);
        assert_eq!(twice.len(), 1, "{twice:?}");
        assert!(twice[0].contains("unsafe call \"call-1\"") && twice[0].contains("2 effects"), "{twice:?}");
        let twice = duplicates(&[entry(1, true, true), entry(1, true, true)]);
        assert!(twice[0].contains("the safe call"), "{twice:?}");
        let never = duplicates(&[entry(1, true, false), entry(1, true, false)]);
        assert!(never[0].contains("arrived 2 times and had 0 effects"), "{never:?}");
        let both_ways = duplicates(&[entry(1, true, true), entry(1, false, true)]);
        assert_eq!(both_ways.len(), 1, "{both_ways:?}");
    }
}

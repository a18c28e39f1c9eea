//! The suites must be able to fail: with a policy that is broken in one way, each of them sees what may not be dialled.

use super::{any_url, rebinding, redirects, refused};
use crate::Policy;

/// What a policy can be made to do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// Looks at the host's name only, and at no address.
    NamesOnly,
    /// Looks at the first address of a name only.
    FirstAddressOnly,
    /// Looks at one answer of the resolver and dials the next one.
    ResolveAgain,
}

impl Policy {
    /// Whether the address after `seen` others is not looked at.
    pub(crate) fn overlooks(&self, seen: usize) -> bool {
        match self.sabotage {
            Some(Sabotage::NamesOnly) => true,
            Some(Sabotage::FirstAddressOnly) => seen > 0,
            Some(Sabotage::ResolveAgain) | None => false,
        }
    }

    /// The same, broken.
    pub(super) fn sabotaged(mut self, sabotage: impl Into<Option<Sabotage>>) -> Self {
        self.sabotage = sabotage.into();
        self
    }
}

#[tokio::test(start_paused = true)]
async fn the_table_turns_red() {
    for sabotage in [Sabotage::NamesOnly, Sabotage::FirstAddressOnly] {
        let tally = refused::walk(Policy::default().sabotaged(sabotage)).await;
        assert!(tally.forbidden > 0 && !tally.wrong.is_empty(), "{sabotage:?}: {tally:?}");
        println!("{sabotage:?}: {} forbidden dials, {} wrong rows", tally.forbidden, tally.wrong.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_races_turn_red() {
    for sabotage in [Sabotage::NamesOnly, Sabotage::FirstAddressOnly, Sabotage::ResolveAgain] {
        let tally = rebinding::without_a_server(|| Policy::default().sabotaged(sabotage), 60).await;
        assert!(tally.forbidden > 0, "{sabotage:?}: {tally:?}");
        println!("{sabotage:?}: {tally:?}");
    }
}

#[tokio::test]
async fn the_redirects_turn_red() {
    let tally = redirects::inward(Policy::default().sabotaged(Sabotage::NamesOnly)).await;
    assert!(tally.forbidden > 0, "{tally:?}");
    println!("NamesOnly: {} forbidden dials after redirects", tally.forbidden);
}

#[test]
fn the_search_turns_red() {
    for sabotage in [Sabotage::NamesOnly, Sabotage::FirstAddressOnly] {
        assert!(any_url::search(Some(sabotage), 2_000).is_err(), "{sabotage:?}");
    }
}

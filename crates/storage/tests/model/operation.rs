//! What can be done to runs: by people, by workers that hold a lease or think so, and by time.

use proptest::prelude::*;

/// Teams of every sequence.
pub(crate) const TEAMS: usize = 2;

#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// A run is accepted.
    Insert {
        team: usize,
        webhook: bool,
        message: bool,
    },
    /// A worker takes what is due.
    Claim {
        most: u32,
        stops_only: bool,
        team_most: Option<u32>,
        lease_ms: u64,
        suspect_from: u32,
        suspect: bool,
    },
    /// The worker of some claim writes a step.
    Commit {
        worker: prop::sample::Index,
        step: Step,
        lease: After,
        takes: bool,
        overtaken: bool,
    },
    /// It tries its last step again, not knowing what came of it.
    Again {
        worker: prop::sample::Index,
    },
    Renew {
        worker: prop::sample::Index,
        lease_ms: u64,
    },
    LetGo {
        worker: prop::sample::Index,
        after_ms: u64,
    },
    Clear {
        worker: prop::sample::Index,
        attempt: u32,
    },
    /// A person writes to a run, or stops it.
    Tell {
        run: prop::sample::Index,
        stop: bool,
    },
    /// A person answers what the run asked last, in time or not.
    Answer {
        run: prop::sample::Index,
    },
    Pass {
        ms: u64,
    },
    /// The only process of a database in a file starts.
    FreeAll,
    Unstick,
}

/// What a step is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Nothing,
    Note,
    Ask,
    Complete,
    Fail,
    Interrupt,
}

/// What becomes of the lease.
#[derive(Debug, Clone, Copy)]
pub(crate) enum After {
    Hold(u64),
    Sleep(u64),
    Release,
}

pub(crate) fn any_sequence() -> impl Strategy<Value = Vec<Operation>> {
    prop::collection::vec(any_operation(), 1..40)
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let worker = any::<prop::sample::Index>;
    let ms = || prop_oneof![Just(1_u64), Just(500), Just(1_000), Just(5_000), Just(400_000)];
    let after =
        || prop_oneof![3 => ms().prop_map(After::Hold), 1 => ms().prop_map(After::Sleep), 2 => Just(After::Release)];
    let step = || {
        use Step::{Ask, Complete, Fail, Interrupt, Note, Nothing};
        prop::sample::select(vec![Nothing, Note, Note, Ask, Ask, Complete, Complete, Fail, Interrupt])
    };
    let claim = (1..4_u32, prop::bool::weighted(0.2), prop::option::of(1..3_u32), ms(), 2..4_u32, any::<bool>());
    prop_oneof![
        3 => (0..TEAMS, any::<bool>(), any::<bool>())
            .prop_map(|(team, webhook, message)| Operation::Insert { team, webhook, message }),
        5 => claim.prop_map(|(most, stops_only, team_most, lease_ms, suspect_from, suspect)| {
            Operation::Claim { most, stops_only, team_most, lease_ms, suspect_from, suspect }
        }),
        8 => (worker(), step(), after(), prop::bool::weighted(0.7), any::<bool>()).prop_map(
            |(worker, step, lease, takes, overtaken)| Operation::Commit { worker, step, lease, takes, overtaken }
        ),
        2 => worker().prop_map(|worker| Operation::Again { worker }),
        2 => (worker(), ms()).prop_map(|(worker, lease_ms)| Operation::Renew { worker, lease_ms }),
        2 => (worker(), ms()).prop_map(|(worker, after_ms)| Operation::LetGo { worker, after_ms }),
        1 => (worker(), 0..3_u32).prop_map(|(worker, attempt)| Operation::Clear { worker, attempt }),
        5 => (worker(), prop::bool::weighted(0.3)).prop_map(|(run, stop)| Operation::Tell { run, stop }),
        3 => worker().prop_map(|run| Operation::Answer { run }),
        4 => ms().prop_map(|ms| Operation::Pass { ms }),
        1 => Just(Operation::FreeAll),
        1 => Just(Operation::Unstick),
    ]
}

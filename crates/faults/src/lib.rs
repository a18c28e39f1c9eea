//! # faults
//!
//! **Holds** the named places at which a test can make the process die, and the named sabotages that a fault suite must notice. Built without the
//! feature `armed`, as everywhere but in the fault suites, all of it is nothing and costs nothing.
//!
//! **May** end the process, when it is told to by its environment. **May not** decide anything else.
//!
//! Two variables arm a build: `ERRAND_FAULT=NAME:HIT:ACTION` (at the HITth time that the process comes by NAME; the actions are `abort`, and `error`
//! where the place can fail) and `ERRAND_SABOTAGE=NAME`.

#[cfg(feature = "armed")]
mod armed;

/// Every place, in the order of a run's life. A place that is not in this list does not compile into anything.
pub const POINTS: &[&str] = &[
    "start.opened",
    "start.migrated",
    "start.freed",
    "start.admitted",
    "api.write",
    "api.written",
    "api.rung",
    "sqlite.begun",
    "sqlite.ran",
    "sqlite.commit",
    "sqlite.committed",
    "postgres.begun",
    "postgres.ran",
    "postgres.commit",
    "postgres.committed",
    "run.inserted",
    "run.told",
    "run.woken",
    "claim.taken",
    "claim.journaled",
    "claims.look",
    "claims.claimed",
    "claims.begun",
    "job.load",
    "job.loaded",
    "job.decided",
    "job.committed",
    "commit.fenced",
    "commit.journaled",
    "commit.moved",
    "commit.asked",
    "files.place",
    "files.placed",
    "model.before",
    "model.after",
    "tool.before",
    "tool.after",
    "job.letting_go",
    "lease.renew",
    "lease.renewed",
    "webhook.claimed",
    "webhook.sent",
    "webhook.settled",
    "drain.begun",
    "drain.ended",
];

/// What a build can be made to do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// A write is answered before its commit.
    AckBeforeCommit,
    /// A worker that lost its lease may journal.
    FenceJournal,
    /// A worker that lost its lease renews its successor's and thinks that it holds it.
    FenceRenew,
    /// A worker that lost its lease lets go of its successor's.
    FenceRelease,
    /// A worker that ends in good order keeps its leases.
    KeepLeases,
    /// A call leaves before its intent is journaled.
    ResultBeforeIntent,
    /// What outsiders are to be told is written by a transaction of its own.
    OutboxOutside,
    /// A call that is not safe to repeat is made again after a crash.
    RepeatUnsafe,
    /// What a run used of its limits is forgotten with the process.
    CounterInMemory,
    /// A lease ends by the clock of the node that gave it.
    WallClockLeases,
    /// A reader misses an event.
    DropEvent,
    /// Whoever comes back to an event stream misses an event.
    SkipOnReturn,
    /// What was answered to an `Idempotency-Key` is forgotten.
    ForgetAnswers,
    /// A change leaves no row in the audit chain.
    SkipAudit,
    /// A server whose disk failed to sync goes on.
    TrustDisk,
    /// A run is tried again however many workers died of it.
    ForgetDeaths,
    /// A worker that lost its lease may replace the run's files.
    FenceFiles,
    /// A tool of a server is called without a look at what it is by now.
    TrustDefinitions,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::AckBeforeCommit,
        Self::FenceJournal,
        Self::FenceRenew,
        Self::FenceRelease,
        Self::KeepLeases,
        Self::ResultBeforeIntent,
        Self::OutboxOutside,
        Self::RepeatUnsafe,
        Self::CounterInMemory,
        Self::WallClockLeases,
        Self::DropEvent,
        Self::SkipOnReturn,
        Self::ForgetAnswers,
        Self::SkipAudit,
        Self::TrustDisk,
        Self::ForgetDeaths,
        Self::FenceFiles,
        Self::TrustDefinitions,
    ];

    /// Its name in `ERRAND_SABOTAGE`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AckBeforeCommit => "ack-before-commit",
            Self::FenceJournal => "fence-journal",
            Self::FenceRenew => "fence-renew",
            Self::FenceRelease => "fence-release",
            Self::KeepLeases => "keep-leases",
            Self::ResultBeforeIntent => "result-before-intent",
            Self::OutboxOutside => "outbox-outside",
            Self::RepeatUnsafe => "repeat-unsafe",
            Self::CounterInMemory => "counter-in-memory",
            Self::WallClockLeases => "wall-clock-leases",
            Self::DropEvent => "drop-event",
            Self::SkipOnReturn => "skip-on-return",
            Self::ForgetAnswers => "forget-answers",
            Self::SkipAudit => "skip-audit",
            Self::TrustDisk => "trust-disk",
            Self::ForgetDeaths => "forget-deaths",
            Self::FenceFiles => "fence-files",
            Self::TrustDefinitions => "trust-definitions",
        }
    }
}

/// Whether this build does that wrong.
#[inline]
#[must_use]
pub fn sabotaged(what: Sabotage) -> bool {
    #[cfg(feature = "armed")]
    return armed::sabotaged(what);
    #[cfg(not(feature = "armed"))]
    {
        let _ = what;
        false
    }
}

/// Comes by a place of [`POINTS`]: the process may end here.
#[inline]
pub fn point(name: &'static str) {
    #[cfg(feature = "armed")]
    armed::point(name);
    #[cfg(not(feature = "armed"))]
    let _ = name;
}

/// The same, where the place can fail instead: whether it does.
#[inline]
#[must_use]
pub fn fails(name: &'static str) -> bool {
    #[cfg(feature = "armed")]
    return armed::fails(name);
    #[cfg(not(feature = "armed"))]
    {
        let _ = name;
        false
    }
}

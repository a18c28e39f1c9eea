//! What happens when things break: servers that are killed, frozen and drained, databases that go away, disks that are full, networks that part.
//!
//! Everything is real: the program (built with the feature `faults`), SQLite or a PostgreSQL server of the test's own, a model behind a wire, a
//! ledger with a log of its own. `job.rs` is what the Jobs do, `world.rs` who takes part, `storm.rs` what people do meanwhile, and `judge.rs` says
//! afterwards everything that must not be. A seed that is printed brings a storm's choices back, though never its timing.
//!
//! `sabotage.rs` shows that each suite would notice: it runs them on servers that do one thing wrong.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail it loudly")]

mod api;
mod approvals;
mod chance;
mod disk;
mod drains;
mod edits;
mod failover;
mod io;
mod job;
mod judge;
mod kills;
mod node;
mod nodes;
mod partitions;
mod points;
mod poison;
mod restarts;
mod sabotage;
mod storm;
mod streams;
mod totals;
mod world;
mod zombies;

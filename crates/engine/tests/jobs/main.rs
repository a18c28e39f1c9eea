//! The engine at work: a real database, real files, real time, and a model that is a function.
//!
//! One module a promise. `house.rs` has the tenant, the engines and the ways to look at a run.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail it loudly")]

mod answers;
mod bounds;
mod files;
mod house;
mod leases;
mod outages;
mod people;
mod poison;
mod recovery;
mod restarts;
mod retries;
mod servers;

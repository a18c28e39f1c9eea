//! The nouns on a real database file: what each promises its callers, told in their own words.
//!
//! One module a noun. `house.rs` has the tenants and the short cuts; what the driver underneath promises is tested beside it, in `src/db`.
#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it loudly")]

mod builds;
mod fence;
mod house;
mod inbox;
mod journal;
mod keys;
mod lists;
mod people;
mod teams;

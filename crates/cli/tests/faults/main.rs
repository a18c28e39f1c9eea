//! A server that dies, and one that freezes: what neither may do to its runs.
//!
//! Both tests start the real program on a real folder, with a model that answers over the wire, and let `testkit::checker` judge what a
//! reader of the API gets to see afterwards. `kills.rs` is the server that dies, `zombies.rs` the one that freezes and comes back.
//!
//! Built with the feature `sabotage-fence`, the store lets workers write that lost their lease. Then the second test must find the damage: it
//! shows that the judge would notice.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail it loudly")]

mod api;
mod chance;
mod job;
#[cfg(not(feature = "sabotage-fence"))]
mod kills;
mod server;
mod zombies;

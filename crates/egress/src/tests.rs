//! Whether anything is ever dialled that may not be, and whether everything that may be still works.
//!
//! Here: what the suites share. `world.rs` is the network that they see: names that resolve to whatever a test says, and a dialler that writes down
//! each address that it is told to dial and, at most, connects to the test's own server (`server.rs`) on this machine instead. `oracle.rs`
//! says a second time what is forbidden. `sabotage.rs` shows that the suites turn red when the policy is broken.

mod any_url;
mod caps;
mod oracle;
mod rebinding;
mod redirects;
mod refused;
pub(crate) mod sabotage;
mod same_for_all;
mod server;
mod works;
mod world;

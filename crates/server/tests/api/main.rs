//! The API from outside: every operation, in success and in failure, against a real store and no network.
//!
//! Each answer that any of these tests gets is held against the published schemas; see `house.rs`. One file per noun; `access.rs` and
//! `bodies.rs` hold what is true of all operations.

#[cfg(test)]
mod access;
#[cfg(test)]
mod agents;
#[cfg(test)]
mod bodies;
#[cfg(test)]
mod builds;
#[cfg(test)]
mod events;
#[cfg(test)]
mod house;
#[cfg(test)]
mod human_requests;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod sandboxes;
#[cfg(test)]
mod serving;
#[cfg(test)]
mod stores;

//! The API from outside: every operation, in success and in failure, against a real store and no network.
//!
//! Each answer that any of these tests gets is held against the published schemas; see `house.rs`. One file per noun; `access.rs`, `bodies.rs`,
//! `changes.rs` and `rates.rs` hold what is true of all operations, `stores.rs` that both databases answer alike, `matrix.rs` who may do which,
//! `slow.rs`, `wire.rs` and `tls.rs` say to a real socket what only `door.rs` can say,
//! `examples.rs` sends what the documentation shows, and `documentation.rs` holds the documentation against the contract.

#[cfg(test)]
mod access;
#[cfg(test)]
mod agents;
#[cfg(test)]
mod bodies;
#[cfg(test)]
mod builds;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod configs;
#[cfg(test)]
mod documentation;
#[cfg(test)]
mod door;
#[cfg(test)]
mod events;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod fairness;
#[cfg(test)]
mod files;
#[cfg(test)]
mod house;
#[cfg(test)]
mod human_requests;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod paths;
#[cfg(test)]
mod rates;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod sandboxes;
#[cfg(test)]
mod serving;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod stores;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod upload_urls;
#[cfg(test)]
mod webhooks;
#[cfg(test)]
mod wire;

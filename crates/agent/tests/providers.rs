//! The providers against a fake that is true to the wire of each.

#[cfg(test)]
#[path = "providers/calls.rs"]
mod calls;
#[cfg(test)]
#[path = "providers/cuts.rs"]
mod cuts;
#[cfg(test)]
#[path = "providers/discovery.rs"]
mod discovery;
#[cfg(test)]
#[path = "providers/failures.rs"]
mod failures;
#[cfg(test)]
#[path = "providers/misbehaviours.rs"]
mod misbehaviours;
#[cfg(test)]
#[path = "providers/raw.rs"]
mod raw;
#[cfg(test)]
#[path = "providers/replays.rs"]
mod replays;
#[cfg(test)]
#[path = "providers/rows.rs"]
mod rows;
#[cfg(test)]
#[path = "providers/sampling.rs"]
mod sampling;
#[cfg(test)]
#[path = "providers/settings.rs"]
mod settings;
#[cfg(test)]
#[path = "providers/strange.rs"]
mod strange;
#[cfg(test)]
#[path = "providers/support.rs"]
mod support;
#[cfg(test)]
#[path = "providers/wires.rs"]
mod wires;

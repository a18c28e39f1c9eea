//! # agent
//!
//! **Holds** what talks to the outside for a run: one model turn ([`models`], [`providers`], [`recorded`]), the tools every Job has
//! ([`tools`], over the files of a [`workspace`]), and the operator's settings for both ([`settings`], [`discover`]).
//!
//! **May** call models and tools. **May not** read or write the database, or loop over turns: `engine` does that.

pub mod discover;
mod errors;
mod meters;
pub mod models;
pub mod providers;
pub mod recorded;
pub mod settings;
pub mod tools;
pub mod workspace;

pub use crate::meters::Meters;

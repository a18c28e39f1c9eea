//! The room `testkit`: what the tests of several rooms share.
//!
//! **Holds** judges and stand-ins: the published schemas that answers are checked against.
//!
//! **May** panic on a broken fixture, since only tests use it.
//!
//! **May not** be a dependency of anything that ships, nor hold a rule of its own: what is right is
//! said by the published contract and by the rooms themselves.

pub mod ambient;
pub mod checker;
pub mod fake_provider;
pub mod schemas;
pub mod scripted;

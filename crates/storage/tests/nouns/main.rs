//! The nouns on real databases, SQLite and PostgreSQL, which must answer alike: what each promises its callers, told in their own words.
//!
//! One module a noun. `house.rs` has the tenants and the short cuts; what the driver underneath promises is tested beside it, in `src/db`.
#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it loudly")]

/// Runs a test on each engine.
macro_rules! both {
    ($name:ident) => {
        mod $name {
            use crate::house::Engine;

            #[tokio::test]
            async fn sqlite() {
                super::$name(Engine::Sqlite).await;
            }

            #[tokio::test]
            async fn memory() {
                super::$name(Engine::Memory).await;
            }

            #[tokio::test]
            async fn postgres() {
                super::$name(Engine::Postgres).await;
            }

            #[tokio::test]
            async fn postgres_behind_a_pooler() {
                super::$name(Engine::Pooled).await;
            }
        }
    };
}

mod builds;
mod clocks;
mod edge;
mod fence;
mod files;
mod holds;
mod house;
mod inbox;
mod journal;
mod keys;
mod lists;
mod load;
mod master_keys;
mod people;
mod pooled;
mod postgres;
mod quota;
mod servers;
mod teams;

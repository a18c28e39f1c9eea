//! What a run goes through in the store, against a model of it in plain Rust: any sequence of operations gets the same answers, and leaves the same
//! rows behind, from the model, from SQLite in memory and in a file, and from PostgreSQL.
//!
//! `reference.rs` is the model, `operation.rs` what can be done, `store.rs` a database and what is seen of it, `play.rs` holds one against the other.
//! `ERRAND_MODEL_MEMORY` and `ERRAND_MODEL_STORES` say how many sequences are tried; one that fails is shortened by itself.
#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

mod operation;
mod play;
#[path = "../nouns/postgres.rs"]
mod postgres;
mod reference;
mod store;

use proptest::test_runner::{Config, TestRunner};

use crate::store::{Engine, Store};

/// Plays so many sequences on a store.
fn sequences(engine: Engine, count: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let store = runtime.block_on(Store::new(engine));
    let config = Config { cases: count, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let outcome = TestRunner::new(config).run(&operation::any_sequence(), |sequence| {
        runtime.block_on(play::play(&store, &sequence));
        Ok(())
    });
    if let Err(broken) = outcome {
        // As the shortest sequence that breaks it.
        assert_eq!(broken.to_string(), "", "{engine:?} differs from the model");
    }
}

fn number(name: &str, usual: u32) -> u32 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

#[test]
fn memory_answers_as_the_model() {
    sequences(Engine::Memory, number("ERRAND_MODEL_MEMORY", 2_000));
}

#[test]
fn a_file_answers_as_the_model() {
    sequences(Engine::Sqlite, number("ERRAND_MODEL_STORES", 200));
}

#[test]
fn postgres_answers_as_the_model() {
    sequences(Engine::Postgres, number("ERRAND_MODEL_STORES", 200));
}

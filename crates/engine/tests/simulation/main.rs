//! Simulated time, real engines: three nodes over one database in a storm of faults, all of it the consequence of one seed.
//!
//! One thread, a clock that only moves when nobody has anything to do, and one source of chance, so a seed that fails, fails again:
//! `ERRAND_SIM_SEED=N cargo test -p engine --test simulation` (with `ERRAND_SIM_TRACE=1` for the whole story). `ERRAND_SIM_SEEDS` says how many
//! seeds are tried, `ERRAND_SIM_FIRST` from which on.
//!
//! `sim.rs` is one simulation, `node.rs` what a node is and sees, `storm.rs` what happens to it, `clients.rs` who uses it; `watch.rs` judges every
//! commit, `judge.rs` the end.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails loudly and says what it saw")]

mod book;
mod chance;
mod clients;
mod judge;
mod model;
mod node;
mod plan;
#[cfg(feature = "faults")]
mod sabotage;
mod sim;
mod storm;
mod tools;
mod watch;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::book::{Book, Counts};
use crate::sim::Sim;

/// Seeds in flight at once.
const THREADS: usize = 2;

/// A whole simulation, from its seed alone.
fn simulate(seed: u64) -> Book {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(Sim::run(seed))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn no_seed_breaks_a_promise() {
    let (first, seeds) = match number("ERRAND_SIM_SEED") {
        Some(seed) => (seed, 1),
        None => (number("ERRAND_SIM_FIRST").unwrap_or(1), number("ERRAND_SIM_SEEDS").unwrap_or(1_000)),
    };
    let (began, next) = (Instant::now(), AtomicU64::new(first));
    let work = || {
        let (mut total, mut broken) = (Counts::default(), 0);
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return (total, broken);
            }
            let book = simulate(seed);
            book.pages.iter().flatten().for_each(|line| println!("{line}"));
            for what in book.violations.iter().take(5) {
                println!("VIOLATION ERRAND_SIM_SEED={seed}: {what}");
            }
            broken += u64::from(!book.violations.is_empty());
            total.add(&book.counts);
        }
    };
    let (total, broken) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().fold((Counts::default(), 0), |(mut total, broken), thread| {
            let (counts, more) = thread.join().unwrap();
            total.add(&counts);
            (total, broken + more)
        })
    });
    println!(
        "{seeds} seeds from {first} in {:.1} s: {total}, {broken} seeds with violations",
        began.elapsed().as_secs_f64()
    );
    assert_eq!(broken, 0, "promises were broken: see the lines that begin with VIOLATION");
}

#[test]
fn a_seed_is_the_same_story_every_time() {
    let first = number("ERRAND_SIM_FIRST").unwrap_or(1);
    for seed in first..first + 20 {
        let (once, again) = (simulate(seed), simulate(seed));
        assert_eq!(once.hash, again.hash, "ERRAND_SIM_SEED={seed} tells two stories");
        assert!(once.counts.commits > 0, "ERRAND_SIM_SEED={seed}: nothing happened");
    }
}

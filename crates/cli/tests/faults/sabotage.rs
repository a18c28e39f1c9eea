//! Each suite, on servers that do one thing wrong, must turn red: what cannot fail proves nothing. Those sabotages that only a simulation can
//! time are shown there (`engine`, test target `simulation`).

use std::process::Command;
use std::time::Instant;

use faults::Sabotage;

use crate::failover::ASYNCHRONOUS;

/// What is wrong when something that was acknowledged is lost: a Job, a message, an answer, a stop.
const LOST: &[&str] = &["was accepted and is gone", "and shows", "was taken and is journaled 0 times", "and never was"];

/// What a lease that nobody let go of looks like, from the database and to the next worker.
const KEPT: &[&str] = &["leases", "that had not let go"];

/// What the ledger has when a call was made again.
const REPEATED: &[&str] = &["was recorded 2 times"];

/// What a worker leaves in the journal of a run that is another's by now.
const WRITTEN: &[&str] = &["comes after the end", "answers turn", "that is not under way"];

/// A sabotage that a suite must notice.
struct Shown {
    sabotage: Sabotage,
    suite: &'static str,
    /// In which words: one of these, so that no other mishap is taken for it.
    words: &'static [&'static str],
    /// How much the suite does: as little as shows it.
    numbers: Numbers,
}

/// What the environment says after `ERRAND_FAULTS_`.
type Numbers = &'static [(&'static str, &'static str)];

const T01: &str = "kills::t01_one_node_on_sqlite";
/// For what is wrong at once.
const FEW: Numbers = &[("KILLS", "3"), ("RUNS", "20")];
/// For what is wrong after a kill.
const SOME: Numbers = &[("KILLS", "10"), ("RUNS", "60")];
/// For what is wrong after a kill in the right moment.
const MANY: Numbers = &[("KILLS", "25"), ("RUNS", "150")];
const PAYS: Numbers = &[("KILLS", "6"), ("RUNS", "60")];
const DRAINS: Numbers = &[("DRAINS", "4")];
const ONE_POINT: Numbers = &[("POINT", "tool.after"), ("HITS", "1")];

const fn shown(sabotage: Sabotage, suite: &'static str, words: &'static [&'static str], numbers: Numbers) -> Shown {
    Shown { sabotage, suite, words, numbers }
}

const SHOWN: [Shown; 23] = [
    shown(Sabotage::AckBeforeCommit, T01, LOST, MANY),
    shown(Sabotage::ResultBeforeIntent, T01, &["without an intent in the journal"], SOME),
    shown(Sabotage::OutboxOutside, T01, &["outsiders would be told"], &[("KILLS", "15"), ("RUNS", "90")]),
    shown(Sabotage::RepeatUnsafe, T01, REPEATED, SOME),
    shown(Sabotage::CounterInMemory, T01, &["Endless ended failed after"], MANY),
    shown(Sabotage::DropEvent, T01, &["has seq"], FEW),
    shown(Sabotage::SkipOnReturn, T01, &["whoever followed it was shown"], SOME),
    shown(Sabotage::ForgetAnswers, T01, &["would now be answered None"], FEW),
    shown(Sabotage::SkipAudit, T01, &["its start has 0 rows in the audit chain"], FEW),
    shown(Sabotage::AckBeforeCommit, "kills::t02_three_nodes_on_postgres", LOST, MANY),
    shown(Sabotage::RepeatUnsafe, "points::t03_on_sqlite", REPEATED, ONE_POINT),
    shown(Sabotage::RepeatUnsafe, "points::t03_on_postgres", REPEATED, ONE_POINT),
    shown(
        Sabotage::TrustDisk,
        "io::t06_a_failed_sync_stops_the_server_before_it_answers",
        &["it ended with None"],
        &[("SYNC_FAILURES", "1"), ("PATIENCE_SECS", "5")],
    ),
    shown(Sabotage::ForgetDeaths, "poison::t07_on_sqlite", &["is not given up: 4 workers died"], &[]),
    shown(Sabotage::ForgetDeaths, "poison::t07_on_postgres", &["is not given up: 4 workers died"], &[]),
    shown(
        Sabotage::FenceJournal,
        "zombies::t09_frozen_nodes_write_nothing_to_what_they_lost",
        WRITTEN,
        &[("FREEZES", "6")],
    ),
    shown(
        Sabotage::FenceFiles,
        "zombies::t09_frozen_nodes_write_nothing_to_what_they_lost",
        &["but the journal says"],
        &[("FREEZES", "6")],
    ),
    shown(Sabotage::AckBeforeCommit, "disk::t11_full_then_freed", &["was accepted and is gone"], &[("FULL_SECS", "2")]),
    shown(
        Sabotage::AckBeforeCommit,
        "restarts::t12_the_database_restarts_under_load",
        LOST,
        &[("RESTARTS", "4"), ("RUNS", "150")],
    ),
    shown(
        Sabotage::FenceJournal,
        "partitions::t14_a_node_that_is_cut_off_stops_and_comes_back",
        WRITTEN,
        &[("PARTITIONS", "2"), ("RUNS", "160"), ("PAUSE_MS", "50")],
    ),
    shown(Sabotage::KeepLeases, "drains::t18_on_sqlite", KEPT, DRAINS),
    shown(Sabotage::KeepLeases, "drains::t18_on_postgres", KEPT, DRAINS),
    shown(Sabotage::TrustDefinitions, "approvals::t27_on_sqlite", &["was approved and"], PAYS),
];

/// How often a short suite may miss the moment in which its sabotage shows.
const TRIES: usize = 3;

#[test]
fn each_sabotage_turns_its_suite_red() {
    let mut unnoticed = Vec::new();
    for Shown { sabotage, suite, words, numbers } in SHOWN {
        let name = sabotage.name();
        let mut tries = (1..=TRIES).map(|number| {
            let began = Instant::now();
            let said = run(suite, ("ERRAND_SABOTAGE", name), numbers);
            let (found, took) = (violations(&said, words), began.elapsed().as_secs());
            let first = found.first().unwrap_or(&"nothing");
            println!("{suite} under {name}, try {number}, {took} s: {} times, {first}", found.len());
            if found.is_empty() {
                println!("{said}");
            }
            !found.is_empty()
        });
        if !tries.any(|noticed| noticed) {
            unnoticed.push(format!("{name} was not noticed by {suite} as one of {words:?}"));
        }
    }
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
}

/// The limit that the promise names: a standby that nobody waits for.
#[test]
fn a_failover_to_an_asynchronous_standby_loses_what_was_acknowledged() {
    let said = run("failover::t13_a_synchronous_standby_takes_over", (ASYNCHRONOUS, "1"), &[("FAILOVERS", "2")]);
    let found = violations(&said, LOST);
    println!("an asynchronous standby: {} times, {}", found.len(), found.first().unwrap_or(&"nothing"));
    assert!(!found.is_empty(), "nothing was lost, or nobody noticed:\n{said}");
}

/// Runs a suite, shorter than usual, with a variable: all that it said.
fn run(suite: &str, variable: (&str, &str), numbers: Numbers) -> String {
    let run = Command::new(std::env::current_exe().unwrap())
        .args([suite, "--exact", "--nocapture"])
        .envs([variable])
        // What is wrong with a server keeps Jobs from their end: nobody waits for that for long.
        .env("ERRAND_FAULTS_QUIET_SECS", "5")
        .envs(numbers.iter().map(|(name, number)| (format!("ERRAND_FAULTS_{name}"), number)))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr) + String::from_utf8_lossy(&run.stdout);
    said.into_owned()
}

/// The judge's sentences with one of these words. It writes each on a line of its own, after `VIOLATIONS` and before the nodes' logs.
fn violations<'s>(said: &'s str, words: &[&str]) -> Vec<&'s str> {
    let list = said.lines().skip_while(|line| !line.contains("VIOLATIONS: ")).skip(2);
    let list = list.take_while(|line| *line != "]").map(str::trim);
    list.filter(|line| words.iter().any(|word| line.contains(word))).collect()
}

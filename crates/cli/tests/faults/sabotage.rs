//! Each suite, on servers that do one thing wrong, must turn red: what cannot fail proves nothing. Those sabotages that only a simulation can
//! time are shown there (`engine`, test target `simulation`).

use std::process::Command;

use faults::Sabotage;

use crate::failover::ASYNCHRONOUS;

/// What is wrong when something that was acknowledged is lost: a Job, a message, an answer, a stop.
const LOST: &[&str] = &["was accepted and is gone", "and shows", "was taken and is journaled 0 times", "and never was"];

/// What a lease that nobody let go of looks like, from the database and to the next worker.
const KEPT: &[&str] = &["leases", "that had not let go"];

/// What a worker leaves in the journal of a run that is another's by now.
const WRITTEN: &[&str] = &["comes after the end", "answers turn", "that is not under way"];

/// Which suite must notice what, and in which words: one of these, so that no other mishap is taken for it.
const SHOWN: [(Sabotage, &str, &[&str]); 11] = [
    (Sabotage::AckBeforeCommit, "kills::t01_one_node_on_sqlite", LOST),
    (Sabotage::ResultBeforeIntent, "kills::t01_one_node_on_sqlite", &["without an intent in the journal"]),
    (Sabotage::OutboxOutside, "kills::t01_one_node_on_sqlite", &["outsiders would be told"]),
    (Sabotage::RepeatUnsafe, "kills::t01_one_node_on_sqlite", &["was recorded 2 times"]),
    (Sabotage::CounterInMemory, "kills::t01_one_node_on_sqlite", &["Endless ended failed after"]),
    (Sabotage::DropEvent, "kills::t01_one_node_on_sqlite", &["has seq"]),
    (Sabotage::AckBeforeCommit, "kills::t02_three_nodes_on_postgres", LOST),
    (Sabotage::FenceJournal, "zombies::t09_frozen_nodes_write_nothing_to_what_they_lost", WRITTEN),
    (Sabotage::AckBeforeCommit, "restarts::t12_the_database_restarts_under_load", LOST),
    (Sabotage::KeepLeases, "drains::t18_on_sqlite", KEPT),
    (Sabotage::KeepLeases, "drains::t18_on_postgres", KEPT),
];

#[test]
fn each_sabotage_turns_its_suite_red() {
    let mut unnoticed = Vec::new();
    for (sabotage, suite, words) in SHOWN {
        let said = run(suite, ("ERRAND_SABOTAGE", sabotage.name()));
        let found = violations(&said, words);
        println!("{suite} under {}: {} times, {}", sabotage.name(), found.len(), found.first().unwrap_or(&"nothing"));
        if found.is_empty() {
            unnoticed.push(format!("{} was not noticed by {suite} as one of {words:?}:\n{said}", sabotage.name()));
        }
    }
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
}

/// The limit that the promise names: a standby that nobody waits for.
#[test]
fn a_failover_to_an_asynchronous_standby_loses_what_was_acknowledged() {
    let said = run("failover::t13_a_synchronous_standby_takes_over", (ASYNCHRONOUS, "1"));
    let found = violations(&said, LOST);
    println!("an asynchronous standby: {} times, {}", found.len(), found.first().unwrap_or(&"nothing"));
    assert!(!found.is_empty(), "nothing was lost, or nobody noticed:\n{said}");
}

/// Runs a suite, shorter than usual, with a variable: all that it said.
fn run(suite: &str, variable: (&str, &str)) -> String {
    let run = Command::new(std::env::current_exe().unwrap())
        .args([suite, "--exact", "--nocapture"])
        .env(variable.0, variable.1)
        .env("ERRAND_FAULTS_KILLS", "25")
        .env("ERRAND_FAULTS_RUNS", "150")
        .env("ERRAND_FAULTS_FREEZES", "6")
        .env("ERRAND_FAULTS_RESTARTS", "4")
        .env("ERRAND_FAULTS_FAILOVERS", "2")
        .env("ERRAND_FAULTS_DRAINS", "4")
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

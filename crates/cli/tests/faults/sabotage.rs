//! Each suite, on servers that do one thing wrong, must turn red: what cannot fail proves nothing. Those sabotages that only a simulation can
//! time are shown there (`engine`, test target `simulation`).

use std::process::Command;

use faults::Sabotage;

use crate::failover::ASYNCHRONOUS;

/// Which suite must notice what.
const SHOWN: [(Sabotage, &str); 11] = [
    (Sabotage::AckBeforeCommit, "kills::t01_one_node_on_sqlite"),
    (Sabotage::ResultBeforeIntent, "kills::t01_one_node_on_sqlite"),
    (Sabotage::OutboxOutside, "kills::t01_one_node_on_sqlite"),
    (Sabotage::RepeatUnsafe, "kills::t01_one_node_on_sqlite"),
    (Sabotage::CounterInMemory, "kills::t01_one_node_on_sqlite"),
    (Sabotage::DropEvent, "kills::t01_one_node_on_sqlite"),
    (Sabotage::AckBeforeCommit, "kills::t02_three_nodes_on_postgres"),
    (Sabotage::FenceJournal, "zombies::t09_frozen_nodes_write_nothing_to_what_they_lost"),
    (Sabotage::AckBeforeCommit, "restarts::t12_the_database_restarts_under_load"),
    (Sabotage::KeepLeases, "drains::t18_on_sqlite"),
    (Sabotage::KeepLeases, "drains::t18_on_postgres"),
];

#[test]
fn each_sabotage_turns_its_suite_red() {
    let mut green = Vec::new();
    for (sabotage, suite) in SHOWN {
        let (red, said) = is_red(suite, ("ERRAND_SABOTAGE", sabotage.name()));
        println!("{} under {}: {}", suite, sabotage.name(), violations(&said));
        if !red {
            green.push(format!("{} was not noticed by {suite}:\n{said}", sabotage.name()));
        }
    }
    assert!(green.is_empty(), "{green:#?}");
}

/// The limit that the promise names: a standby that nobody waits for.
#[test]
fn a_failover_to_an_asynchronous_standby_loses_what_was_acknowledged() {
    let (red, said) = is_red("failover::t13_a_synchronous_standby_takes_over", (ASYNCHRONOUS, "1"));
    println!("an asynchronous standby: {}", violations(&said));
    assert!(red, "nothing was lost, or nobody noticed:\n{said}");
}

/// Runs a suite, shorter than usual, with a variable: whether it found violations, and all that it said.
fn is_red(suite: &str, variable: (&str, &str)) -> (bool, String) {
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
    let said = said.into_owned();
    (!run.status.success() && !violations(&said).is_empty(), said)
}

fn violations(said: &str) -> &str {
    said.lines().find(|line| line.contains("VIOLATIONS: ")).unwrap_or_default().trim()
}

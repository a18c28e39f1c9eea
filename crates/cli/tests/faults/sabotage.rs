//! Each suite, on servers that do one thing wrong, must turn red: what cannot fail proves nothing. Those sabotages that only a simulation can
//! time are shown there (`engine`, test target `simulation`).

use std::process::Command;

use faults::Sabotage;

/// Which suite must notice what.
const SHOWN: [(Sabotage, &str); 7] = [
    (Sabotage::AckBeforeCommit, "kills::t01_one_node_on_sqlite"),
    (Sabotage::ResultBeforeIntent, "kills::t01_one_node_on_sqlite"),
    (Sabotage::OutboxOutside, "kills::t01_one_node_on_sqlite"),
    (Sabotage::RepeatUnsafe, "kills::t01_one_node_on_sqlite"),
    (Sabotage::CounterInMemory, "kills::t01_one_node_on_sqlite"),
    (Sabotage::DropEvent, "kills::t01_one_node_on_sqlite"),
    (Sabotage::FenceJournal, "zombies::t09_frozen_nodes_write_nothing_to_what_they_lost"),
];

#[test]
fn each_sabotage_turns_its_suite_red() {
    let mut green = Vec::new();
    for (sabotage, suite) in SHOWN {
        let run = Command::new(std::env::current_exe().unwrap())
            .args([suite, "--exact", "--nocapture"])
            .env("ERRAND_SABOTAGE", sabotage.name())
            .env("ERRAND_FAULTS_KILLS", "25")
            .env("ERRAND_FAULTS_RUNS", "150")
            .env("ERRAND_FAULTS_FREEZES", "6")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr) + String::from_utf8_lossy(&run.stdout);
        let found = said.lines().find(|line| line.contains("VIOLATIONS: ")).unwrap_or_default();
        println!("{}: {}", sabotage.name(), found.trim());
        if run.status.success() || found.is_empty() {
            green.push(format!("{} was not noticed by {suite}:\n{said}", sabotage.name()));
        }
    }
    assert!(green.is_empty(), "{green:#?}");
}

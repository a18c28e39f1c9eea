//! A simulation that cannot fail proves nothing: this binary, told to do one thing wrong, must find violations by itself.

use std::process::Command;

use faults::Sabotage;

/// Seeds that each of them gets.
const SEEDS: &str = "40";

/// Whether this binary, with this done wrong, finds that all is well; and what it says.
fn is_green(sabotage: Option<Sabotage>) -> (bool, String) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "no_seed_breaks_a_promise", "--nocapture"]);
    child.env("ERRAND_SIM_FIRST", "1").env("ERRAND_SIM_SEEDS", SEEDS);
    child.env_remove("ERRAND_SIM_SEED").env_remove("ERRAND_SIM_TRACE").env_remove("ERRAND_SABOTAGE");
    if let Some(sabotage) = sabotage {
        child.env("ERRAND_SABOTAGE", sabotage.name());
    }
    let output = child.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn every_sabotage_is_noticed() {
    let (green, said) = is_green(None);
    assert!(green, "without a sabotage: {said}");
    // In memory there is no moment between an answer and its commit, and no disk that fails to sync; a node that keeps its leases is like one that
    // crashed; how many deaths are too many is asked by nobody there; nobody is frozen between reading a file and replacing it; no Job there has a server whose
    // tools could change; and answers, streams
    // and the audit chain are the server's, which is not in it.
    let elsewhere = [
        Sabotage::AckBeforeCommit,
        Sabotage::TrustDisk,
        Sabotage::KeepLeases,
        Sabotage::ForgetDeaths,
        Sabotage::SkipOnReturn,
        Sabotage::ForgetAnswers,
        Sabotage::SkipAudit,
        Sabotage::FenceFiles,
        Sabotage::TrustDefinitions,
    ];
    let all = Sabotage::ALL.into_iter().filter(|sabotage| !elsewhere.contains(sabotage));
    let unnoticed: Vec<&str> = all
        .filter(|sabotage| {
            let (green, said) = is_green(Some(*sabotage));
            let last = said.lines().rfind(|line| line.contains("seeds from")).unwrap_or("no summary");
            println!("{}: {last}", sabotage.name());
            green || !said.contains("VIOLATION")
        })
        .map(Sabotage::name)
        .collect();
    assert!(unnoticed.is_empty(), "nobody noticed {unnoticed:?}");
}

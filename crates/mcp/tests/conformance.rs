//! The client against the protocol's official conformance suite. `./test` installs it, with the version of Node that it wants.
#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

use std::collections::BTreeSet;
use std::process::{Command, Output};

use testkit::npm;

/// Scenarios of clients that do what this one does.
const OURS: [&str; 3] = ["initialize", "tools_call", "sse-retry"];

/// Those that ask for what this client does not have, and says to no server that it has. By what their names begin with, and why.
const NOT_OURS: [(&str, &str); 2] = [
    ("elicitation", "no server may ask a Job's people anything: what they are asked is Errand's own words"),
    (
        "auth/",
        "a Build gives the headers that a server wants; nobody is there to log in with a browser, and tokens are not fetched",
    ),
];

fn suite(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let program = npm::program("conformance").unwrap();
    Command::new(npm::node()).arg(program).args(arguments).current_dir(folder.path()).output().unwrap()
}

fn client() -> String {
    // Beside the tests of a build are its examples.
    let tests = std::env::current_exe().unwrap();
    let client = tests.parent().unwrap().parent().unwrap().join("examples/conformance_client");
    client.to_str().unwrap().to_owned()
}

#[test]
fn every_scenario_of_what_it_does_passes() {
    for scenario in OURS {
        let output = suite(&["client", "--command", &client(), "--scenario", scenario]);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{scenario}: {out}\n{err}");
    }
}

#[test]
fn every_other_scenario_is_known_and_does_not_apply() {
    let output = suite(&["list"]);
    let listed = String::from_utf8(output.stdout).unwrap();
    let (_, clients) = listed.split_once("Client scenarios").unwrap_or_else(|| panic!("{listed}"));
    let names: BTreeSet<_> =
        clients.lines().filter_map(|line| line.trim().strip_prefix("- ")?.split(' ').next()).collect();
    assert!(OURS.iter().all(|ours| names.contains(ours)), "{names:?}");
    for name in names.iter().filter(|name| !OURS.contains(name)) {
        assert!(NOT_OURS.iter().any(|(prefix, _)| name.starts_with(prefix)), "{name} is new: does it apply?");
    }
}

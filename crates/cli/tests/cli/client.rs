//! The client commands: exit codes, JSON that is the server's own, a Job from start to recording.

use std::io::Write;
use std::process::Stdio;

use agent::recorded::Recording;
use serde_json::Value;

use crate::house::{KEY, Server, asking_model, at_a_terminal, clean, config_file, errand, said};

const NOBODY: &str = "0198c0de-0000-7000-8000-000000000001";

#[test]
fn exit_codes_tell_scripts_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let code = |arguments: &[&str], key: &str| {
        let output = server.client(arguments).env("ERRAND_API_KEY", key).output().unwrap();
        let (code, _, told) = said(&output);
        assert!(code == Some(0) || !told.trim().is_empty(), "{arguments:?} says nothing");
        assert!(key.is_empty() || !told.contains(key), "{told}");
        code
    };
    assert_eq!(code(&["agents", "list"], KEY), Some(0));
    assert_eq!(code(&["agents", "list"], ""), Some(2), "no key");
    assert_eq!(code(&["agents", "list"], "dv_of_somebody_else"), Some(2), "a wrong key");
    assert_eq!(code(&["agents", "get", NOBODY], KEY), Some(3));
    assert_eq!(code(&["runs", "follow", NOBODY], KEY), Some(3));
    assert_eq!(code(&["agents", "get", "x"], KEY), Some(1), "400");
    assert_eq!(code(&["agents", "list", "--limit", "0"], KEY), Some(1), "400");
    assert_eq!(code(&["agents", "frobnicate"], KEY), Some(1), "a wrong command line");
    assert_eq!(code(&["runs", "respond", NOBODY], KEY), Some(1), "nothing to respond");
    assert_eq!(code(&["agents", "list", "--base-url", "http://127.0.0.1:1"], KEY), Some(1), "nobody there");
    assert_eq!(code(&["--help"], KEY), Some(0));
}

#[test]
fn json_is_the_servers_own_text() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let config = config_file(folder.path());
    let made = server.json(&["agents", "create", "--name", "Ä \"quoted\"", "--config", &config]);
    let (agent, build) = (made["agent"]["id"].as_str().unwrap(), made["build"]["id"].as_str().unwrap());
    server.json(&["builds", "create", agent, "--name", "second", "--config", &config]);
    let sandbox = server.json(&["sandboxes", "create"])["sandbox_id"].as_str().unwrap().to_owned();
    server.json(&["sandboxes", "upload", &sandbox, &config, "--path", "in/a b&c.json"]);
    for (arguments, path) in [
        (vec!["agents", "list"], "/v1/agents".to_owned()),
        (vec!["agents", "list", "--limit", "1", "--offset", "1"], "/v1/agents?limit=1&offset=1".to_owned()),
        (vec!["agents", "get", agent], format!("/v1/agents/{agent}")),
        (vec!["builds", "list", agent], format!("/v1/agents/{agent}/builds")),
        (vec!["builds", "get", build], format!("/v1/builds/{build}")),
        (vec!["runs", "list", "--status", "waiting"], "/v1/runs?status=waiting".to_owned()),
        (vec!["sandboxes", "files", &sandbox, "--path", "in"], format!("/v1/sandboxes/{sandbox}/files?path=in")),
    ] {
        let (code, out, _) = said(&server.client(&arguments).arg("--json").output().unwrap());
        assert_eq!((code, out), (Some(0), server.body(&path) + "\n"), "{arguments:?}");
    }
    let fetched = server.client(&["sandboxes", "download", &sandbox, "/workspace/in/a b&c.json"]).output().unwrap();
    assert_eq!(fetched.stdout, std::fs::read(&config).unwrap());
    let (_, table, _) = said(&server.client(&["builds", "list", agent]).output().unwrap());
    assert!(
        table.starts_with("NUMBER") && table.lines().count() == 3 && table.contains("claude-sonnet-4-6"),
        "{table}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_started_followed_answered_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let model = asking_model().await;
    let server = Server::with_model(&folder.path().join("data"), &model);
    let config = config_file(folder.path());
    let made = server.json(&["agents", "create", "--name", "Greeter", "--config", &config]);
    let agent = made["agent"]["id"].as_str().unwrap();

    let start = ["runs", "start", agent, "--message", "be brief", "--follow", "--json"];
    let follower = server.client(&start).stdout(Stdio::piped()).spawn().unwrap();
    let run = waiting_run(&server);
    let export = server.client(&["runs", "export", &run]).output().unwrap();
    assert!(said(&export).2.contains("waiting"), "a Job that has not ended is not exported");
    let (code, answered, _) =
        said(&server.client(&["runs", "respond", &run, "--answer", "0=good day"]).output().unwrap());
    assert!(code == Some(0) && answered.contains("good day"), "{answered}");

    let (code, lines, _) = said(&follower.wait_with_output().unwrap());
    let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, events.last().unwrap()["type"].as_str()), (Some(0), Some("completed")), "{lines}");
    let numbers: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());

    let (code, shown, _) = said(&server.client(&["runs", "follow", &run]).output().unwrap());
    for part in [
        "> be brief",
        "First a plan.",
        "· Say hello",
        "? Which greeting?",
        "2  good day",
        "answered: good day",
        "good day, world",
    ] {
        assert!(code == Some(0) && shown.contains(part), "{part} is not in\n{shown}");
    }
    assert!(!shown.contains('\x1b'), "no colours into a pipe");

    let file = folder.path().join("job.json");
    let export = ["runs", "export", &run, "-o", file.to_str().unwrap()];
    assert!(server.client(&export).output().unwrap().status.success());
    let recording: Recording = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    std::fs::write(&file, "mine").unwrap();
    let (code, _, told) = said(&server.client(&export).output().unwrap());
    assert!(code == Some(1) && told.contains("job.json is there already"), "{told}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    let people: Vec<usize> = recording.turns.iter().map(|turn| turn.people.len()).collect();
    assert_eq!(people, [1, 1, 2]);
    assert_eq!(recording.turns[2].people[1], r#"{"Which greeting?":"good day"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_outlives_a_restart_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let model = asking_model().await;
    let server = Server::with_model(&data, &model);
    let config = config_file(folder.path());
    let made = server.json(&["agents", "create", "--name", "Greeter", "--config", &config]);
    let start = ["runs", "start", made["agent"]["id"].as_str().unwrap(), "--follow", "--json"];
    let follower = server.client(&start).stdout(Stdio::piped()).spawn().unwrap();
    let run = waiting_run(&server);

    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    assert_eq!(server.terminate().code(), Some(0), "an open stream holds nobody up");
    let server = Server::with_model_at(&data, &model, &address);
    assert!(server.client(&["runs", "respond", &run, "--answer", "0=hello"]).output().unwrap().status.success());

    let (code, lines, _) = said(&follower.wait_with_output().unwrap());
    let numbers: Vec<u64> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap()).collect();
    assert_eq!(
        (code, numbers.as_slice()),
        (Some(0), (1..=numbers.len() as u64).collect::<Vec<_>>().as_slice()),
        "each once\n{lines}"
    );
    assert!(lines.contains("hello, world"), "{lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_a_followed_job_is_told_how_to_answer() {
    let folder = tempfile::tempdir().unwrap();
    let model = asking_model().await;
    let server = Server::with_model(&folder.path().join("data"), &model);
    let config = config_file(folder.path());
    let made = server.json(&["agents", "create", "--name", "Greeter", "--config", &config]);
    let agent = made["agent"]["id"].as_str().unwrap();
    let variables = [("ERRAND_BASE_URL", server.url.as_str()), ("ERRAND_API_KEY", KEY)];
    let line = format!("'{}' runs start {agent} --follow", env!("CARGO_BIN_EXE_errand"));
    let (mut left, mut answered) = (false, false);
    let (code, screen) = at_a_terminal(&line, folder.path(), &variables, |seen, keyboard| {
        if !left && seen.contains("your own words: ") {
            left = true;
            // What Ctrl-D sends.
            keyboard.write_all(b"\x04").unwrap();
        } else if !answered && seen.contains("=hello'\r\n") {
            answered = true;
            let (_, shown, _) = said(&server.client(&["runs", "get", &waiting_run(&server)]).output().unwrap());
            let command = shown.lines().last().unwrap();
            assert!(command.ends_with(" --answer 'Which greeting?=hello'") && seen.contains(command.trim()), "{shown}");
            // As a person would: copied into a shell.
            assert!(clean("sh").args(["-c", command]).envs(variables).status().unwrap().success());
        }
    });
    assert!(code == Some(0) && screen.contains("hello, world"), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_does_not_complete_ends_its_follower_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let model = asking_model().await;
    let server = Server::with_model(&folder.path().join("data"), &model);
    let config = config_file(folder.path());
    let made = server.json(&["agents", "create", "--name", "Greeter", "--config", &config]);
    let start = ["runs", "start", made["agent"]["id"].as_str().unwrap(), "--follow"];
    let follower = server.client(&start).stdout(Stdio::piped()).spawn().unwrap();
    let run = waiting_run(&server);
    assert!(server.client(&["runs", "stop", &run]).output().unwrap().status.success());
    let (code, shown, _) = said(&follower.wait_with_output().unwrap());
    assert!(code == Some(1) && shown.contains("stopped"), "{shown}");
    assert!(
        shown.contains(&format!("errand runs respond {run} --answer")),
        "without a terminal it says how to answer\n{shown}"
    );
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let mut child = server.client(&["agents", "list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let (code, _, told) = said(&child.wait_with_output().unwrap());
    assert_eq!((code, told.as_str()), (Some(0), ""));
}

#[test]
fn help_names_every_command() {
    let (_, help, _) = said(&errand(&["--help"]).output().unwrap());
    for command in ["serve", "demo", "keys", "backup", "restore", "doctor", "agents", "builds", "runs", "sandboxes"] {
        assert!(help.contains(&format!("\n  {command}")), "{help}");
    }
}

/// The one run that waits, once it does.
fn waiting_run(server: &Server) -> String {
    for _ in 0..400 {
        let found = server.json(&["runs", "list", "--status", "waiting"]);
        if let Some(id) = found["data"][0]["id"].as_str() {
            return id.to_owned();
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("no run ever waits");
}

//! What a restore makes of Jobs: those that were acknowledged are there, none goes on by itself, nothing unsafe is done twice.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::RunId;
use domain::runs::{Entry, Event, Status};
use domain::turns::{Outcome, Replay, Reply as Turn, Stop, ToolCall, Usage};
use serde_json::{Value, json};
use storage::runs::{Commit, Then};
use storage::work::{self, Claiming, Lease};
use storage::{StoreError, health, human_requests, journal, runs, teams};
use testkit::fake_provider::{Behaviour, FakeProvider, Reply, Step};
use uuid::Uuid;

use crate::backup::{backup, database, restore, text};
use crate::house::{Server, config_file, said};

/// A model that thinks for a while, writes a file, thinks, and is done.
async fn slow_model(pause: Duration) -> FakeProvider {
    let rule = move |asked: &testkit::fake_provider::Asked| {
        let answer = match asked.assistant_turns {
            0 => Reply::text("").call("c1", "write_file", r#"{"path":"/workspace/out.txt","content":"done once"}"#),
            _ => Reply::text("").call("c2", "finish", r#"{"result":"all done"}"#),
        };
        Step::Delay(pause, Box::new(Step::Answer(answer)))
    };
    FakeProvider::start((Ipv4Addr::LOCALHOST, 0).into(), Behaviour::Rule(Box::new(rule))).await.unwrap()
}

/// The master key is in no backup.
fn bring_key(from: &Path, to: &Path) {
    std::fs::copy(from.join("master.key"), to.join("master.key")).unwrap();
}

/// An Assignment of the server; its id.
fn assignment(server: &Server, folder: &Path) -> String {
    let made = server.json(&["agents", "create", "--name", "Worker", "--config", &config_file(folder)]);
    made["agent"]["id"].as_str().unwrap().to_owned()
}

fn start(server: &Server, agent: &str) -> String {
    server.json(&["runs", "start", agent])["run"]["id"].as_str().unwrap().to_owned()
}

fn run(server: &Server, id: &str) -> Value {
    serde_json::from_str(&server.body(&format!("/v1/runs/{id}"))).unwrap()
}

fn status(server: &Server, id: &str) -> String {
    run(server, id)["run"]["status"].as_str().unwrap().to_owned()
}

fn wait_for(server: &Server, id: &str, wanted: &str) {
    for _ in 0..400 {
        if status(server, id) == wanted {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{id} is {}, not {wanted}", status(server, id));
}

/// The kinds of a run's journal.
fn events(server: &Server, id: &str) -> Vec<Value> {
    let (_, lines, _) = said(&server.client(&["runs", "follow", id, "--json"]).output().unwrap());
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_a_backup_under_load_is_there_again_and_asks() {
    let folder = tempfile::tempdir().unwrap();
    let (data, saved, again) = (folder.path().join("data"), folder.path().join("saved"), folder.path().join("again"));
    let model = slow_model(Duration::from_millis(400)).await;
    let server = Arc::new(Server::with_model(&data, &model));
    let agent = assignment(&server, folder.path());
    let loading: Vec<_> = (0..4)
        .map(|_| {
            let (server, agent) = (Arc::clone(&server), agent.clone());
            std::thread::spawn(move || (0..10).map(|_| start(&server, &agent)).collect::<Vec<_>>())
        })
        .collect();
    let first = start(&server, &agent);
    wait_for(&server, &first, "completed");
    let list = server.json(&["runs", "list", "--limit", "100"]);
    let before: Vec<String> =
        list["data"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect();
    let (code, out, err) = said(&backup(&data, &saved));
    assert!(code == Some(0) && out.contains("as of") && out.contains("sandboxes"), "{out}{err}");
    for thread in loading {
        thread.join().unwrap();
    }
    drop(server);

    let (code, out, err) = said(&restore(&saved, &again));
    assert!(code == Some(0) && out.contains("each asks") && out.contains("errand keys list"), "{out}{err}");
    assert!(out.contains("sealed with the master key") && out.contains("not at hand"), "{out}");
    bring_key(&data, &again);
    let asked_before = model.requests().len();
    let server = Server::with_model(&again, &model);
    assert!(before.len() > 1);
    let there: Vec<(String, String)> = before.iter().map(|id| (id.clone(), status(&server, id))).collect();
    assert_eq!(status(&server, &first), "completed");
    // Long enough for any of them to call its model.
    std::thread::sleep(Duration::from_millis(700));
    for (id, then) in &there {
        assert!(["completed", "waiting"].contains(&then.as_str()), "{id} is {then}");
        assert_eq!(&status(&server, id), then, "none goes on by itself");
    }
    assert_eq!(model.requests().len(), asked_before, "no model was asked");

    let waiting: Vec<&String> = there.iter().filter(|(_, then)| then == "waiting").map(|(id, _)| id).collect();
    assert!(waiting.len() >= 2, "the load was too light to show anything: {there:?}");
    let asks = run(&server, waiting[0]);
    assert!(asks.to_string().contains("Restored from a backup of 20"), "{asks}");
    let respond = |id: &str, answer: &str| {
        let (code, out, err) = said(&server.client(&["runs", "respond", id, answer]).output().unwrap());
        assert_eq!(code, Some(0), "{out}{err}");
    };
    respond(waiting[0], "--approve");
    respond(waiting[1], "--deny");
    wait_for(&server, waiting[0], "completed");
    wait_for(&server, waiting[1], "interrupted");
    let events = events(&server, waiting[0]);
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"held") && kinds.last() == Some(&"completed"), "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_held_jobs_are_answered_at_once_and_no_other_is() {
    let folder = tempfile::tempdir().unwrap();
    let (data, saved, again) = (folder.path().join("data"), folder.path().join("saved"), folder.path().join("again"));
    let rule = |asked: &testkit::fake_provider::Asked| {
        let ask = r#"{"kind":"approval","title":"Restored from a backup of 2026-11-25T18:00:00.000Z: continue?"}"#;
        if asked.body.to_string().contains("imitate") {
            return Step::Answer(Reply::text("").call("c1", "ask_person", ask));
        }
        Step::Delay(Duration::from_mins(1), Box::new(Step::Answer(Reply::text("").call("c1", "finish", "{}"))))
    };
    let model = FakeProvider::start((Ipv4Addr::LOCALHOST, 0).into(), Behaviour::Rule(Box::new(rule))).await.unwrap();
    let server = Server::with_model(&data, &model);
    let agent = assignment(&server, folder.path());
    let told = server.json(&["runs", "start", &agent, "--message", "imitate"]);
    let imitates = told["run"]["id"].as_str().unwrap().to_owned();
    wait_for(&server, &imitates, "waiting");
    let held: Vec<String> = (0..3).map(|_| start(&server, &agent)).collect();
    assert_eq!(said(&backup(&data, &saved)).0, Some(0));
    drop(server);
    let (code, out, err) = said(&restore(&saved, &again));
    assert!(code == Some(0) && out.contains("--held"), "{out}{err}");
    bring_key(&data, &again);

    let server = Server::with_model(&again, &model);
    let answered = server.json(&["runs", "respond", "--held", "--deny"]);
    assert_eq!(answered, json!({ "approved": false, "runs": held }));
    for id in &held {
        wait_for(&server, id, "interrupted");
    }
    assert_eq!(status(&server, &imitates), "waiting");
    let (code, out, err) = said(&server.client(&["runs", "respond", "--held", "--approve"]).output().unwrap());
    assert_eq!((code, out.as_str()), (Some(0), "0 held Jobs approved\n"), "{err}");
    for wrong in [&["--held"][..], &["--held", "--answer", "a=b"], &["--held", &imitates, "--approve"], &["--approve"]]
    {
        let line = [&["runs", "respond"], wrong].concat();
        let (code, _, err) = said(&server.client(&line).output().unwrap());
        assert!(code == Some(1) && err.contains("Usage:"), "{wrong:?}: {err}");
    }
}

/// A model that writes one file after the other, without end.
async fn writing_model() -> FakeProvider {
    let rule = |asked: &testkit::fake_provider::Asked| {
        let path = format!("/workspace/{}.txt", asked.assistant_turns);
        let arguments = json!({ "path": path, "content": "x".repeat(2_000) });
        let call = Reply::text("").call(format!("c{}", asked.assistant_turns), "write_file", &arguments);
        Step::Delay(Duration::from_millis(2), Box::new(Step::Answer(call)))
    };
    FakeProvider::start((Ipv4Addr::LOCALHOST, 0).into(), Behaviour::Rule(Box::new(rule))).await.unwrap()
}

/// The paths of the files that a run's journal knows to be written.
fn written(entries: &[Entry]) -> Vec<String> {
    let done = |key: &Uuid| {
        entries
            .iter()
            .any(|entry| matches!(&entry.event, Event::ToolFinished { key: of, outcome: Outcome::Ok(_) } if of == key))
    };
    let calls = entries.iter().filter_map(|entry| match &entry.event {
        Event::ToolStarted { call } if done(&call.key) => call.arguments["path"].as_str(),
        _ => None,
    });
    calls.map(|path| path.strip_prefix("/workspace/").unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_instant_every_file_that_the_journal_knows_is_there_and_nothing_moves() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let model = writing_model().await;
    let server = Server::with_model(&data, &model);
    let agent = assignment(&server, folder.path());
    let (mut started, mut files) = (Vec::new(), 0);
    for number in 0..8 {
        started.extend([start(&server, &agent), start(&server, &agent)]);
        let (saved, again) =
            (folder.path().join(format!("saved-{number}")), folder.path().join(format!("again-{number}")));
        let (code, _, err) = said(&backup(&data, &saved));
        assert_eq!(code, Some(0), "{err}");
        let (code, _, err) = said(&restore(&saved, &again));
        assert_eq!(code, Some(0), "{err}");
        let db = database(&again);
        let team = db.read(async |tx| teams::first(tx).await).await.unwrap().unwrap();
        for id in &started {
            let id: RunId = id.parse().unwrap();
            let read = async |tx: &mut storage::Tx<'_>| {
                let row = runs::get(tx, team, id).await?;
                Ok::<_, StoreError>((row, journal::replay(tx, id).await?, human_requests::pending(tx, team, id).await?))
            };
            let (row, entries, asked) = db.read(read).await.unwrap();
            let row = row.expect("what was acknowledged is there");
            assert!(row.status == Status::Waiting && asked.is_some(), "{:?} {asked:?}", row.status);
            for path in written(&entries) {
                files += 1;
                let file = again.join("sandboxes").join(&row.sandbox).join(&path);
                assert!(file.exists(), "backup {number} has no {path}, which the journal of {id} knows");
            }
        }
        assert_eq!(db.read(async |tx| work::all(tx).await).await, Ok(vec![]), "nothing would move by itself");
        let found = db.read(async |tx| health::standstill(tx).await).await.unwrap();
        assert!(found.mute.is_empty() && found.stuck.is_empty() && found.unheard.is_empty(), "{found:?}");
        db.close().await;
    }
    assert!(files > 100, "too little was written to show anything: {files}");
}

/// Leaves the one run that is due in the middle of an edit, as a server that was killed there would.
async fn in_the_middle_of_an_edit(data: &Path) -> RunId {
    let db = database(data);
    let token = Uuid::from_u128(1);
    let team = db.read(async |tx| teams::first(tx).await).await.unwrap().unwrap();
    let (newest, _) =
        db.read(async |tx| runs::page(tx, team, &runs::Filter::default(), true, 1, 0).await).await.unwrap();
    let now = newest[0].0.updated_at;
    let claiming = async move |tx: &mut storage::Tx<'_>| {
        work::free_all(tx).await?;
        let wanted = Claiming {
            token,
            now,
            lease_ms: 1_000,
            most: 1,
            stops_only: false,
            team_most: None,
            suspect_from: 1_000,
            suspect: true,
        };
        work::claim(tx, wanted).await
    };
    let claimed = db.write::<_, StoreError, _>(claiming).await.unwrap().remove(0);
    let arguments = json!({ "path": "/workspace/ledger.txt", "old": "END", "new": "line\nEND" });
    let call = ToolCall {
        id: "c1".into(),
        key: Uuid::from_u128(2),
        name: "edit_file".into(),
        arguments: arguments.as_object().unwrap().clone(),
        replay: Replay::Never,
        target: None,
    };
    let reply = Turn {
        text: String::new(),
        calls: vec![call.clone()],
        stop: Stop::Done,
        model: "m".into(),
        usage: Usage::default(),
        carry: None,
    };
    let Lease { run, .. } = claimed.lease;
    let commit = Commit {
        lease: claimed.lease,
        tail: claimed.tail,
        events: vec![Event::Replied { turn: 1, reply }, Event::ToolStarted { call }],
        status: Status::Running,
        taken: vec![],
        asked: None,
        overtaken: false,
        webhook: false,
        then: Then::Hold(1_000),
        now,
    };
    db.write(async move |tx| runs::commit(tx, &commit, false).await).await.unwrap();
    db.close().await;
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_under_way_is_never_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let (data, saved) = (folder.path().join("data"), folder.path().join("saved"));
    let never = slow_model(Duration::from_mins(10)).await;
    let server = Server::with_model(&data, &never);
    let agent = assignment(&server, folder.path());
    let sandbox = server.json(&["sandboxes", "create"])["sandbox_id"].as_str().unwrap().to_owned();
    let ledger = folder.path().join("ledger.txt");
    std::fs::write(&ledger, "END\n").unwrap();
    server.json(&["sandboxes", "upload", &sandbox, text(&ledger), "--path", "ledger.txt"]);
    let id = server.json(&["runs", "start", &agent, "--sandbox", &sandbox])["run"]["id"].as_str().unwrap().to_owned();
    wait_for(&server, &id, "starting");
    drop(server);
    let left = in_the_middle_of_an_edit(&data).await;
    assert_eq!(left.to_string(), id);
    assert_eq!(said(&backup(&data, &saved)).0, Some(0));

    let model = FakeProvider::with(|_| Reply::text("I leave it at that.")).await.unwrap();
    for (answer, end) in [("--approve", "completed"), ("--deny", "interrupted")] {
        let again = folder.path().join(answer.trim_start_matches('-'));
        assert_eq!(said(&restore(&saved, &again)).0, Some(0));
        bring_key(&data, &again);
        let server = Server::with_model(&again, &model);
        wait_for(&server, &id, "waiting");
        assert_eq!(said(&server.client(&["runs", "respond", &id, answer]).output().unwrap()).0, Some(0));
        wait_for(&server, &id, end);
        let events = events(&server, &id);
        let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
        assert_eq!(of("tool_started").len(), 1, "{events:?}");
        assert!(of("tool_finished")[0]["data"]["outcome"].to_string().contains("unknown"), "{events:?}");
        let ledger = server.client(&["sandboxes", "download", &sandbox, "/workspace/ledger.txt"]).output().unwrap();
        assert_eq!(ledger.stdout, b"END\n", "it was not made");
    }
}

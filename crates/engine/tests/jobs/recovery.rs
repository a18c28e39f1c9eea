//! After a crash: what the journal says was in flight, and what must not have been.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::RunId;
use domain::runs::{Event, Status};
use domain::turns::{Outcome, Replay, Reply, Stop, ToolCall, Usage};
use serde_json::{Value, json};
use storage::runs::{Commit, Then};
use storage::{StoreError, journal, runs, work};
use testkit::scripted::{ScriptedModel, says, wants};

use crate::house::House;

/// A run whose server died while this call was under way.
async fn crashed(house: &House, name: &str, replay: Replay, arguments: Value) -> RunId {
    let run = house.start(None).await;
    let (now, key, wanted) = (house.now(), house.id(), house.claiming(60_000));
    let arguments = arguments.as_object().unwrap().clone();
    let call = ToolCall { id: "c1".into(), key, name: name.into(), arguments, replay, target: None };
    let answer = Reply {
        text: String::new(),
        calls: vec![call.clone()],
        stop: Stop::Done,
        model: "m".into(),
        usage: Usage::default(),
        carry: None,
    };
    let die = async move |tx: &mut storage::Tx<'_>| {
        let claimed = work::claim(tx, wanted).await?.remove(0);
        let step = Commit {
            lease: claimed.lease,
            tail: claimed.tail,
            events: vec![Event::Replied { turn: 1, reply: answer }, Event::ToolStarted { call }],
            status: Status::Running,
            taken: vec![],
            asked: None,
            overtaken: false,
            webhook: false,
            then: Then::Hold(60_000),
            now,
        };
        assert!(matches!(runs::commit(tx, &step, false).await?, runs::Committed::Done { .. }));
        work::free_all(tx).await
    };
    house.db.write::<_, StoreError, _>(die).await.unwrap();
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_safe_to_repeat_is_made_again_under_its_old_intent() {
    let house = House::new().await;
    let write = json!({ "path": "/workspace/a.txt", "content": "hello" });
    let run = crashed(&house, "write_file", Replay::Safe, write).await;
    let _engine = house.engine(ScriptedModel::new(|_| Ok(says("done"))));
    house.until(run, "completed").await;
    assert_eq!(fs::read_to_string(house.file(run, "a.txt")).unwrap(), "hello");
    let kinds = house.kinds(run).await;
    assert_eq!(kinds[3..], ["tool_started", "claimed", "tool_finished", "replied", "completed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_other_call_is_not_repeated_and_its_outcome_is_unknown() {
    let house = House::new().await;
    let edit = json!({ "path": "/workspace/a.txt", "old": "END", "new": "once\nEND" });
    let run = crashed(&house, "edit_file", Replay::Never, edit).await;
    let file = house.file(run, "a.txt");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "END").unwrap();
    let told = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&told);
    let model = ScriptedModel::new(move |request| {
        let unknown = domain::turns::Line::ToolResult {
            call_id: "c1".into(),
            name: "edit_file".into(),
            outcome: Outcome::Unknown,
        };
        heard.store(request.lines.contains(&unknown), Ordering::SeqCst);
        Ok(says("I see"))
    });
    let _engine = house.engine(model);
    house.until(run, "completed").await;
    assert!(told.load(Ordering::SeqCst), "the model must know");
    assert_eq!(fs::read_to_string(file).unwrap(), "END");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_leaves_before_its_intent_is_durable() {
    const CALLS: usize = 30;
    let house = House::new().await;
    let names: Vec<String> = (0..CALLS).map(|call| format!("f{call}.txt")).collect();
    let model = ScriptedModel::new(move |request| {
        let call = |name: &String| ("c", "write_file", json!({ "path": format!("/workspace/{name}"), "content": "x" }));
        Ok(if request.turn == 1 { wants(names.iter().map(call)) } else { says("done") })
    });
    let run = house.start(None).await;
    let _engine = house.engine(model);
    // Whenever a file is there, the journal must already hold the intent to write it.
    for call in 0..CALLS {
        let file = house.file(run, &format!("f{call}.txt"));
        for _ in 0..100_000 {
            if file.exists() {
                break;
            }
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        let entries = house.db.read(async |tx| journal::replay(tx, run).await).await.unwrap();
        let begun = entries.iter().filter(|entry| matches!(entry.event, Event::ToolStarted { .. })).count();
        assert!(file.exists() && begun > call, "file {call} is there, {begun} intents are");
    }
    house.until(run, "completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_a_newer_version_worked_on_is_left_alone_and_holds_up_nobody() {
    let house = House::new().await;
    let broken = house.start(None).await;
    let spoil = async |tx: &mut storage::Tx<'_>| {
        tx.exec(r#"UPDATE journal SET body = '{"type":"from_the_future"}' WHERE kind = 'created'"#, &[]).await
    };
    house.db.write::<_, StoreError, _>(spoil).await.unwrap();
    let _engine = house.engine(ScriptedModel::new(|_| Ok(says("done"))));
    let good = house.start(None).await;
    house.until(good, "completed").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(house.row(broken).await.status.word(), "starting");
    assert_eq!(house.next_due().await, None, "it is nothing for this version");
    let taken = house.claiming(1_000);
    let taken = house.db.write(async move |tx| work::claim(tx, taken).await).await.unwrap();
    assert!(taken.is_empty(), "nor does it look again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_journal_makes_no_sense_fails_and_says_so() {
    let house = House::new().await;
    let broken = house.start(None).await;
    let spoil =
        async |tx: &mut storage::Tx<'_>| tx.exec("UPDATE journal SET body = '{' WHERE kind = 'created'", &[]).await;
    house.db.write::<_, StoreError, _>(spoil).await.unwrap();
    let _engine = house.engine(ScriptedModel::new(|_| Ok(says("done"))));
    house.until(broken, "failed").await;
    assert_eq!(house.next_due().await, None);
}

//! Team files: there before the first turn, whole, and a Job whose Build names what is not there says so.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::files::{TeamFile, area};
use domain::limits::Limits;
use domain::runs::{Event, Status};
use domain::turns::{Outcome, Replay, Reply, Stop, ToolCall, Usage};
use domain::{FileId, TeamId};
use engine::Settings;
use serde_json::json;
use storage::runs::{Commit, Then};
use storage::{StoreError, files, quota, runs, teams, work};
use testkit::scripted::{ScriptedModel, says, wants};
use uuid::Uuid;

use crate::house::House;

const ID: FileId = FileId(Uuid::from_u128(77));

/// What the API does with a file that is sent.
async fn push(house: &House, team: TeamId, id: FileId, name: &str, bytes: &[u8]) -> TeamFile {
    let (now, blob, size) = (house.now(), house.id(), bytes.len() as u64);
    let file = TeamFile { id, team, name: name.into(), size, sha256: [0; 32], blob, created_at: now, updated_at: now };
    house.workspaces().open(&area(team)).write(&file.stored_at(), bytes).unwrap();
    house.db.write::<_, StoreError, _>(async move |tx| files::put(tx, &file).await).await.unwrap()
}

/// A model that says one thing, and how often it was asked.
fn counted() -> (ScriptedModel, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let model = ScriptedModel::new(move |request| {
        assert!(request.instructions.contains("/workspace/files"), "{}", request.instructions);
        count.fetch_add(1, Ordering::Relaxed);
        Ok(says("done"))
    });
    (model, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_there_by_name_and_by_id_before_the_first_turn() {
    let house = House::with(json!({"files": ["in/a.csv", ID.to_string(), "in/a.csv"]})).await;
    push(&house, house.team, FileId(house.id()), "in/a.csv", b"one").await;
    push(&house, house.team, FileId(house.id()), "in/a.csv", b"two").await;
    push(&house, house.team, ID, "b.csv", b"by id").await;
    push(&house, house.team, FileId(house.id()), "c.csv", b"not named").await;
    let run = house.start(None).await;
    let (a, b, c) = (house.file(run, "files/in/a.csv"), house.file(run, "files/b.csv"), house.file(run, "files/c.csv"));
    let seen = move || (fs::read(&a).ok(), fs::read(&b).ok(), c.exists());
    let wanted = (Some(b"two".to_vec()), Some(b"by id".to_vec()), false);
    let (before, all) = (seen.clone(), wanted.clone());
    let _engine = house.engine(ScriptedModel::new(move |_| {
        assert_eq!(before(), all);
        Ok(says("done"))
    }));
    house.until(run, "completed").await;
    assert_eq!(seen(), wanted);
    assert!(!house.kinds(run).await.contains(&"noted"), "nothing is said to be unserved");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_ends_the_job_before_its_first_turn() {
    let house = House::with(json!({"files": ["a.csv", ID.to_string()]})).await;
    let (model, asked) = counted();
    let _engine = house.engine(model);
    let run = house.start(None).await;
    house.until(run, "failed").await;
    let (code, message) = house.cause(run).await;
    assert!(code == "file_missing" && message.contains("\"a.csv\""), "{code}: {message}");

    // Another team's file is none, by its id, too.
    let (strangers, now) = (TeamId(house.id()), house.now());
    house.db.write(async move |tx| teams::insert(tx, strangers, "theirs", now).await).await.unwrap();
    push(&house, strangers, ID, "a.csv", b"theirs").await;
    let run = house.start(None).await;
    house.until(run, "failed").await;
    assert_eq!(house.cause(run).await, (code, message));
    push(&house, house.team, FileId(house.id()), "a.csv", b"ours").await;
    let run = house.start(None).await;
    house.until(run, "failed").await;
    let (code, message) = house.cause(run).await;
    assert!(code == "file_missing" && message.contains(&ID.to_string()), "{code}: {message}");

    // A row without bytes is as good as none.
    let house = House::with(json!({"files": ["a.csv"]})).await;
    let file = push(&house, house.team, FileId(house.id()), "a.csv", b"gone").await;
    house.workspaces().open(&area(house.team)).remove(&file.stored_at()).unwrap();
    let (model, none_either) = counted();
    let _engine = house.engine(model);
    let run = house.start(None).await;
    house.until(run, "failed").await;
    assert_eq!(house.cause(run).await.0, "file_missing");
    assert_eq!((asked.load(Ordering::Relaxed), none_either.load(Ordering::Relaxed)), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_put_there_ends_the_job_and_says_why() {
    let house = House::with(json!({"files": ["a.csv"]})).await;
    push(&house, house.team, FileId(house.id()), "a.csv", b"a").await;
    let run = house.start(None).await;
    fs::create_dir_all(house.file(run, "files/a.csv")).unwrap();
    let (model, asked) = counted();
    let _engine = house.engine(model);
    house.until(run, "failed").await;
    let (code, message) = house.cause(run).await;
    assert!(code == "file_not_placed" && message.contains("is a folder"), "{code}: {message}");
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

/// A run whose server died: before its first answer, or after it, in a call that is safe to repeat.
async fn crashed(house: &House, answered: bool) -> domain::RunId {
    let run = house.start(None).await;
    let (now, key, wanted) = (house.now(), house.id(), house.claiming(60_000));
    let arguments = json!({"path": "/workspace/files/a.csv", "content": "changed"}).as_object().unwrap().clone();
    let call =
        ToolCall { id: "c1".into(), key, name: "write_file".into(), arguments, replay: Replay::Safe, target: None };
    let reply = Reply {
        text: String::new(),
        calls: vec![call.clone()],
        stop: Stop::Done,
        model: "m".into(),
        usage: Usage::default(),
        carry: None,
    };
    let die = async move |tx: &mut storage::Tx<'_>| {
        let claimed = work::claim(tx, wanted).await?.remove(0);
        if answered {
            let step = Commit {
                lease: claimed.lease,
                tail: claimed.tail,
                events: vec![Event::Replied { turn: 1, reply }, Event::ToolStarted { call }],
                status: Status::Running,
                taken: vec![],
                asked: None,
                overtaken: false,
                webhook: false,
                then: Then::Hold(60_000),
                now,
            };
            assert!(matches!(runs::commit(tx, &step, false).await?, runs::Committed::Done { .. }));
        }
        work::free_all(tx).await
    };
    house.db.write::<_, StoreError, _>(die).await.unwrap();
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_they_are_placed_again_until_the_model_has_answered_and_then_never() {
    for (answered, left, wanted) in [(false, "half", "whole"), (true, "mine", "changed")] {
        let house = House::with(json!({"files": ["a.csv"]})).await;
        push(&house, house.team, FileId(house.id()), "a.csv", b"whole").await;
        let run = crashed(&house, answered).await;
        fs::create_dir_all(house.file(run, "files")).unwrap();
        fs::write(house.file(run, "files/a.csv"), left).unwrap();
        let (model, asked) = counted();
        let _engine = house.engine(model);
        house.until(run, "completed").await;
        assert_eq!(fs::read_to_string(house.file(run, "files/a.csv")).unwrap(), wanted);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_goes_on_after_a_message_keeps_what_it_made_of_them() {
    let house = House::with(json!({"files": ["a.csv"]})).await;
    push(&house, house.team, FileId(house.id()), "a.csv", b"old").await;
    let (model, asked) = counted();
    let _engine = house.engine(model);
    let run = house.start(None).await;
    house.until(run, "completed").await;
    fs::write(house.file(run, "files/a.csv"), "the Job's own").unwrap();
    house.say(run, "Go on.").await;
    house.until_journaled(run, "completed", 2).await;
    assert_eq!(fs::read_to_string(house.file(run, "files/a.csv")).unwrap(), "the Job's own");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

async fn used(house: &House) -> u64 {
    house.db.read(async |tx| quota::used(tx, house.team).await).await.unwrap()
}

async fn until_used(house: &House, bytes: u64) {
    for _ in 0..400 {
        if used(house).await == bytes {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} bytes, not {bytes}", used(house).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_writes_what_its_team_has_room_for_and_is_counted_when_it_lets_go() {
    let house = House::new().await;
    push(&house, house.team, ID, "a", &[0; 40]).await;
    let write =
        |name: &str, size: usize| wants([("c", "write_file", json!({"path": name, "content": "x".repeat(size)}))]);
    let turn = AtomicUsize::new(0);
    let model = ScriptedModel::new(move |_| {
        Ok(match turn.fetch_add(1, Ordering::Relaxed) {
            0 => write("large", 41),
            1 => write("small", 30),
            2 => write("small", 40),
            3 => write("other", 1),
            _ => says("done"),
        })
    });
    let run = house.start(None).await;
    let engine = house.engine_on(house.db.clone(), house.bounded(80), model, Limits::default(), Settings::default());
    house.until(run, "completed").await;
    let outcomes: Vec<_> = house
        .journal(run)
        .await
        .into_iter()
        .filter_map(|event| match event {
            Event::ToolFinished { outcome, .. } => Some(format!("{outcome:?}")),
            _ => None,
        })
        .collect();
    let refused: Vec<_> =
        outcomes.iter().map(|outcome| outcome.contains("80 bytes in all, of which 40 are left")).collect();
    assert_eq!(refused, [true, false, false, true], "{outcomes:?}");
    until_used(&house, 80).await;
    engine.drain(Duration::from_secs(5)).await;

    // What no worker came to count is counted by the next engine.
    fs::write(house.file(run, "left.txt"), [0; 7]).unwrap();
    let _engine = house.engine_on(
        house.db.clone(),
        house.bounded(80),
        ScriptedModel::new(|_| Ok(says("done"))),
        Limits::default(),
        Settings::default(),
    );
    until_used(&house, 87).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_could_not_take_the_files_tries_again_before_it_uses_them_next() {
    let house = House::new().await;
    // Where new contents would wait is something else, as on a disk without room for one folder more.
    let run = house.start(None).await;
    let in_the_way = house.file(run, "").parent().unwrap().join(".claims");
    fs::create_dir_all(in_the_way.parent().unwrap()).unwrap();
    fs::write(&in_the_way, "").unwrap();
    let model = ScriptedModel::new(move |request| {
        if request.turn == 2 {
            fs::remove_file(&in_the_way).unwrap();
        }
        let file = json!({"path": "/workspace/a.txt", "content": format!("turn {}", request.turn)});
        Ok(if request.turn < 3 { wants([("c1", "write_file", file)]) } else { says("done") })
    });
    let _engine = house.engine(model);
    house.until(run, "completed").await;
    let outcomes = house.journal(run).await.into_iter().filter_map(|event| match event {
        Event::ToolFinished { outcome, .. } => Some(matches!(outcome, Outcome::Ok(_))),
        _ => None,
    });
    assert_eq!(outcomes.collect::<Vec<_>>(), [false, true]);
    assert_eq!(fs::read_to_string(house.file(run, "a.txt")).unwrap(), "turn 2");
}

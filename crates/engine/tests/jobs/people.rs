//! What people do to a run: stop it, write to it, answer it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::human_requests::{HumanRequest, Kind, Response};
use domain::limits::Limits;
use domain::runs::Event;
use domain::turns::{Line, Outcome};
use engine::Settings;
use serde_json::json;
use storage::holds::{self, Hold};
use storage::{StoreError, human_requests, runs};
use testkit::scripted::{ScriptedModel, says, wants};

use crate::house::{House, announced};

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_takes_effect_within_a_second_inside_a_model_call() {
    let house = House::new().await;
    let (model, begun) = announced(ScriptedModel::new(|_| Ok(says("never"))).delayed(Duration::from_mins(1)));
    let _engine = house.engine(model);
    let run = house.start(None).await;
    begun.notified().await;
    house.stop(run).await;
    let took = house.until(run, "interrupted").await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(house.kinds(run).await, ["created", "claimed", "interrupted"]);
    assert_eq!(house.next_due().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stop_is_dropped() {
    let house = House::new().await;
    let _engine = house.engine(ScriptedModel::new(|_| Ok(says("done"))));
    let run = house.start(None).await;
    house.until(run, "completed").await;
    house.stop(run).await;
    house.until_journaled(run, "claimed", 2).await;
    house.until(run, "completed").await;
    assert_eq!(house.kinds(run).await, ["created", "claimed", "replied", "completed", "claimed"]);
    assert!(house.inbox_is_empty(run).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_finds_the_end_on_its_way_to_the_disk_takes_its_place() {
    let house = House::new().await;
    let (model, begun) = announced(ScriptedModel::new(|_| Ok(says("done"))).delayed(Duration::from_millis(200)));
    let _engine = house.engine(model);
    let run = house.start(None).await;
    begun.notified().await;
    // The writer is busy from before the answer until the worker has found its inbox empty and waits to write the end: the stop goes first.
    let (team, now) = (house.team, house.now());
    let stop = async move |tx: &mut storage::Tx<'_>| {
        std::thread::sleep(Duration::from_millis(800));
        runs::tell(tx, team, run, &Event::Interrupted { by: "stop_request".into() }, now).await
    };
    house.db.write::<_, StoreError, _>(stop).await.unwrap();
    house.until(run, "interrupted").await;
    assert_eq!(house.kinds(run).await, ["created", "claimed", "replied", "interrupted"]);
    assert!(house.inbox_is_empty(run).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_needs_no_free_place() {
    let house = House::new().await;
    let slow = ScriptedModel::new(|_| Ok(says("never"))).delayed(Duration::from_mins(1));
    let (model, begun) = announced(slow);
    let _engine = house.engine_with(model, Limits::default(), Settings { concurrency: 1, ..Settings::default() });
    let at_work = house.start(None).await;
    begun.notified().await;
    let queued = house.start(None).await;
    house.stop(queued).await;
    let took = house.until(queued, "interrupted").await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(house.row(at_work).await.status.word(), "starting");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_during_the_last_turn_keeps_the_run_going() {
    let house = House::new().await;
    let model = ScriptedModel::new(|request| Ok(says(format!("answer {}", request.turn))));
    let (model, begun) = announced(model.delayed(Duration::from_millis(300)));
    let _engine = house.engine(model);
    let run = house.start(None).await;
    begun.notified().await;
    house.say(run, "one more thing").await;
    house.until(run, "completed").await;
    let kinds = ["created", "claimed", "replied", "message_received", "replied", "completed"];
    assert_eq!(house.kinds(run).await, kinds);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_during_a_turn_is_heard_at_the_next() {
    let house = House::new().await;
    let heard: Arc<Mutex<Vec<Vec<Line>>>> = Arc::default();
    let lines = Arc::clone(&heard);
    let model = ScriptedModel::new(move |request| {
        lines.lock().unwrap().push(request.lines.to_vec());
        match request.turn {
            1 => Ok(wants([("c1", "list_files", json!({}))])),
            _ => Ok(says("done")),
        }
    });
    let (model, begun) = announced(model.delayed(Duration::from_millis(500)));
    let _engine = house.engine(model);
    let run = house.start(Some("begin")).await;
    begun.notified().await;
    house.say(run, "hurry").await;
    house.until(run, "completed").await;

    let heard = heard.lock().unwrap();
    let user = |text: &str| Line::User(text.into());
    assert_eq!(heard.len(), 2, "the message cost no turn");
    assert_eq!(heard[0], [user("begin")]);
    assert!(heard[1].contains(&user("hurry")), "{:?}", heard[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_resumes_a_run_that_completed_or_was_stopped() {
    let house = House::new().await;
    let model = ScriptedModel::new(|request| Ok(says(format!("answer {}", request.turn))));
    let _engine = house.engine(model.delayed(Duration::from_millis(100)));
    let run = house.start(None).await;
    house.until(run, "completed").await;
    house.say(run, "more").await;
    house.until_journaled(run, "replied", 2).await;
    house.until(run, "completed").await;

    house.say(run, "and more").await;
    house.until(run, "running").await;
    house.stop(run).await;
    house.until(run, "interrupted").await;
    house.say(run, "go on").await;
    house.until_journaled(run, "replied", 3).await;
    house.until(run, "completed").await;
    let kinds = house.kinds(run).await;
    let resumed = ["claimed", "message_received"];
    assert_eq!(kinds[..4], ["created", "claimed", "replied", "completed"]);
    assert_eq!(kinds[4..8], [&resumed[..], &["replied", "completed"]].concat());
    assert_eq!(kinds[8..11], [&resumed[..], &["interrupted"]].concat());
    assert_eq!(kinds[11..], [&resumed[..], &["replied", "completed"]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_is_not_resumed_but_what_it_was_told_is_kept() {
    let house = House::new().await;
    let refuse = |message: &str| domain::runs::ModelFailure {
        code: "model_auth".into(),
        message: message.into(),
        retryable: false,
        retry_after_ms: None,
    };
    let _engine = house.engine(ScriptedModel::new(move |_| Err(refuse("the key is wrong"))));
    let run = house.start(None).await;
    house.until(run, "failed").await;
    assert_eq!(house.cause(run).await, ("model_auth".into(), "the key is wrong".into()));
    house.say(run, "again").await;
    house.until_journaled(run, "message_received", 1).await;
    house.until(run, "failed").await;
    let kinds = ["created", "claimed", "turn_failed", "failed", "claimed", "message_received"];
    assert_eq!(house.kinds(run).await, kinds);
    assert!(house.inbox_is_empty(run).await);
    assert_eq!(house.next_due().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_for_a_person_is_only_rows_and_goes_on_with_the_answer() {
    let house = House::new().await;
    let model = ScriptedModel::new(|request| match (request.turn, request.lines) {
        (1, [Line::User(text)]) if text == "ask" => {
            Ok(wants([("c1", "ask_person", json!({ "kind": "approval", "title": "Pay 10?" }))]))
        }
        (2, [.., Line::ToolResult { outcome, .. }]) => {
            assert_eq!(outcome, &Outcome::Ok(json!({ "approved": true })));
            assert_eq!(request.people, ["ask", "approved"]);
            Ok(says("paid"))
        }
        _ => Ok(says("done")),
    });
    let one_place = Settings { concurrency: 1, ..Settings::default() };
    let _engine = house.engine_with(model, Limits::default(), one_place);
    let run = house.start(Some("ask")).await;
    house.until(run, "waiting").await;
    assert_eq!(house.next_due().await, None, "it holds no lease");
    let other = house.start(Some("other")).await;
    house.until(other, "completed").await;

    let (team, now) = (house.team, house.now());
    let asked = house.db.read(async |tx| human_requests::pending(tx, team, run).await).await.unwrap().unwrap();
    let answered = Event::PersonAnswered { request_id: asked.request.id, response: Response::Approved(true) };
    let answer = async move |tx: &mut storage::Tx<'_>| {
        assert!(human_requests::answer(tx, team, run, asked.request.id, "approved", now).await?);
        runs::tell(tx, team, run, &answered, now).await
    };
    house.db.write::<_, StoreError, _>(answer).await.unwrap();
    house.bell.ring_work();
    house.until(run, "completed").await;
    let kinds = house.kinds(run).await;
    let asked = ["claimed", "replied", "tool_started", "person_asked"];
    assert_eq!(kinds[2..6], asked);
    assert_eq!(kinds[6..], ["claimed", "person_answered", "replied", "completed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_run_goes_on_when_a_person_lets_it_and_says_first_what_is_not_served() {
    let house = House::with(json!({ "skills": ["bookkeeping"] })).await;
    let run = house.start_with(None, true).await;
    let (request, token, now) = (approval(house.id()), house.id(), house.now());
    let id = request.id;
    let held = house.db.write(async move |tx| holds::hold(tx, run, request, token, now).await).await.unwrap();
    assert_eq!((held, house.next_due().await), (Hold::Asks, None));
    let model = ScriptedModel::new(|_| Ok(says("done")));
    let _engine = house.engine(model);
    let answered = Event::PersonAnswered { request_id: id, response: Response::Approved(true) };
    house.tell(run, answered).await;
    house.until(run, "completed").await;
    let kinds = house.kinds(run).await;
    assert_eq!(kinds, ["created", "held", "claimed", "noted", "person_answered", "replied", "completed"]);
}

fn approval(id: uuid::Uuid) -> HumanRequest {
    HumanRequest::new(id, Kind::Approval, "Continue?")
}

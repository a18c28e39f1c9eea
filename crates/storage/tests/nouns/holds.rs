//! Holds: what a restore does to runs that would go on by themselves.

use domain::RunId;
use domain::human_requests::HumanRequest;
use domain::runs::{Event, Said, Status};
use domain::turns::{Replay, Reply, Stop, ToolCall, Usage};
use serde_json::json;
use storage::holds::{self, Hold};
use storage::runs::Then;
use storage::{builds, health, human_requests, work};
use uuid::Uuid;

use crate::house::{Engine, House, at, request, step};

/// A run whose Build can be read.
async fn run(house: &House) -> RunId {
    let agent = house.agent(house.team, "worker").await;
    let submitted = json!({ "version": "v1", "data": { "model": "m", "input": "Do it." } });
    let config = domain::builds::normalise(&submitted, "", &domain::builds::Defaults::default(), None).unwrap().config;
    let new = builds::NewBuild {
        id: domain::BuildId(house.id()),
        agent,
        name: "build".into(),
        config: serde_json::to_string(&config).unwrap(),
        submitted: "{}".into(),
        sealed: None,
        created_at: at(5),
    };
    let team = house.team;
    let build = house.db.write(async move |tx| builds::insert(tx, team, new).await).await.unwrap().unwrap();
    house.run_of(team, agent, build.id, "a job", at(10)).await.id
}

async fn hold(house: &House, run: RunId, request: HumanRequest) -> Hold {
    let token = house.id();
    house.db.write(async move |tx| holds::hold(tx, run, request, token, at(90)).await).await.unwrap()
}

async fn pending(house: &House, run: RunId) -> Option<Uuid> {
    let stored = house.db.read(async |tx| human_requests::pending(tx, house.team, run).await).await.unwrap();
    stored.map(|stored| stored.request.id)
}

both!(whatever_has_work_asks_and_has_none_any_more);

async fn whatever_has_work_asks_and_has_none_any_more(engine: Engine) {
    let house = House::new(engine).await;
    let new = run(&house).await;
    let asked = request(house.id());
    assert_eq!(hold(&house, new, asked.clone()).await, Hold::Asks);
    assert_eq!(house.journal(new).await, ["1 created", "2 message_received", "3 held"]);
    assert_eq!((house.row(new).await.status, pending(&house, new).await), (Status::Waiting, Some(asked.id)));

    // One that is held by a worker which is gone, in the middle of a call.
    let busy = run(&house).await;
    let claimed = house.claim_one(at(20)).await;
    let call = ToolCall {
        id: "c".into(),
        key: house.id(),
        name: "edit_file".into(),
        arguments: serde_json::Map::new(),
        replay: Replay::Never,
        target: None,
    };
    let reply = Reply {
        text: String::new(),
        calls: vec![call.clone()],
        stop: Stop::Done,
        model: "m".into(),
        usage: Usage::default(),
        carry: None,
    };
    let events = vec![Event::Replied { turn: 1, reply }, Event::ToolStarted { call }];
    house.commit(step(&claimed, events, Status::Running, Then::Hold(1_000), at(30))).await.unwrap();
    // A message that was already there is no answer to what is asked now.
    house.tell(busy, Event::MessageReceived(Said { id: house.id(), text: "well?".into() }), at(40)).await;
    let asked = request(house.id());
    assert_eq!(hold(&house, busy, asked.clone()).await, Hold::Asks);
    let kinds = house.journal(busy).await;
    assert_eq!(kinds[kinds.len() - 2..], ["6 message_received", "7 held"], "{kinds:?}");
    assert_eq!((house.row(busy).await.status, pending(&house, busy).await), (Status::Waiting, Some(asked.id)));
    assert!(house.inbox(busy).await.is_empty());
    assert_eq!(house.next_due().await, None, "nothing is due");

    assert_eq!(hold(&house, busy, request(house.id())).await, Hold::Rests, "without work nothing happens");
    let found = house.db.read(async |tx| health::standstill(tx).await).await.unwrap();
    assert_eq!((found.stuck, found.mute, found.unheard), (vec![], vec![], vec![]));
}

#[tokio::test]
async fn a_stop_that_was_asked_for_is_carried_out() {
    let house = House::new(Engine::Sqlite).await;
    let run = run(&house).await;
    house.tell(run, Event::Interrupted { by: "stop_request".into() }, at(40)).await;
    assert_eq!(hold(&house, run, request(house.id())).await, Hold::Rests);
    assert_eq!(house.row(run).await.status, Status::Interrupted);
    assert_eq!((pending(&house, run).await, house.next_due().await), (None, None));
}

#[tokio::test]
async fn what_cannot_be_read_stays_due_to_be_given_up() {
    let house = House::new(Engine::Sqlite).await;
    // The short-hand of these tests has a Build without any data.
    let run = house.run(house.team).await.id;
    assert_eq!(hold(&house, run, request(house.id())).await, Hold::Unreadable);
    assert_eq!(house.journal(run).await, ["1 created", "2 message_received"]);
    assert_eq!(house.db.read(async |tx| work::all(tx).await).await.unwrap(), [run]);
    assert_eq!(house.next_due().await, Some(at(10)));
}

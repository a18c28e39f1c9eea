//! Human requests: opened with the commit that asks, closed once.

use std::sync::Arc;

use domain::RunId;
use domain::runs::{Event, Status};
use storage::human_requests::{self, Stored};
use storage::runs::Then;
use storage::work::Claimed;
use uuid::Uuid;

use crate::house::{Engine, House, at, request, said, step};

/// A run that waits for the answer to a request.
async fn waiting(house: &House) -> (RunId, Uuid) {
    let run = house.run(house.team).await.id;
    let claimed = house.claim_one(at(20)).await;
    (run, ask(house, &claimed).await)
}

async fn ask(house: &House, claimed: &Claimed) -> Uuid {
    let asked = request(house.id());
    let id = asked.id;
    let events = vec![Event::PersonAsked { request: asked.clone() }];
    let mut step = step(claimed, events, Status::Waiting, Then::Release, at(30));
    step.asked = Some(asked);
    house.commit(step).await.unwrap();
    id
}

async fn pending(house: &House, run: RunId) -> Option<Stored> {
    house.db.read(async |tx| human_requests::pending(tx, house.team, run).await).await.unwrap()
}

both!(an_open_request_is_pending_and_its_run_holds_no_work);
async fn an_open_request_is_pending_and_its_run_holds_no_work(engine: Engine) {
    let house = House::new(engine).await;
    let (run, id) = waiting(&house).await;
    let open = pending(&house, run).await.unwrap();
    assert_eq!((open.request.id, open.created_at, open.closed_at), (id, at(30), None));
    assert_eq!(house.next_due().await, None);
    assert_eq!(house.row(run).await.status.word(), "waiting");
}

both!(of_many_answers_at_once_one_wins);
async fn of_many_answers_at_once_one_wins(engine: Engine) {
    let house = Arc::new(House::new(engine).await);
    let (run, id) = waiting(&house).await;
    let rivals: Vec<_> = (0..20)
        .map(|rival| {
            let (house, words) = (Arc::clone(&house), format!("answer {rival}"));
            tokio::spawn(async move {
                let (team, said) = (house.team, words.clone());
                let answer =
                    house.db.write(async move |tx| human_requests::answer(tx, team, run, id, &said, at(40)).await);
                answer.await.unwrap().then_some(words)
            })
        })
        .collect();
    let mut winners = Vec::new();
    for rival in rivals {
        winners.extend(rival.await.unwrap());
    }
    assert_eq!(winners.len(), 1);
    let closed = house.db.read(async |tx| human_requests::get(tx, house.team, run, id).await).await.unwrap().unwrap();
    assert_eq!((closed.closed_at, closed.response), (Some(at(40)), winners.pop()));
    assert!(pending(&house, run).await.is_none());
}

both!(only_the_run_and_the_team_that_asked_get_the_answer);
async fn only_the_run_and_the_team_that_asked_get_the_answer(engine: Engine) {
    let house = House::new(engine).await;
    let (run, id) = waiting(&house).await;
    let answer = async |team, run, id| {
        house.db.write(async move |tx| human_requests::answer(tx, team, run, id, "yes", at(40)).await).await.unwrap()
    };
    assert!(!answer(house.strangers, run, id).await);
    assert!(!answer(house.team, RunId(house.id()), id).await);
    assert!(!answer(house.team, run, house.id()).await);
    assert!(answer(house.team, run, id).await);
}

both!(a_message_overtakes_the_open_request_which_cannot_be_answered_any_more);
async fn a_message_overtakes_the_open_request_which_cannot_be_answered_any_more(engine: Engine) {
    let house = House::new(engine).await;
    let (run, id) = waiting(&house).await;
    house.tell(run, said("never mind"), at(40)).await;
    let claimed = house.claim_one(at(40)).await;
    let mut step = step(&claimed, vec![said("never mind")], Status::Running, Then::Hold(9_000), at(50));
    step.overtaken = true;
    house.commit(step).await.unwrap();
    let (team, late) = (house.team, at(60));
    let answered = house.db.write(async move |tx| human_requests::answer(tx, team, run, id, "yes", late).await);
    assert!(!answered.await.unwrap());
    let closed = house.db.read(async |tx| human_requests::get(tx, team, run, id).await).await.unwrap().unwrap();
    assert_eq!((closed.closed_at, closed.response), (Some(at(50)), None));
}

//! A clock that was far ahead for a while, and what it wrote then.

use domain::runs::{Event, PAUSE_MAX_MS, Status};
use domain::webhooks;
use storage::runs::Then;
use storage::{health, webhooks as outbox, work};

use crate::house::{Engine, House, at, noted, step};

const DAYS: i64 = 2 * 86_400_000;

both!(runs_that_rest_for_days_are_found_and_brought_near);
async fn runs_that_rest_for_days_are_found_and_brought_near(engine: Engine) {
    let house = House::new(engine).await;
    let [rests, held] = [house.run(house.team).await.id, house.run(house.team).await.id];
    let claimed = house.claim_as(at(DAYS), |wanted| wanted.lease_ms = 30_000).await;
    let claimed = claimed.iter().find(|claimed| claimed.lease.run == rests).unwrap();
    let pause = step(claimed, vec![noted("rest")], Status::Pending, Then::Sleep(PAUSE_MAX_MS), at(DAYS));
    house.commit(pause).await.unwrap();
    let far = async || house.db.read(async |tx| work::far(tx).await).await.unwrap();
    let bring_near = async || house.db.write(async |tx| work::bring_near(tx).await).await.unwrap();
    assert_eq!((far().await, bring_near().await), (vec![], 0), "the longest pause is one that may be");

    house.at(at(50)).await;
    assert_eq!(far().await, [rests], "and what somebody holds is his");
    let found = house.db.read_slow(async |tx| health::standstill(tx).await).await.unwrap();
    assert_eq!((found.far, found.untold), (vec![rests], vec![]));
    assert_eq!((bring_near().await, bring_near().await), (1, 0));
    assert!(house.claim(at(49).plus_ms(PAUSE_MAX_MS)).await.is_empty());
    assert_eq!(house.claim_one(at(50).plus_ms(PAUSE_MAX_MS)).await.lease.run, rests);
    assert_ne!(rests, held);
}

both!(webhooks_that_are_due_in_a_week_are_found_and_brought_near);
async fn webhooks_that_are_due_in_a_week_are_found_and_brought_near(engine: Engine) {
    let house = House::new(engine).await;
    let run = house.run_that_calls_back(house.team).await;
    let claimed = house.claim_one(at(20)).await;
    let end = vec![Event::Completed { result: None }];
    let mut end = step(&claimed, end, Status::Completed, Then::Release, at(30));
    end.webhook = true;
    house.commit(end).await.unwrap();
    let line = outbox::Line { team: house.team, origin: "https://hook.example".into() };
    let due = async |token| {
        let line = line.clone();
        let claim = async move |tx: &mut storage::Tx<'_>| outbox::claim(tx, token, 1_000, &line, 10).await;
        house.db.write(claim).await.unwrap()
    };
    let far = async || house.db.read_slow(async |tx| outbox::far(tx).await).await.unwrap();
    let bring_near = async || house.db.write(async |tx| outbox::bring_near(tx).await).await.unwrap();
    house.at(at(7 * DAYS)).await;
    let tried = due(house.id()).await.remove(0);
    let later = outbox::Then::Later(webhooks::PAUSE_MAX_MS);
    let tried = async move |tx: &mut storage::Tx<'_>| outbox::finish(tx, &tried, later, "503", at(7 * DAYS)).await;
    house.db.write(tried).await.unwrap();
    assert_eq!((far().await, bring_near().await), (vec![], 0), "the longest pause is one that may be");

    house.at(at(50)).await;
    assert_eq!(far().await, [run]);
    let found = house.db.read_slow(async |tx| health::standstill(tx).await).await.unwrap();
    assert_eq!((found.far, found.untold), (vec![], vec![run]));
    assert_eq!((bring_near().await, bring_near().await), (1, 0));
    house.at(at(49).plus_ms(webhooks::PAUSE_MAX_MS)).await;
    assert!(due(house.id()).await.is_empty());
    house.at(at(50).plus_ms(webhooks::PAUSE_MAX_MS)).await;
    assert_eq!(due(house.id()).await.len(), 1);
}

//! How much there is to do, as whoever watches the server is told.

use std::time::Duration;

use domain::runs::{Event, Status};
use domain::{RunId, TeamId};
use storage::load::{Load, load};
use storage::runs::Then;
use storage::webhooks;

use crate::house::{Engine, House, at, request, step};

async fn look(house: &House, now: i64) -> Load {
    house.at(at(now)).await;
    house.db.read_slow(async |tx| load(tx).await).await.unwrap()
}

async fn runs_are_counted_by_what_they_do_and_those_that_ended_are_not(engine: Engine) {
    let house = House::new(engine).await;
    assert_eq!(
        look(&house, 0).await,
        Load { pending: 0, running: 0, waiting: 0, queue_age: Duration::ZERO, webhook_lag: Duration::ZERO }
    );
    house.run(house.team).await;
    house.run(house.strangers).await;
    let pending = look(&house, 500).await;
    assert_eq!((pending.pending, pending.running, pending.waiting), (2, 0, 0));
    let claimed = house.claim(at(500)).await;
    let running = look(&house, 600).await;
    assert_eq!((running.pending, running.running, running.waiting), (0, 2, 0));
    let ask = request(house.id());
    let asks =
        step(&claimed[0], vec![Event::PersonAsked { request: ask.clone() }], Status::Waiting, Then::Release, at(700));
    house.commit(storage::runs::Commit { asked: Some(ask), ..asks }).await.unwrap();
    let ends = step(&claimed[1], vec![Event::Completed { result: None }], Status::Completed, Then::Release, at(700));
    house.commit(ends).await.unwrap();
    let waiting = look(&house, 800).await;
    assert_eq!((waiting.pending, waiting.running, waiting.waiting), (0, 0, 1));
}
both!(runs_are_counted_by_what_they_do_and_those_that_ended_are_not);

async fn the_queue_is_as_old_as_the_run_that_waits_longest(engine: Engine) {
    let house = House::new(engine).await;
    house.run(house.team).await;
    assert_eq!(look(&house, 10).await.queue_age, Duration::ZERO);
    let agent = house.agent(house.strangers, "worker").await;
    let build = house.build(house.strangers, agent).await.unwrap().id;
    house.run_of(house.strangers, agent, build, "a later job", at(1_000)).await;
    assert_eq!(look(&house, 2_510).await.queue_age, Duration::from_millis(2_500));
    house.claim(at(2_510)).await;
    assert_eq!(look(&house, 3_000).await.queue_age, Duration::ZERO, "somebody has them");
    assert_eq!(look(&house, 4_510).await.queue_age, Duration::from_secs(1), "their leases ended a second ago");
}
both!(the_queue_is_as_old_as_the_run_that_waits_longest);

async fn a_stop_has_no_time_of_its_own_and_makes_no_queue_old(engine: Engine) {
    let house = House::new(engine).await;
    let run = house.run(house.team).await;
    house.tell(run.id, Event::Interrupted { by: "stop_request".into() }, at(20)).await;
    assert_eq!(look(&house, 1_000).await.queue_age, Duration::ZERO);
}
both!(a_stop_has_no_time_of_its_own_and_makes_no_queue_old);

/// A row of the outbox: of which run, the entry's number, where to, from when on, and how far it is.
async fn outbox(house: &House, (team, run): (TeamId, RunId), seq: i64, (origin, due_at, state): (&str, i64, &str)) {
    let sql = "INSERT INTO outbox (team_id, run_id, seq, event, at, origin, due_at, state) \
        VALUES ($1, $2, $3, 'run_failed', 0, $4, $5, $6)";
    let values = [
        team.0.to_string().into(),
        run.0.to_string().into(),
        seq.into(),
        origin.to_owned().into(),
        at(due_at).0.into(),
        state.to_owned().into(),
    ];
    house.db.write::<_, storage::StoreError, _>(async move |tx| tx.exec(sql, &values).await).await.unwrap();
}

async fn webhooks_lag_as_long_as_the_one_that_is_due_longest(engine: Engine) {
    let house = House::new(engine).await;
    house.at(at(0)).await;
    let run = house.run(house.team).await;
    let (team, run) = (house.team, run.id);
    for (seq, origin, due_at, state) in [
        (1_i64, "https://a", 2_000, "due"),
        (2, "https://b", 1_000, "due"),
        (3, "https://b", 9_000, "due"),
        (4, "https://c", 0, "delivered"),
    ] {
        outbox(&house, (team, run), seq, (origin, due_at, state)).await;
    }
    assert_eq!(look(&house, 900).await.webhook_lag, Duration::ZERO);
    assert_eq!(look(&house, 1_600).await.webhook_lag, Duration::from_millis(600));
}
both!(webhooks_lag_as_long_as_the_one_that_is_due_longest);

async fn lines_are_of_a_team_and_an_origin_and_the_longest_due_comes_first(engine: Engine) {
    let house = House::new(engine).await;
    house.at(at(0)).await;
    let runs = [(house.team, house.run(house.team).await.id), (house.strangers, house.run(house.strangers).await.id)];
    for (seq, (whose, origin, due_at, state)) in (1_i64..).zip([
        (0, "https://b", 3_000, "due"),
        (0, "https://b", 9_000, "due"),
        (0, "https://a", 9_000, "due"),
        (0, "https://c", 0, "dead"),
        (1, "https://b", 2_000, "due"),
        (1, "https://a", 4_000, "due"),
    ]) {
        let (team, run) = runs[whose];
        outbox(&house, (team, run), seq, (origin, due_at, state)).await;
    }
    let line = |whose: usize, origin: &str| webhooks::Line { team: runs[whose].0, origin: origin.to_owned() };
    let lines = async || house.db.read(async |tx| webhooks::lines(tx).await).await.unwrap();
    let next = async || house.db.read(async |tx| webhooks::next_ms(tx).await).await.unwrap();
    house.at(at(1_999)).await;
    assert_eq!((lines().await, next().await), (vec![], Some(1)));
    house.at(at(4_000)).await;
    assert_eq!(next().await, Some(5_000), "of what is not due yet");
    assert_eq!(lines().await, [line(1, "https://b"), line(0, "https://b"), line(1, "https://a")]);
    // What is claimed is no longer due, and a claim takes nothing of another line.
    let (token, own) = (house.id(), line(0, "https://b"));
    let claim = async move |tx: &mut storage::Tx<'_>| webhooks::claim(tx, token, 1_000, &own, 10).await;
    let claimed = house.db.write(claim).await.unwrap();
    assert_eq!(claimed.iter().map(|due| (due.team, due.seq)).collect::<Vec<_>>(), [(house.team, 1)]);
    assert_eq!(lines().await, [line(1, "https://b"), line(1, "https://a")]);
}
both!(lines_are_of_a_team_and_an_origin_and_the_longest_due_comes_first);

async fn only_the_first_worker_of_a_run_is_told_since_when_it_waits(engine: Engine) {
    let house = House::new(engine).await;
    house.run(house.team).await;
    let first = house.claim_one(at(40)).await;
    assert_eq!(first.fresh_since, Some(at(10)));
    let second = house.claim_one(at(5_000)).await;
    assert_eq!(second.fresh_since, None, "after a crash");
    let replied = step(&second, vec![Event::Noted { text: "x".into() }], Status::Running, Then::Sleep(1), at(5_010));
    house.commit(replied).await.unwrap();
    assert_eq!(house.claim_one(at(6_000)).await.fresh_since, None, "after a pause");
}
both!(only_the_first_worker_of_a_run_is_told_since_when_it_waits);

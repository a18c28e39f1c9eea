//! What people tell a run: it waits in the inbox, wakes whoever sleeps, and is never lost between two claims.

use domain::runs::{Cause, Event, Status};
use storage::runs::{Committed, Then};

use crate::house::{Engine, House, at, noted, said, step};

both!(a_run_that_is_let_go_has_no_work_until_it_is_told_something);
async fn a_run_that_is_let_go_has_no_work_until_it_is_told_something(engine: Engine) {
    let house = House::new(engine).await;
    let run = house.run(house.team).await.id;
    let claimed = house.claim_one(at(20)).await;
    let done = step(&claimed, vec![Event::Completed { result: None }], Status::Completed, Then::Release, at(30));
    assert_eq!(house.commit(done).await, Some(((4, 1), false)));
    assert_eq!(house.next_due().await, None);
    assert_eq!(house.row(run).await.completed_at, Some(at(30)));

    house.tell(run, said("one more thing"), at(40)).await;
    let row = house.row(run).await;
    assert_eq!((row.status.word(), row.completed_at), ("pending", None));
    assert_eq!(house.claim_one(at(40)).await.lease.run, run);
    assert_eq!(house.row(run).await.status.word(), "running", "it started long ago");
}

both!(a_failed_run_stays_failed_whatever_it_is_told);
async fn a_failed_run_stays_failed_whatever_it_is_told(engine: Engine) {
    let house = House::new(engine).await;
    let run = house.run(house.team).await.id;
    let claimed = house.claim_one(at(20)).await;
    let cause = Cause { code: "no_model".into(), message: "none".into() };
    house.commit(step(&claimed, vec![Event::Failed { cause }], Status::Failed, Then::Release, at(30))).await.unwrap();
    house.tell(run, said("again"), at(40)).await;
    assert_eq!(house.row(run).await.status.word(), "failed");
}

both!(a_sleeping_run_is_woken_and_one_at_work_is_not_taken_away);
async fn a_sleeping_run_is_woken_and_one_at_work_is_not_taken_away(engine: Engine) {
    let house = House::new(engine).await;
    let run = house.run(house.team).await.id;
    let claimed = house.claim_one(at(20)).await;
    house.tell(run, said("while at work"), at(21)).await;
    assert!(house.claim(at(500)).await.is_empty(), "its worker looks into the inbox by itself");

    let (taken, events) = house.inbox(run).await.into_iter().unzip();
    let mut rest = step(&claimed, events, Status::Pending, Then::Sleep(60_000), at(600));
    rest.taken = taken;
    assert_eq!(house.commit(rest).await, Some(((4, 2), false)));
    assert_eq!(house.inbox(run).await, []);
    assert!(house.claim(at(59_999)).await.is_empty());

    house.tell(run, said("wake up"), at(700)).await;
    assert_eq!(house.claim_one(at(700)).await.lease.run, run);
}

both!(what_comes_in_while_a_run_is_let_go_makes_it_due_again);
async fn what_comes_in_while_a_run_is_let_go_makes_it_due_again(engine: Engine) {
    for then in [Then::Release, Then::Sleep(60_000)] {
        let house = House::new(engine).await;
        let run = house.run(house.team).await.id;
        let claimed = house.claim_one(at(20)).await;
        house.tell(run, said("just in time"), at(25)).await;
        let done = house.commit(step(&claimed, vec![noted("bye")], Status::Waiting, then, at(30))).await;
        assert_eq!(done, Some(((4, 2), true)), "{then:?}");
        assert_eq!(house.claim_one(at(30)).await.lease.run, run);
        assert_eq!(house.inbox(run).await.len(), 1);
    }
}

both!(the_inbox_keeps_the_order_and_counts_prompts_once_journaled);
async fn the_inbox_keeps_the_order_and_counts_prompts_once_journaled(engine: Engine) {
    let house = House::new(engine).await;
    let run = house.run(house.team).await.id;
    let claimed = house.claim_one(at(20)).await;
    for text in ["one", "two", "three"] {
        house.tell(run, said(text), at(21)).await;
    }
    assert_eq!(house.row(run).await.prompt_count, 1);
    let (taken, events): (Vec<i64>, Vec<Event>) = house.inbox(run).await.into_iter().unzip();
    assert_eq!(events, [said("one"), said("two"), said("three")]);
    let mut step = step(&claimed, events[..2].to_vec(), Status::Running, Then::Hold(9_000), at(30));
    step.taken = taken[..2].to_vec();
    house.commit(step).await.unwrap();
    assert_eq!(house.row(run).await.prompt_count, 3);
    assert_eq!(house.inbox(run).await, [(taken[2], said("three"))]);
}

both!(a_run_does_not_end_over_what_its_worker_has_not_seen);
async fn a_run_does_not_end_over_what_its_worker_has_not_seen(engine: Engine) {
    let house = House::new(engine).await;
    let run = house.run(house.team).await.id;
    let claimed = house.claim_one(at(20)).await;
    house.tell(run, said("one more thing"), at(25)).await;
    let done = step(&claimed, vec![Event::Completed { result: None }], Status::Completed, Then::Release, at(30));
    let mut again = done.clone();
    assert!(matches!(house.try_commit(done).await, Committed::Overtaken), "the message was not seen");
    assert_eq!(house.row(run).await.status.word(), "starting", "nothing was written");
    again.taken = house.inbox(run).await.into_iter().map(|(id, _)| id).collect();
    assert!(house.commit(again).await.is_some());
}

both!(a_stop_is_due_before_everything_else);
async fn a_stop_is_due_before_everything_else(engine: Engine) {
    let house = House::new(engine).await;
    let (_waits, second) = (house.run(house.team).await.id, house.run(house.team).await.id);
    house.tell(second, Event::Interrupted { by: "stop_request".into() }, at(25)).await;
    assert_eq!(house.claim_as(at(26), |wanted| wanted.stops_only = true).await.iter().map(|claimed| claimed.lease.run).collect::<Vec<_>>(), [second]);
}

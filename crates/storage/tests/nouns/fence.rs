//! The lease: who may move a run, and that whoever lost it writes nothing at all.

use domain::runs::Status;
use storage::runs::Then;
use storage::work;

use crate::house::{Engine, House, LEASE, at, noted, request, said, step};

both!(a_claim_is_journaled_and_nobody_else_gets_the_run_while_it_holds);
async fn a_claim_is_journaled_and_nobody_else_gets_the_run_while_it_holds(engine: Engine) {
    let house = House::new(engine).await;
    let run = house.run(house.team).await;
    assert_eq!(house.next_due().await, Some(at(10)));
    assert!(house.claim(at(9)).await.is_empty(), "it is not due yet");

    let claimed = house.claim_one(at(20)).await;
    assert_eq!((claimed.lease.run, claimed.tail, claimed.webhook), (run.id, (3, 1), false));
    assert_eq!(house.journal(run.id).await, ["1 created", "2 message_received", "3 claimed"]);
    let row = house.row(run.id).await;
    assert_eq!((row.status.word(), row.started_at, row.last_seq), ("starting", Some(at(20)), 3));

    assert!(house.claim(at(20 + 999)).await.is_empty());
    assert_eq!(house.next_due().await, Some(at(20).plus_ms(LEASE)));
}

both!(a_renewed_lease_holds_on_and_a_lost_one_is_told);
async fn a_renewed_lease_holds_on_and_a_lost_one_is_told(engine: Engine) {
    let house = House::new(engine).await;
    house.run(house.team).await;
    let lease = house.claim_one(at(20)).await.lease;
    let renew = async |ms| house.db.write(async move |tx| work::renew(tx, &[lease], ms).await).await.unwrap();
    assert_eq!(renew(4_980).await, []);
    assert!(house.claim(at(4_999)).await.is_empty());
    house.claim_one(at(5_000)).await;
    assert_eq!(renew(9_000).await, [lease]);
    assert_eq!(house.next_due().await, Some(at(5_000).plus_ms(LEASE)), "the loser renewed nothing");
}

both!(whoever_lost_the_lease_writes_nothing);
async fn whoever_lost_the_lease_writes_nothing(engine: Engine) {
    let house = House::new(engine).await;
    let run = house.run(house.team).await.id;
    house.tell(run, said("hello"), at(15)).await;
    let zombie = house.claim_one(at(20)).await;
    let heir = house.claim_one(at(20).plus_ms(LEASE)).await;
    let (before, row_before) = (house.journal(run).await, house.row(run).await);

    for then in [Then::Hold(9_000), Then::Sleep(9_000), Then::Release] {
        let mut late = step(&zombie, vec![noted("late")], Status::Waiting, then, at(3_000));
        late.taken = house.inbox(run).await.iter().map(|(id, _)| *id).collect();
        late.asked = Some(request(house.id()));
        late.overtaken = true;
        assert_eq!(house.commit(late).await, None);
    }
    let lease = zombie.lease;
    house.db.write(async move |tx| work::let_go(tx, lease, 0).await).await.unwrap();

    let row = house.row(run).await;
    assert_eq!(house.journal(run).await, before);
    assert_eq!((row.status, row.updated_at), (row_before.status, row_before.updated_at));
    assert_eq!(house.inbox(run).await.len(), 1);
    let asked = house.db.read(async |tx| storage::human_requests::pending(tx, house.team, run).await).await.unwrap();
    assert!(asked.is_none());
    assert!(house.claim(at(1_100)).await.is_empty(), "the heir still holds it");
    let good = step(&heir, vec![noted("mine")], Status::Running, Then::Hold(9_000), at(1_500));
    assert!(house.commit(good).await.is_some());
}

both!(a_holder_that_is_late_but_unchallenged_may_still_commit);
async fn a_holder_that_is_late_but_unchallenged_may_still_commit(engine: Engine) {
    let house = House::new(engine).await;
    house.run(house.team).await;
    let claimed = house.claim_one(at(20)).await;
    let late = step(&claimed, vec![noted("late")], Status::Running, Then::Hold(9_000), at(5_000));
    assert!(house.commit(late).await.is_some(), "authority is the token, not the clock");
}

both!(letting_go_and_a_new_start_make_runs_due);
async fn letting_go_and_a_new_start_make_runs_due(engine: Engine) {
    let house = House::new(engine).await;
    house.run(house.team).await;
    let lease = house.claim_one(at(20)).await.lease;
    house.db.write(async move |tx| work::let_go(tx, lease, 30).await).await.unwrap();
    assert!(house.claim(at(49)).await.is_empty());
    house.claim_one(at(50)).await;
    house.at(at(60)).await;
    let freed = house.db.write(async |tx| work::free_all(tx).await).await.unwrap();
    assert_eq!(freed, 1);
    let again = house.claim_one(at(60)).await;
    assert_eq!(again.tail, (5, 1), "each claim has an entry of its own");
}

both!(claims_take_the_longest_due_first_and_no_more_than_asked_for);
async fn claims_take_the_longest_due_first_and_no_more_than_asked_for(engine: Engine) {
    let house = House::new(engine).await;
    let agent = house.agent(house.team, "worker").await;
    let build = house.build(house.team, agent).await.unwrap().id;
    let mut runs = Vec::new();
    for due in [30, 10, 20] {
        runs.push(house.run_of(house.team, agent, build, "job", at(due)).await.id);
    }
    let claimed = house.claim_as(at(40), |wanted| wanted.most = 2).await;
    let mut claimed: Vec<_> = claimed.iter().map(|claimed| claimed.lease.run).collect();
    claimed.sort();
    assert_eq!(claimed, [runs[1], runs[2]]);
    assert_eq!(house.claim_one(at(40)).await.lease.run, runs[0]);
}

both!(a_long_line_of_one_team_holds_up_no_other);
async fn a_long_line_of_one_team_holds_up_no_other(engine: Engine) {
    let house = House::new(engine).await;
    for _ in 0..30 {
        house.run(house.team).await;
    }
    let other = house.run(house.strangers).await.id;
    let claimed = house.claim_as(at(40), |wanted| wanted.most = 10).await;
    assert_eq!(claimed.len(), 10, "what the small team leaves of its share is the large one's");
    assert!(claimed.iter().any(|claimed| claimed.lease.run == other), "the last to come is among the first");
}

both!(a_team_holds_no_more_than_its_bound);
async fn a_team_holds_no_more_than_its_bound(engine: Engine) {
    let house = House::new(engine).await;
    for _ in 0..5 {
        house.run(house.team).await;
    }
    house.run(house.strangers).await;
    let bounded = |wanted: &mut storage::work::Claiming| wanted.team_most = Some(2);
    let first = house.claim_as(at(40), bounded).await;
    assert_eq!(first.iter().filter(|claimed| claimed.lease.team == house.team).count(), 2);
    assert_eq!(first.len(), 3, "the other team has its own bound");
    assert!(house.claim_as(at(41), bounded).await.is_empty(), "both are at it");
    let done = first.iter().find(|claimed| claimed.lease.team == house.team).unwrap();
    house.commit(step(done, vec![noted("rest")], Status::Waiting, Then::Release, at(50))).await.unwrap();
    assert_eq!(house.claim_as(at(60), bounded).await.len(), 1);
}

both!(a_run_whose_workers_died_is_tried_alone);
async fn a_run_whose_workers_died_is_tried_alone(engine: Engine) {
    let house = House::new(engine).await;
    let suspect = house.run(house.team).await.id;
    for time in [20, 2_000] {
        house.claim_one(at(time)).await;
    }
    house.run(house.team).await;
    let suspects = |wanted: &mut storage::work::Claiming| wanted.suspect_from = 2;
    let alone = house.claim_as(at(4_000), suspects).await;
    let taken: Vec<_> = alone.iter().map(|claimed| (claimed.lease.run, claimed.attempt, claimed.probation)).collect();
    assert_eq!(taken, [(suspect, 3, Some(1))], "nothing else is taken with it");
    let lease = alone[0].lease;
    house.db.write(async move |tx| work::clear(tx, lease, 2).await).await.unwrap();
    assert_eq!(house.claim_as(at(4_001), suspects).await.len(), 1, "then the other one");
    let again = house.claim_as(at(9_000), suspects).await;
    let taken: Vec<_> = again.iter().map(|claimed| (claimed.lease.run, claimed.attempt, claimed.probation)).collect();
    assert_eq!(taken, [(suspect, 3, Some(2))], "one more death brings it here again and no further");
}

both!(a_claim_whose_answer_was_lost_is_given_back);
async fn a_claim_whose_answer_was_lost_is_given_back(engine: Engine) {
    let house = House::new(engine).await;
    house.run(house.team).await;
    let token = house.claim_one(at(20)).await.lease.claim;
    let give_back = async || house.db.write(async move |tx| work::give_back(tx, token).await).await.unwrap();
    assert_eq!((give_back().await, give_back().await), (1, 0));
    assert_eq!(house.claim_one(at(21)).await.attempt, 1, "nobody died of it");
}

both!(a_step_that_was_committed_is_not_committed_again);
async fn a_step_that_was_committed_is_not_committed_again(engine: Engine) {
    let house = House::new(engine).await;
    let run = house.run(house.team).await.id;
    let claimed = house.claim_one(at(20)).await;
    let done = step(&claimed, vec![noted("once")], Status::Running, Then::Hold(9_000), at(30));
    house.commit(done.clone()).await.unwrap();
    let again = async move |tx: &mut storage::Tx<'_>| storage::runs::commit(tx, &done, true).await;
    let again = house.db.write(again).await.unwrap();
    assert!(matches!(again, storage::runs::Committed::Done { tail: (4, 2), .. }), "{again:?}");
    assert_eq!(house.journal(run).await.len(), 4);
}

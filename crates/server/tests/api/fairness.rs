//! Receivers of webhooks that hang: whom they hold up, and whom not.

use std::time::Duration;

use domain::runs::{Cause, Event, Status};
use serde_json::json;
use server::Delivering;
use testkit::hook::{Conduct, Hook};

use crate::house::{House, OTHER_KEY, config, text};
use crate::webhooks::{body, deliver, failed};

#[tokio::test]
async fn one_that_hangs_holds_up_only_itself() {
    let house = House::new().await;
    let hanging = Hook::start(|_, _| Conduct::Hang).expect("a hook");
    let hook = Hook::start(|_, _| Conduct::Ok).expect("a hook");
    let delivering = deliver(&house);
    for _ in 0..20 {
        failed(&house, &hanging.url("/")).await;
    }
    let began = std::time::Instant::now();
    for number in 0..20 {
        failed(&house, &hook.url(&format!("/{number}"))).await;
    }
    hook.until("/19", 1).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(hanging.received().len() <= 4, "connections to one origin");
    drop(delivering);
}

/// A run of the other team, failed at once.
async fn failed_other(house: &House, agent: &str, url: &str) {
    let started = house.post_as(OTHER_KEY, "/v1/runs", json!({"agent_id": agent, "webhook_url": url})).await;
    started.success(201);
    let mut claimed = house.claim().await;
    let cause = Cause { code: "c".into(), message: "m".into() };
    house.step(&mut claimed, vec![Event::Failed { cause }], Status::Failed).await;
    house.app.bell.ring_outbox();
}

#[tokio::test]
async fn a_team_whose_receivers_hang_holds_up_no_other() {
    let house = House::new().await;
    let agent = json!({"name": "B", "build": {"name": "b", "config": config("Go.")}});
    let agent = text(&house.post_as(OTHER_KEY, "/v1/agents", agent).await.success(201)["agent"]["id"]);
    let delivering = deliver(&house);
    // At the same origin as the other's: somebody who takes hooks for many.
    let shared = Hook::start(|path, _| if path == "/theirs" { Conduct::Ok } else { Conduct::Hang }).expect("a hook");
    for _ in 0..10 {
        failed(&house, &shared.url("/ours")).await;
    }
    shared.until("/ours", 4).await;
    let began = std::time::Instant::now();
    failed_other(&house, &agent, &shared.url("/theirs")).await;
    shared.until("/theirs", 1).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    // At more origins than there are places for one team.
    let hanging: Vec<_> = (0..70).map(|_| Hook::start(|_, _| Conduct::Hang).expect("a hook")).collect();
    for hook in &hanging {
        failed(&house, &hook.url("/")).await;
    }
    let taken = async || hanging.iter().map(|hook| hook.received().len()).sum::<usize>();
    while taken().await < 60 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let began = std::time::Instant::now();
    failed_other(&house, &agent, &shared.url("/theirs")).await;
    shared.until("/theirs", 2).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(taken().await, 60, "and four to the first: a quarter of all places");
    drop(delivering);
}

/// What is sent to fifty receivers of a house of its own, one after the other, so many times.
struct Fifty {
    house: House,
    hooks: Vec<Hook>,
    agent: String,
    _delivering: Delivering,
}

impl Fifty {
    const RECEIVERS: usize = 50;

    /// The first of them hangs, or not.
    async fn new(hangs: bool) -> Self {
        let house = House::new().await;
        let conduct = move |n| if hangs && n == 0 { Conduct::Hang } else { Conduct::Ok };
        let hooks = (0..Self::RECEIVERS).map(|n| Hook::start(move |_, _| conduct(n)).expect("a hook")).collect();
        let delivering = deliver(&house);
        let (agent, _) = house.agent().await;
        Self { house, hooks, agent, _delivering: delivering }
    }

    /// How long it took from the commit of each event until the receiver had it, but for those of the first receiver.
    async fn round(&self, each: usize) -> Vec<Duration> {
        let (house, mut begun) = (&self.house, std::collections::HashMap::new());
        let before: Vec<_> = self.hooks.iter().map(|hook| hook.received().len()).collect();
        let mut claimed = Vec::new();
        for hook in (0..each).flat_map(|_| &self.hooks) {
            let body = json!({"agent_id": self.agent, "webhook_url": hook.url("/")});
            let run = text(&house.post("/v1/runs", body).await.success(201)["run"]["id"]);
            claimed.push((run, house.claim().await));
        }
        for (run, mut claimed) in claimed {
            let cause = Cause { code: "c".into(), message: "m".into() };
            begun.insert(run, std::time::Instant::now());
            house.step(&mut claimed, vec![Event::Failed { cause }], Status::Failed).await;
            house.app.bell.ring_outbox();
        }
        let mut took = Vec::new();
        for (hook, before) in self.hooks.iter().zip(before).skip(1) {
            for received in hook.until("/", before + each).await.into_iter().skip(before) {
                let run = text(&body(&received)["run_id"]);
                took.push(received.at.duration_since(begun[&run]));
            }
        }
        took
    }
}

/// The figure is in docs/bench.md. Rounds of the two alternate, so that what the machine does besides is shared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_receivers_one_that_hangs_delays_no_other() {
    const ROUNDS: usize = 4;
    const EACH: usize = 3;
    let (well, one_hangs) = (Fifty::new(false).await, Fifty::new(true).await);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    // The first round of each warms up.
    for round in 0..=ROUNDS {
        let (took_without, took_with) = (well.round(EACH).await, one_hangs.round(EACH).await);
        if round > 0 {
            without.extend(took_without);
            with.extend(took_with);
        }
    }
    assert_eq!((without.len(), with.len()), (49 * EACH * ROUNDS, 49 * EACH * ROUNDS));
    let hung = one_hangs.hooks[0].received().len();
    assert!(
        (4..EACH * (ROUNDS + 1)).contains(&hung),
        "the first receiver hangs, with four under way at a time: {hung}"
    );
    let of = |took: &mut Vec<Duration>| {
        took.sort_unstable();
        [took.len() / 2, took.len() * 99 / 100].map(|at| took[at])
    };
    let ([half, p99], [half_with, p99_with]) = (of(&mut without), of(&mut with));
    println!("50 receivers: p50 {half:?}, p99 {p99:?}; one of them hangs: p50 {half_with:?}, p99 {p99_with:?}");
    // A try takes ten seconds until it is given up, and whoever waited behind one would take as long. Machines stumble for milliseconds.
    assert!(p99_with < p99 * 2 + Duration::from_millis(100), "p99 {p99:?} became {p99_with:?}");
}

#[tokio::test]
async fn each_node_has_four_under_way_to_an_origin_and_no_event_twice() {
    let cluster = testkit::postgres::Cluster::start().expect("a PostgreSQL");
    let house = House::on_postgres(&cluster).await;
    let hook = Hook::start(|_, _| Conduct::Hang).expect("a hook");
    let url = hook.url("/hangs");
    for _ in 0..20 {
        failed(&house, &url).await;
    }
    let nodes = [deliver(&house), deliver(&house), deliver(&house)];
    house.app.bell.ring_outbox();
    let mut came = hook.until("/hangs", 12).await;
    // None more for as long as they hang.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(hook.received().len(), 12, "three nodes with four each");
    came.sort_by(|a, b| a.id.cmp(&b.id));
    came.dedup_by(|a, b| a.id == b.id);
    assert_eq!(came.len(), 12, "each is sent by one node");
    drop(nodes);
}

//! T07: Jobs that kill whoever works on them. After three deaths each is given up with that cause, and its neighbours get their work done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::RunId;
use domain::runs::Event;
use testkit::checker::{Seen, violations};

use crate::api::Api;
use crate::chance::Chance;
use crate::job::Kind;
use crate::judge::Verdict;
use crate::node::Node;
use crate::totals::Totals;
use crate::world::{Plan, World};

/// As an operator gets it.
const DEATHS: usize = 3;
/// From its start to its end.
const GIVEN_UP: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn t07_on_sqlite() {
    let totals = Totals::begin("T07 poison on SQLite", "deaths");
    let chance = Arc::new(Chance::new());
    let world = World::sqlite(&chance, Plan { deaths: 3, ..Plan::default() }).await;
    poison(totals, world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t07_on_postgres() {
    let totals = Totals::begin("T07 poison on PostgreSQL", "deaths");
    let chance = Arc::new(Chance::new());
    let world = World::postgres(&chance, Plan { nodes: 2, deaths: 3, lease_ms: 1_000, ..Plan::default() }).await;
    poison(totals, world).await;
}

async fn poison(totals: Totals, mut world: World) {
    let api = world.api();
    let agent = api.create_assignment().await;
    let (mut verdict, mut deaths, mut neighbours) = (Verdict::default(), 0, Vec::new());
    // One after the other: two at once would count each other's deaths.
    for kind in [Kind::Aborts, Kind::Overflows, Kind::Hogs] {
        let poison = api.start_run(&agent, kind).await.unwrap();
        for _ in 0..10 {
            neighbours.extend(api.start_run(&agent, Kind::Steps).await);
        }
        match given_up(&mut world, &api, poison).await {
            Ok(died) => deaths += died,
            Err(why) => {
                // It would go on to kill whoever does anything.
                verdict.wrong.push(format!("{kind:?} is not given up: {why}"));
                break;
            }
        }
        verdict.wrong.extend(end(&api.look(poison).await).into_iter().map(|wrong| format!("{kind:?}: {wrong}")));
    }
    if verdict.wrong.is_empty() {
        api.settle(Duration::from_secs(20)).await;
        let runs = api.runs().await;
        verdict.runs = runs.len();
        let undone = runs.iter().filter(|run| neighbours.contains(&run.id) && run.status != "completed");
        verdict.wrong.extend(undone.map(|run| format!("a neighbour: {run:?}")));
    }
    verdict.wrong.extend(api.wrong());
    totals.report(deaths, &verdict);
    verdict.pass(&world);
}

/// Starts the nodes again that a Job kills, as whoever supervises servers does, until it is given up: how many died.
async fn given_up(world: &mut World, api: &Api, poison: RunId) -> Result<usize, String> {
    let (began, mut deaths) = (Instant::now(), 0);
    while api.get(&format!("/v1/runs/{poison}")).await.is_none_or(|run| run["run"]["status"] != "failed") {
        if deaths > DEATHS || began.elapsed() > GIVEN_UP {
            return Err(format!("{deaths} workers died of it in {:?}", began.elapsed()));
        }
        for node in 0..world.nodes.len() {
            if world.nodes[node].as_mut().is_some_and(|node| node.ended(Duration::ZERO).is_some()) {
                deaths += 1;
                tokio::task::block_in_place(|| {
                    world.replace(node);
                    api.at(world.nodes.iter_mut().flatten().filter_map(Node::address).collect());
                });
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(deaths)
}

/// What is wrong with how such a Job ended, one sentence each.
fn end(seen: &Seen) -> Vec<String> {
    let mut wrong = violations(seen);
    let events: Vec<Event> = seen.events.iter().map(|sent| serde_json::from_str(sent.data.get()).unwrap()).collect();
    let claims = events.iter().filter(|event| matches!(event, Event::Claimed { .. })).count();
    if claims != DEATHS + 1 {
        wrong.push(format!("each death is one claim, and the last claim gives it up, but it has {claims}: {events:?}"));
    }
    match events.last() {
        Some(Event::Failed { cause })
            if cause.code == "worker_died" && cause.message.contains("died, or lost its lease") => {}
        other => wrong.push(format!("its last word is {other:?}")),
    }
    wrong
}

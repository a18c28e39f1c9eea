//! T07: Jobs that kill whoever works on them. After three deaths each is given up with that cause, and its neighbours get their work done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::runs::Event;

use crate::chance::Chance;
use crate::job::Kind;
use crate::node::Node;
use crate::world::{Plan, World};

/// As an operator gets it.
const DEATHS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn t07_on_sqlite() {
    let chance = Arc::new(Chance::new());
    let world = World::sqlite(&chance, Plan { deaths: 3, ..Plan::default() }).await;
    poison(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t07_on_postgres() {
    let chance = Arc::new(Chance::new());
    let world = World::postgres(&chance, Plan { nodes: 2, deaths: 3, lease_ms: 1_000, ..Plan::default() }).await;
    poison(world).await;
}

async fn poison(mut world: World) {
    let api = world.api();
    let agent = api.create_assignment().await;
    let mut neighbours = Vec::new();
    // One after the other: two at once would count each other's deaths.
    for kind in [Kind::Aborts, Kind::Overflows, Kind::Hogs] {
        let poison = api.start_run(&agent, kind).await.unwrap();
        for _ in 0..10 {
            neighbours.extend(api.start_run(&agent, Kind::Steps).await);
        }
        let began = Instant::now();
        while api.get(&format!("/v1/runs/{poison}")).await.is_none_or(|run| run["run"]["status"] != "failed") {
            assert!(began.elapsed() < Duration::from_mins(1), "{kind:?} is not given up\n{}", world.logs());
            // What supervises servers starts them again.
            for node in 0..world.nodes.len() {
                if world.nodes[node].as_mut().is_some_and(|node| node.ended(Duration::ZERO).is_some()) {
                    tokio::task::block_in_place(|| {
                        world.replace(node);
                        api.at(world.nodes.iter_mut().flatten().filter_map(Node::address).collect());
                    });
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let seen = api.look(poison).await;
        let events: Vec<Event> =
            seen.events.iter().map(|sent| serde_json::from_str(sent.data.get()).unwrap()).collect();
        let claims = events.iter().filter(|event| matches!(event, Event::Claimed { .. })).count();
        assert_eq!(
            claims,
            DEATHS + 1,
            "{kind:?}: each death is one claim, and the last claim gives it up: {events:#?}"
        );
        let Some(Event::Failed { cause }) = events.last() else { panic!("{kind:?}: {events:#?}") };
        assert_eq!(cause.code, "worker_died", "{kind:?}");
        assert!(cause.message.contains("3 times in a row"), "{}", cause.message);
        let known = testkit::checker::violations(&seen);
        assert!(known.is_empty(), "{kind:?}: {known:#?}");
    }
    api.settle(Duration::from_secs(20)).await;
    let runs = api.runs().await;
    let undone = runs.iter().filter(|run| neighbours.contains(&run.id) && run.status != "completed");
    let undone: Vec<_> = undone.collect();
    assert!(undone.is_empty(), "neighbours: {undone:?}\n{}", world.logs());
}

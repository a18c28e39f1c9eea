//! T01 and T02: `kill -9` at random moments, one node on SQLite, three on PostgreSQL, until every run is over.

use std::sync::Arc;

use domain::Timestamp;

use crate::chance::Chance;
use crate::judge::judge;
use crate::storm::Storm;
use crate::totals::{Totals, number};
use crate::world::{Plan, World};

/// A takeover may take this much longer than the lease.
const PATIENCE_MS: u64 = 5_000;

#[tokio::test(flavor = "multi_thread")]
async fn t01_one_node_on_sqlite() {
    let totals = Totals::begin("T01 kills on SQLite", "kills");
    let chance = Arc::new(Chance::new());
    let world = World::sqlite(&chance, Plan::default()).await;
    storm(totals, world, chance, number("KILLS", 60), number("RUNS", 500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t02_three_nodes_on_postgres() {
    let totals = Totals::begin("T02 kills on PostgreSQL", "kills");
    let chance = Arc::new(Chance::new());
    let world = World::postgres(&chance, Plan { nodes: 3, ..Plan::default() }).await;
    storm(totals, world, chance, number("KILLS", 20), number("RUNS", 300)).await;
}

async fn storm(totals: Totals, mut world: World, chance: Arc<Chance>, kills_wanted: usize, runs: usize) {
    let api = world.api();
    let agent = api.create_assignment().await;
    // So that they last as long as the kills.
    let pause_ms = (kills_wanted as u64 * 700 / runs as u64).clamp(5, 200);
    let storm = Storm::begin(&api, &agent, runs, pause_ms, &chance);
    let mut kills = Vec::new();
    while kills.len() < kills_wanted || storm.goes_on() {
        tokio::time::sleep(chance.millis(200, 900)).await;
        let all = chance.below(8) == 0;
        let chosen = usize::try_from(chance.below(world.nodes.len() as u64)).unwrap();
        tokio::task::block_in_place(|| {
            for node in (0..world.nodes.len()).filter(|node| all || *node == chosen) {
                world.replace(node);
                kills.push(now());
                if chance.below(8) == 0 {
                    // Now and then it does not even get to start.
                    std::thread::sleep(chance.millis(0, 60));
                    world.replace(node);
                    kills.push(now());
                }
            }
            let addresses = world.nodes.iter_mut().flatten().map(crate::node::Node::up).collect();
            api.at(addresses);
        });
    }
    let told = storm.end().await;
    let mut verdict = judge(&world, &api, &told, &kills).await;
    let slowest = verdict.takeovers.last().copied().unwrap_or(0);
    if slowest > world.lease_ms + PATIENCE_MS {
        verdict.wrong.push(format!("a run waited {slowest} ms for another worker"));
    }
    if verdict.returns == 0 {
        verdict.wrong.push("no reader ever had to come back, so nothing is shown of that".to_owned());
    }
    totals.report(kills.len(), &verdict);
    verdict.pass(&world);
}

#[expect(clippy::disallowed_methods, reason = "kills are held against the times in the servers' own journals")]
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(since.as_millis()).unwrap())
}

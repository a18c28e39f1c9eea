//! T09: nodes that freeze for longer than their leases hold, with calls in flight. Others take their Jobs over; then they come back, not knowing,
//! and their answers arrive, and what they were writing is replaced.

use std::sync::Arc;

use crate::chance::Chance;
use crate::edits::Editors;
use crate::judge::judge;
use crate::kills::now;
use crate::storm::Storm;
use crate::totals::{Totals, number};
use crate::world::{Plan, World};

/// The shortest that the settings allow.
const LEASE_MS: u64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn t09_frozen_nodes_write_nothing_to_what_they_lost() {
    let totals = Totals::begin("T09 zombies", "freezes");
    let chance = Arc::new(Chance::new());
    let plan = Plan { nodes: 3, lease_ms: LEASE_MS, model_ms: (100, 700), ledger_ms: 600, ..Plan::default() };
    let mut world = World::postgres(&chance, plan).await;
    let api = world.api();
    let agent = api.create_assignment().await;
    let freezes = number("FREEZES", 20);
    let runs = freezes * 8;
    let editors = Editors::begin(&api).await;
    let storm = Storm::begin(&api, &agent, runs, 150, &chance);
    let mut frozen_at = Vec::new();
    while frozen_at.len() < freezes || storm.goes_on() {
        let node = usize::try_from(chance.below(3)).unwrap();
        let addresses: Vec<String> = world.nodes.iter_mut().flatten().map(crate::node::Node::up).collect();
        // Whoever asks a frozen node only waits.
        api.at(addresses.iter().enumerate().filter(|(place, _)| *place != node).map(|(_, at)| at.clone()).collect());
        world.nodes[node].as_ref().unwrap().freeze();
        frozen_at.push(now());
        tokio::time::sleep(chance.millis(LEASE_MS + 200, LEASE_MS + 900)).await;
        world.nodes[node].as_ref().unwrap().thaw();
        api.at(addresses);
        tokio::time::sleep(chance.millis(100, 500)).await;
    }
    let told = storm.end().await;
    let (edited, broken) = editors.judge(&api).await;
    let mut verdict = judge(&world, &api, &told, &frozen_at).await;
    verdict.wrong.extend(broken);
    let takeovers = verdict.takeovers.len();
    if takeovers < freezes / 2 {
        verdict.wrong.push(format!("{takeovers} takeovers of {freezes} freezes are too few to show anything"));
    }
    if edited < freezes {
        verdict.wrong.push(format!("{edited} Jobs that edit are too few for {freezes} freezes"));
    }
    totals.report(frozen_at.len(), &verdict);
    verdict.pass(&world);
}

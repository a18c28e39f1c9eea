//! T18: nodes that are told to end while they work. They take nothing new, end the step they are in, let go of everything, and exit with 0.

use std::sync::Arc;
use std::time::{Duration, Instant};

use storage::StoreError;

use crate::chance::Chance;
use crate::judge::judge;
use crate::node::Node;
use crate::storm::Storm;
use crate::totals::{number, report};
use crate::world::{Plan, World};

/// As the world's settings have it, and a second.
const GRACE: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn t18_on_sqlite() {
    let chance = Arc::new(Chance::new());
    let world = World::sqlite(&chance, Plan::default()).await;
    drain("T18 drains on SQLite", world, chance).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t18_on_postgres() {
    let chance = Arc::new(Chance::new());
    let world = World::postgres(&chance, Plan { nodes: 2, ..Plan::default() }).await;
    drain("T18 drains on PostgreSQL", world, chance).await;
}

async fn drain(suite: &str, mut world: World, chance: Arc<Chance>) {
    let began = Instant::now();
    let drains = number("DRAINS", 10);
    let api = world.api();
    let agent = api.create_assignment().await;
    let storm = Storm::begin(&api, &agent, drains * 10, 60, &chance);
    let mut wrong = Vec::new();
    for drain in 0..drains {
        tokio::time::sleep(chance.millis(200, 700)).await;
        let node = drain % world.nodes.len();
        let mut draining = world.nodes[node].take().unwrap();
        let told = Instant::now();
        draining.terminate();
        let ended = tokio::task::block_in_place(|| draining.ended(GRACE));
        match ended {
            Some(status) if status.success() => {}
            other => wrong.push(format!("drain {drain} ended with {other:?} after {:?}", told.elapsed())),
        }
        if world.nodes.len() == 1 {
            let db = world.database().await;
            let held = "SELECT count(*) FROM work WHERE claim IS NOT NULL";
            let held = db.read::<_, StoreError, _>(async |tx| tx.row(held, &[]).await).await.unwrap().unwrap();
            if held.int(0).unwrap() > 0 {
                wrong.push(format!("drain {drain} left {} leases", held.int(0).unwrap()));
            }
            db.close().await;
        }
        world.replace(node);
        let addresses = tokio::task::block_in_place(|| world.nodes.iter_mut().flatten().map(Node::up).collect());
        api.at(addresses);
    }
    storm.all_accepted(drains * 10).await;
    let told = storm.end().await;
    let mut verdict = judge(&world, &api, &told, &[]).await;
    verdict.wrong.extend(wrong);
    if verdict.cut_off > 0 {
        verdict.wrong.push(format!("{} calls were cut off, though all of them were quick", verdict.cut_off));
    }
    report(suite, "drains", drains, began, &verdict);
    verdict.pass(&world);
}

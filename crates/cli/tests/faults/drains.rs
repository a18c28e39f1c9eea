//! T18: nodes that are told to end while they work. They take nothing new, end the step they are in, let go of everything, and exit with 0.
//!
//! Nobody can say of a lease whose it is. So now and then all nodes are told at once, and then there may be none; and when one is told, no run may
//! ever be taken as from a worker that died.

use std::sync::Arc;
use std::time::{Duration, Instant};

use storage::{Db, StoreError};

use crate::chance::Chance;
use crate::judge::judge;
use crate::node::Node;
use crate::storm::Storm;
use crate::totals::{Totals, number};
use crate::world::{Plan, World};

/// As the world's settings have it, and a second.
const GRACE: Duration = Duration::from_secs(6);
/// How soon all leases are let go: the steps of these Jobs take a fifth of it.
const LET_GO: Duration = Duration::from_secs(1);
/// So long that none ends by itself, on a machine that does much else.
const LEASE_MS: u64 = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn t18_on_sqlite() {
    let totals = Totals::begin("T18 drains on SQLite", "drains");
    let chance = Arc::new(Chance::new());
    let world = World::sqlite(&chance, Plan { lease_ms: LEASE_MS, ..Plan::default() }).await;
    drain(totals, world, chance).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t18_on_postgres() {
    let totals = Totals::begin("T18 drains on PostgreSQL", "drains");
    let chance = Arc::new(Chance::new());
    let world = World::postgres(&chance, Plan { nodes: 2, lease_ms: LEASE_MS, ..Plan::default() }).await;
    drain(totals, world, chance).await;
}

async fn drain(totals: Totals, mut world: World, chance: Arc<Chance>) {
    let drains = number("DRAINS", 10);
    let api = world.api();
    let agent = api.create_assignment().await;
    let storm = Storm::begin(&api, &agent, drains * 10, 60, &chance);
    let db = world.database().await;
    let (mut wrong, mut slowest) = (Vec::new(), Duration::ZERO);
    for drain in 0..drains {
        tokio::time::sleep(chance.millis(200, 700)).await;
        let nodes = world.nodes.len();
        let all = drain % 3 == 2 || nodes == 1;
        let mut draining: Vec<(usize, Node)> = (0..nodes)
            .filter(|node| all || *node == drain % nodes)
            .map(|node| (node, world.nodes[node].take().unwrap()))
            .collect();
        let told = Instant::now();
        for (_, node) in &draining {
            node.terminate();
        }
        if all {
            while leases(&db).await > 0 && told.elapsed() < GRACE {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            slowest = slowest.max(told.elapsed());
            if told.elapsed() > LET_GO {
                wrong.push(format!("drain {drain} let go of its last lease after {:?}", told.elapsed()));
            }
        }
        for (_, draining) in &mut draining {
            match tokio::task::block_in_place(|| draining.ended(GRACE)) {
                Some(status) if status.success() => {}
                other => wrong.push(format!("drain {drain} ended with {other:?} after {:?}", told.elapsed())),
            }
        }
        let left = if all { leases(&db).await } else { 0 };
        if left > 0 {
            wrong.push(format!("drain {drain} left {left} leases"));
        }
        for (node, _) in draining {
            world.replace(node);
        }
        let addresses = tokio::task::block_in_place(|| world.nodes.iter_mut().flatten().map(Node::up).collect());
        api.at(addresses);
    }
    db.close().await;
    storm.all_accepted().await;
    let told = storm.end().await;
    let mut verdict = judge(&world, &api, &told, &[]).await;
    verdict.wrong.extend(wrong);
    if verdict.cut_off > 0 {
        verdict.wrong.push(format!("{} calls were cut off, though all of them were quick", verdict.cut_off));
    }
    if verdict.left > 0 {
        verdict.wrong.push(format!("{} times a run was taken from a worker that had not let go", verdict.left));
    }
    totals.report(drains, &verdict);
    println!("the last lease was let go at most {slowest:?} after the signal");
    verdict.pass(&world);
}

/// How many leases there are.
async fn leases(db: &Db) -> i64 {
    let held = "SELECT count(*) FROM work WHERE claim IS NOT NULL";
    let held = db.read::<_, StoreError, _>(async |tx| tx.row(held, &[]).await).await.unwrap().unwrap();
    held.int(0).unwrap()
}

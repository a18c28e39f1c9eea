//! T12: a database server that is killed and started again under load.

use std::sync::Arc;

use crate::chance::Chance;
use crate::judge::judge;
use crate::storm::Storm;
use crate::totals::{Totals, number};
use crate::world::{Plan, Store, World};

#[tokio::test(flavor = "multi_thread")]
async fn t12_the_database_restarts_under_load() {
    let totals = Totals::begin("T12 database restarts", "restarts");
    let chance = Arc::new(Chance::new());
    let mut world = World::postgres(&chance, Plan { nodes: 2, ..Plan::default() }).await;
    let api = world.api();
    let agent = api.create_assignment().await;
    let restarts = number("RESTARTS", 10);
    let runs = number("RUNS", 200);
    let pause_ms = (restarts as u64 * 3_000 / runs as u64).clamp(5, 300);
    let storm = Storm::begin(&api, &agent, runs, pause_ms, &chance);
    for _ in 0..restarts {
        tokio::time::sleep(chance.millis(500, 2_500)).await;
        let Store::Postgres { cluster, .. } = &mut world.store else { unreachable!() };
        let down = chance.millis(0, 2_500);
        tokio::task::block_in_place(|| {
            if chance.below(2) == 0 { cluster.kill() } else { cluster.stop_immediately() }.unwrap();
            std::thread::sleep(down);
            cluster.start_again().unwrap();
        });
    }
    storm.all_accepted().await;
    let told = storm.end().await;
    let verdict = judge(&world, &api, &told, &[]).await;
    totals.report(restarts, &verdict);
    verdict.pass(&world);
}

//! Nodes with different roles on one PostgreSQL: what one does, readers on another see at once, also behind a pooler that carries no news.

use std::sync::Arc;
use std::time::{Duration, Instant};

use testkit::postgres::{Bouncer, Cluster};

use crate::api::Api;
use crate::chance::Chance;
use crate::job::Kind;
use crate::judge::judge;
use crate::storm::{Stop, Storm, Told};
use crate::world::{Plan, Store, World};

/// A node that serves and one that works.
async fn two_roles(chance: &Arc<Chance>, plan: Plan, store: Store) -> World {
    let mut world = World::new(chance, plan, store).await;
    for (node, role) in ["api", "worker"].into_iter().enumerate() {
        world.starts[node].env.push(("ERRAND_ROLE".to_owned(), role.to_owned()));
        world.replace(node);
        world.nodes[node].as_mut().unwrap().up();
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_does_is_streamed_by_the_node_that_serves() {
    let chance = Arc::new(Chance::new());
    let cluster = Cluster::start().unwrap();
    let url = cluster.url();
    let plan = Plan { nodes: 2, model_ms: (400, 400), ledger_ms: 1, ..Plan::default() };
    let mut world = two_roles(&chance, plan, Store::Postgres { cluster, url }).await;
    let [serving, working] = [0, 1].map(|node| world.nodes[node].as_mut().unwrap().up());
    assert!(Api::new(vec![working.clone()], &world.hook).get("/readyz").await.is_some(), "a worker answers its probes");
    assert!(Api::new(vec![working], &world.hook).get("/v1/runs").await.is_none(), "and nothing else");
    let api = Api::new(vec![serving], &world.hook);
    let agent = api.create_assignment().await;
    let mut told = Told::default();
    let run = api.start_run(&agent, Kind::Steps).await.unwrap();
    told.runs.insert(run, Kind::Steps);
    let arrived = api.arrivals(run).await;
    let late: Vec<_> = arrived.iter().filter(|(_, late)| *late > Duration::from_millis(500)).collect();
    assert!(arrived.len() > 8 && late.is_empty(), "of {} events these were late: {late:?}", arrived.len());
    // A stop reaches a worker in the middle of a turn.
    let run = api.start_run(&agent, Kind::Endless).await.unwrap();
    told.runs.insert(run, Kind::Endless);
    tokio::time::sleep(Duration::from_millis(600)).await;
    let asked = Instant::now();
    told.stopped.insert(run, api.stop(run).await);
    assert_eq!(told.stopped[&run], Stop::Taken);
    while !api.runs().await.iter().any(|listed| listed.id == run && listed.is_over()) {
        assert!(asked.elapsed() < Duration::from_secs(1), "a stop takes too long");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    judge(&world, &api, &told, &[]).await.pass(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_transaction_pooler_all_is_right_and_a_little_later() {
    let chance = Arc::new(Chance::new());
    let cluster = Cluster::start().unwrap();
    let bouncer = Bouncer::start(&cluster).unwrap();
    let url = cluster.url_at(bouncer.address(), "errand");
    let plan = Plan { nodes: 2, pooled: true, model_ms: (50, 300), ..Plan::default() };
    let mut world = two_roles(&chance, plan, Store::Postgres { cluster, url }).await;
    let api = Api::new(vec![world.nodes[0].as_mut().unwrap().up()], &world.hook);
    let agent = api.create_assignment().await;
    let storm = Storm::begin(&api, &agent, 40, 30, &chance);
    storm.all_accepted().await;
    let run = api.start_run(&agent, Kind::Endless).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = Instant::now();
    let stop = api.stop(run).await;
    assert_eq!(stop, Stop::Taken);
    while !api.runs().await.iter().any(|listed| listed.id == run && listed.is_over()) {
        assert!(asked.elapsed() < Duration::from_secs(5), "a stop takes too long");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut told = storm.end().await;
    told.runs.insert(run, Kind::Endless);
    told.stopped.insert(run, stop);
    judge(&world, &api, &told, &[]).await.pass(&world);
    drop(bouncer);
}

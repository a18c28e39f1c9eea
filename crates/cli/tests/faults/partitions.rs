//! T14: a network between one node and the database that breaks in three shapes, for longer than a lease.

use std::sync::Arc;
use std::time::{Duration, Instant};

use testkit::chaos_proxy::{ChaosProxy, Direction, Upstream, Weather};
use testkit::postgres::Cluster;

use crate::chance::Chance;
use crate::judge::judge;
use crate::node::Node;
use crate::storm::Storm;
use crate::totals::{Totals, number};
use crate::world::{Plan, Store, World};

const LEASE_MS: u64 = 2_000;
/// The grace of the world's settings, five seconds to let go, ten for requests, five to close the database, and two for a busy machine.
const END: Duration = Duration::from_secs(5 + 5 + 10 + 5 + 2);
/// All connections are torn down; nothing passes; what the node asks arrives but no answer does.
const SHAPES: [Weather; 3] = [Weather::Reset, Weather::BlackHole, Weather::OneWay(Direction::ToUpstream)];

#[tokio::test(flavor = "multi_thread")]
async fn t14_a_node_that_is_cut_off_stops_and_comes_back() {
    let totals = Totals::begin("T14 partitions", "partitions");
    let chance = Arc::new(Chance::new());
    let cluster = Cluster::with_tcp(&[]).unwrap();
    let proxy = ChaosProxy::start(Upstream::Tcp(cluster.address().unwrap())).await.unwrap();
    let url = cluster.url_at(proxy.address(), "errand");
    let direct = cluster.url();
    let plan = Plan { nodes: 2, lease_ms: LEASE_MS, model_ms: (50, 400), ..Plan::default() };
    let mut world = World::new(&chance, plan, Store::Postgres { cluster, url }).await;
    // The second node has a cable of its own.
    world.starts[1].env.push(("ERRAND_DATABASE_URL".to_owned(), direct));
    world.replace(1);
    world.nodes[1].as_mut().unwrap().up();
    let api = world.api();
    let agent = api.create_assignment().await;
    let addresses: Vec<String> = world.nodes.iter_mut().flatten().map(Node::up).collect();
    let partitions = number("PARTITIONS", SHAPES.len());
    let (runs, pause_ms) = (number("RUNS", partitions * 40), number("PAUSE_MS", 150));
    let storm = Storm::begin(&api, &agent, runs, pause_ms as u64, &chance);
    for shape in SHAPES.iter().cycle().take(partitions) {
        tokio::time::sleep(chance.millis(500, 1_500)).await;
        api.at(vec![addresses[1].clone()]);
        proxy.set(*shape);
        tokio::time::sleep(chance.millis(LEASE_MS + 1_000, 2 * LEASE_MS + 2_000)).await;
        proxy.set(Weather::Clear);
        let cleared = Instant::now();
        let cut_off = api.of(vec![addresses[0].clone()]);
        while cut_off.get("/readyz").await.is_none() {
            assert!(cleared.elapsed() < Duration::from_secs(25), "{shape:?}: it does not come back\n{}", world.logs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        println!("{shape:?}: back {:?} after the network was", cleared.elapsed());
        api.at(addresses.clone());
    }
    // Time for what was late to arrive.
    tokio::time::sleep(chance.millis(1_000, 1_500)).await;
    api.at(vec![addresses[1].clone()]);
    proxy.set(Weather::BlackHole);
    tokio::time::sleep(Duration::from_millis(500)).await;
    end_while_cut_off(world.nodes[0].take().unwrap());
    proxy.set(Weather::Clear);
    storm.all_accepted().await;
    let told = storm.end().await;
    let verdict = judge(&world, &api, &told, &[]).await;
    totals.report(partitions, &verdict);
    verdict.pass(&world);
}

/// A node that is told to end while its database does not answer does not wait for it for ever.
fn end_while_cut_off(mut node: Node) {
    let told = Instant::now();
    node.terminate();
    let status = tokio::task::block_in_place(|| node.ended(END));
    println!("told to end while it was cut off: {status:?} after {:?}", told.elapsed());
    assert!(status.is_some_and(|status| status.success()), "told to end, after {:?}: {status:?}", told.elapsed());
}

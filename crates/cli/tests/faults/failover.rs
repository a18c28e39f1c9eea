//! T13: the primary is gone for good, its synchronous standby takes its place, and gets a standby of its own. Nodes know both places by one URL.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::postgres::{Cluster, Following};

use crate::api::Api;
use crate::chance::Chance;
use crate::judge::judge;
use crate::node::Node;
use crate::storm::Storm;
use crate::totals::{Totals, number};
use crate::world::{Plan, Store, World};

/// How long after the promotion every node must take writes again.
const BACK: Duration = Duration::from_secs(15);

/// The control of [`crate::sabotage`]: nobody waits for the standby, so a failover loses what was acknowledged.
pub(crate) const ASYNCHRONOUS: &str = "ERRAND_FAULTS_ASYNCHRONOUS";

#[tokio::test(flavor = "multi_thread")]
async fn t13_a_synchronous_standby_takes_over() {
    let totals = Totals::begin("T13 failovers", "failovers");
    let chance = Arc::new(Chance::new());
    let following = match std::env::var(ASYNCHRONOUS) {
        Ok(_) => Following::Asynchronous,
        Err(_) => Following::Synchronous,
    };
    let cluster = Cluster::with_tcp(&[]).unwrap();
    let mut standby = tokio::task::block_in_place(|| cluster.standby(None, following)).unwrap();
    let [here, there] = [&cluster, &standby].map(|cluster| cluster.address().unwrap());
    let url = format!("postgres://errand@{here},{there}/errand?target_session_attrs=read-write");
    let mut world = World::new(&chance, Plan { nodes: 2, ..Plan::default() }, Store::Postgres { cluster, url }).await;
    let api = world.api();
    let agent = api.create_assignment().await;
    let each: Vec<Api> = world.nodes.iter_mut().flatten().map(|node| api.of(vec![Node::up(node)])).collect();
    let failovers = number("FAILOVERS", 3);
    let runs = failovers * 60;
    let storm = Storm::begin(&api, &agent, runs, 60, &chance);
    let mut slowest = Duration::ZERO;
    for failover in 0..failovers {
        tokio::time::sleep(chance.millis(500, 2_000)).await;
        let Store::Postgres { cluster, .. } = &mut world.store else { unreachable!() };
        // What is written in this time the standby does not have, so nobody may be told that it is.
        cluster.hold_back().unwrap();
        tokio::time::sleep(chance.millis(50, 600)).await;
        let promoted = tokio::task::block_in_place(|| {
            cluster.kill().unwrap();
            std::thread::sleep(chance.millis(0, 1_500));
            let promoted = Instant::now();
            standby.promote().unwrap();
            promoted
        });
        let lost = std::mem::replace(cluster, standby);
        for (node, api) in each.iter().enumerate() {
            while !writes(api).await {
                if promoted.elapsed() >= BACK * 2 {
                    let Store::Postgres { cluster, .. } = &world.store else { unreachable!() };
                    panic!("node {node} does not find the new primary\n{}\n{}", sessions(cluster), world.logs());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            println!("failover {failover}: node {node} writes {:?} after the promotion", promoted.elapsed());
            slowest = slowest.max(promoted.elapsed());
        }
        // What carries news between nodes has found it, too.
        let Store::Postgres { cluster, .. } = &world.store else { unreachable!() };
        while listening(cluster) < each.len() {
            assert!(promoted.elapsed() < BACK * 2, "a node hears no news of others any more\n{}", world.logs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        println!("failover {failover}: all nodes hear of each other {:?} after the promotion", promoted.elapsed());
        slowest = slowest.max(promoted.elapsed());
        // The next one stands where the lost one stood, which never comes back.
        let place = lost.address();
        standby = tokio::task::block_in_place(|| {
            drop(lost);
            cluster.standby(place, following).unwrap()
        });
    }
    storm.all_accepted().await;
    let told = storm.end().await;
    let mut verdict = judge(&world, &api, &told, &[]).await;
    if slowest > BACK {
        verdict.wrong.push(format!("a node took no writes for {slowest:?} after a promotion"));
    }
    totals.report(failovers, &verdict);
    println!("writes and news were back at most {slowest:?} after a promotion");
    verdict.pass(&world);
}

/// Whether a node takes a write: another Assignment, which nobody uses.
async fn writes(api: &Api) -> bool {
    let data = json!({ "model": "fake-model", "input": "Nothing to do." });
    let probe = json!({ "name": "Probe", "build": { "name": "first", "config": { "version": "v1", "data": data } } });
    api.post("/v1/agents", &probe).await.is_some_and(|(status, _)| status == 201)
}

/// What everybody does there, for a test that fails.
fn sessions(cluster: &Cluster) -> String {
    let all = "select now(), pid, state, wait_event_type, wait_event, now() - xact_start, query from pg_stat_activity";
    let settings =
        "select name, setting from pg_settings where name in ('synchronous_standby_names', 'transaction_read_only')";
    [all, settings].map(|sql| cluster.psql("errand", sql).unwrap_or_else(|error| error.to_string())).join("\n")
}

/// How many nodes listen there. It is the last thing that such a session asked, or what comes right after it.
fn listening(cluster: &Cluster) -> usize {
    let sessions = "select count(*) from pg_stat_activity where application_name = 'errand' and \
        query in ('LISTEN errand', 'SELECT pg_backend_pid()', 'SELECT pg_notify($1, $2)')";
    cluster.psql("errand", sessions).unwrap().parse().unwrap()
}

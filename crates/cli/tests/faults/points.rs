//! T03: the process dies at every place that has a name (`faults::POINTS`), at the first, second and third time that it comes by, on both stores;
//! and where a commit can fail instead, it fails.

use std::sync::Arc;
use std::time::Duration;

use faults::POINTS;

use crate::chance::Chance;
use crate::edits::misprints;
use crate::job::{BOOK, Kind, MARK, assignment, editor};
use crate::judge::{Verdict, judge};
use crate::node::Node;
use crate::storm::{Stop, Told};
use crate::totals::{Totals, number};
use crate::world::{Plan, Store, World};

/// Places that each life of a process comes by once: its start, and the end that it was asked for.
const ONCE: [&str; 2] = ["start.", "drain."];
/// So often a scenario comes by every other place; a longer test may ask for more and finds some places less often.
const REACHED: usize = 3;
/// How long a scenario may last until its server dies or nothing happens any more: seldom more than two seconds, on a machine that has time.
const SCENARIO: Duration = Duration::from_secs(30);

/// Scenarios at once: most of the time they wait.
const ABREAST: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn t03_on_sqlite() {
    every_point(Totals::begin("T03 crash points on SQLite", "deaths"), "postgres.", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t03_on_postgres() {
    let totals = Totals::begin("T03 crash points on PostgreSQL", "deaths");
    let cluster = testkit::postgres::Cluster::with(&["max_connections=200"]).unwrap();
    every_point(totals, "sqlite.", Some(Arc::new(cluster))).await;
}

async fn every_point(totals: Totals, but: &str, cluster: Option<Arc<testkit::postgres::Cluster>>) {
    let hits = number("HITS", 3);
    let chance = Arc::new(Chance::new());
    // Freeing is for the only process on a database; its place is there on both.
    // A sabotage shows at one of them, or not at all.
    let only = std::env::var("ERRAND_FAULTS_POINT").unwrap_or_default();
    let points = POINTS.iter().filter(|point| !point.starts_with(but) && point.starts_with(&only));
    let mut cases: Vec<(String, bool)> = Vec::new();
    for point in points {
        let most = if ONCE.iter().any(|once| point.starts_with(once)) { 1 } else { hits };
        cases.extend((1..=most).map(|hit| (format!("{point}:{hit}:abort"), hit <= REACHED)));
        if point.ends_with(".commit") {
            cases.extend((1..=hits).map(|hit| (format!("{point}:{hit}:error"), hit <= REACHED)));
        }
    }
    let scenarios = cases.len();
    assert!(scenarios > 0, "no place begins with {only:?}");
    let (mut verdict, mut deaths, mut errors) = (Verdict::default(), 0, 0);
    let mut running = tokio::task::JoinSet::new();
    let mut waiting = cases.into_iter().enumerate();
    loop {
        while running.len() < ABREAST
            && let Some((number, (fault, must_strike))) = waiting.next()
        {
            running.spawn(one(Arc::clone(&chance), number, fault, must_strike, cluster.clone()));
        }
        let Some(done) = running.join_next().await else { break };
        let (one, died, failed) = done.unwrap();
        deaths += usize::from(died);
        errors += usize::from(failed);
        verdict.runs += one.runs;
        verdict.claims += one.claims;
        verdict.calls += one.calls;
        verdict.unknown += one.unknown;
        verdict.wrong.extend(one.wrong);
    }
    println!("{deaths} deaths and {errors} failed commits in {scenarios} scenarios");
    totals.report(deaths, &verdict);
    assert!(verdict.wrong.is_empty(), "VIOLATIONS: {}\n{:#?}", verdict.wrong.len(), verdict.wrong);
}

async fn one(
    chance: Arc<Chance>,
    number: usize,
    fault: String,
    must_strike: bool,
    cluster: Option<Arc<testkit::postgres::Cluster>>,
) -> (Verdict, bool, bool) {
    let store = match cluster {
        None => Store::Sqlite,
        Some(cluster) => {
            let database = format!("point_{number}");
            cluster.create_database(&database).unwrap();
            Store::Shared { url: cluster.url_of(&database), _cluster: cluster }
        }
    };
    // Letting go is for the middle of the work, and a lease is renewed only when work outlasts a third of it.
    let draining = fault.starts_with("job.letting_go") || fault.starts_with("drain.");
    let long = draining || fault.starts_with("lease.");
    let files = fault.starts_with("files.");
    let model_ms = if long { (40, 60) } else { (1, 20) };
    let plan = Plan { nodes: 0, lease_ms: 1_000, model_ms, ..Plan::default() };
    let mut world = World::new(&chance, plan, store).await;
    let mut start = world.first();
    start.env.push(("ERRAND_FAULT".to_owned(), fault.clone()));
    let mut doomed = Node::spawn(&start);
    let mut told = Told::default();
    let api = crate::api::Api::new(vec![], &world.hook);
    if let Some(address) = doomed.address() {
        api.at(vec![address]);
        let kinds = if files {
            [Kind::Edits; 6]
        } else if long {
            [Kind::Endless; 6]
        } else {
            KINDS
        };
        let enough: &[&str] = if draining { &["starting", "running", "interrupted"] } else { &OVER };
        let dead = async {
            while doomed.ended(Duration::ZERO).is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = people(&api, kinds, enough, &mut told) => {}
            () = dead => {}
            () = tokio::time::sleep(SCENARIO) => {}
        }
        if doomed.ended(Duration::ZERO).is_none() {
            doomed.terminate();
        }
    }
    let status = doomed.ended(Duration::from_secs(10));
    drop(doomed);
    let said = std::fs::read_to_string(start.home.join("server.log")).unwrap();
    let point = fault.split(':').next().unwrap_or_default();
    let died = status.is_none_or(|status| !status.success()) && said.contains(&format!("the process dies at {point}"));
    let refused = said.contains(&format!("faults: {point} fails"));
    start.env.pop();
    world.starts.push(start);
    world.nodes.push(None);
    world.replace(0);
    api.at(vec![world.nodes[0].as_mut().unwrap().up()]);
    let mut verdict = judge(&world, &api, &told, &[]).await;
    if files {
        let runs: Vec<_> = told.runs.keys().copied().collect();
        verdict.wrong.extend(misprints(&api, &runs).await);
    }
    verdict.wrong.iter_mut().for_each(|wrong| *wrong = format!("{fault}: {wrong}"));
    if must_strike && !died && !refused {
        verdict.wrong.push(format!("{fault}: nothing came by there so often ({status:?})"));
    }
    (verdict, died, refused)
}

/// What is done: three of each kind of step, and one is stopped.
const KINDS: [Kind; 6] = [Kind::Steps, Kind::Ask, Kind::Ask, Kind::Ask, Kind::Steps, Kind::Steps];

const OVER: [&str; 3] = ["completed", "failed", "interrupted"];

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Everything that a person can do, until each run has come so far. Whether anybody is there any more is for others to see.
async fn people(api: &crate::api::Api, kinds: [Kind; 6], enough: &[&str], told: &mut Told) {
    let assignment = if kinds.contains(&Kind::Edits) {
        api.put_file(BOOK, MARK.to_owned()).await;
        editor()
    } else {
        assignment()
    };
    let agent = loop {
        match api.post("/v1/agents", &assignment).await {
            Some((201, made)) => break made["agent"]["id"].as_str().unwrap().to_owned(),
            _ => tokio::time::sleep(PAUSE).await,
        }
    };
    let mut runs = Vec::new();
    for kind in kinds {
        let run = loop {
            match api.start_run(&agent, kind).await {
                Some(run) => break run,
                None => tokio::time::sleep(PAUSE).await,
            }
        };
        told.runs.insert(run, kind);
        runs.push(run);
    }
    if let Some(id) = api.say(runs[4], "one more thing").await {
        told.said.entry(runs[4]).or_default().push(id);
    }
    told.stopped.insert(runs[5], Stop::Asked);
    told.stopped.insert(runs[5], api.stop(runs[5]).await);
    loop {
        for run in api.with_status("waiting").await {
            if let Some(request) = api.approve(run).await {
                told.answered.push((run, request));
            }
        }
        let listed = api.get("/v1/runs?limit=100").await;
        let over = |row: &serde_json::Value| row["status"].as_str().is_some_and(|status| enough.contains(&status));
        if listed.is_some_and(|page| page["data"].as_array().is_some_and(|rows| rows.iter().all(over))) {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

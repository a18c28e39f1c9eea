//! The server that dies: killed at random moments, started again on the same folder, until every run is over.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{RunId, Timestamp};
use testkit::checker::{Seen, ledger_violations, unknown_outcomes, violations};

use crate::api::Api;
use crate::chance::Chance;
use crate::job;
use crate::server::{Home, Server};

const RUNS: usize = 100;
/// At least so many kills.
const KILLS: usize = 25;
/// Runs asked for in one life of the server, so that there are some in flight whenever it dies.
const RUNS_A_LIFE: usize = 6;
/// Few at once, so that the work lasts longer than the kills.
const SETTINGS: &str = "[engine]\nconcurrency = 8\n";

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_whenever_every_run_ends_and_no_step_is_done_twice() {
    let began = Instant::now();
    let chance = Arc::new(Chance::new());
    let model = job::model(&chance, 20, 150).await;
    let home = Home::new(&model.openai_url(), SETTINGS);
    let mut server = Server::spawn(&home);
    let mut api = Api::new(server.address(&home));
    let agent = api.create_assignment().await;

    let (mut accepted, mut kills) = (HashSet::new(), Vec::new());
    while kills.len() < KILLS || accepted.len() < RUNS {
        let wanted = RUNS_A_LIFE.min(RUNS - accepted.len());
        let life = chance.millis(100, 500);
        let _over = tokio::time::timeout(life, ask_for(&api, &agent, wanted, &chance, &mut accepted)).await;
        kills.push(kill(server));
        server = Server::spawn(&home);
        if chance.below(5) == 0 {
            // Now and then it does not even get to start.
            tokio::time::sleep(chance.millis(0, 60)).await;
            kills.push(kill(server));
            server = Server::spawn(&home);
        }
        api = Api::new(server.address(&home));
    }
    api.settle(Duration::from_secs(30)).await;

    let runs = api.runs().await;
    let listed: HashSet<RunId> = runs.iter().map(|run| run.id).collect();
    assert!(accepted.is_subset(&listed), "accepted and lost: {:?}", accepted.difference(&listed));
    let (mut wrong, mut seen) = (Vec::new(), Vec::new());
    for run in &runs {
        if run.status != "completed" {
            wrong.push(format!("{}: {}", run.id, run.status));
            continue;
        }
        let (one, ledger) = api.look(run).await;
        let found = [violations(&one), ledger_violations(&one, &ledger)].concat();
        wrong.extend(found.into_iter().map(|violation| format!("{}: {violation}", run.id)));
        seen.push(one);
    }
    report(&kills, &seen, began.elapsed());
    assert!(wrong.is_empty(), "{wrong:#?}\n{}", home.logged());
}

/// Asks for runs, a moment between them; then waits for the end of this life.
async fn ask_for(api: &Api, agent: &str, wanted: usize, chance: &Chance, accepted: &mut HashSet<RunId>) {
    for _ in 0..wanted {
        accepted.extend(api.start_run(agent).await);
        tokio::time::sleep(chance.millis(0, 40)).await;
    }
    std::future::pending::<()>().await;
}

fn kill(server: Server) -> Timestamp {
    let at = now();
    drop(server);
    at
}

#[expect(clippy::disallowed_methods, reason = "kills are held against the times in the servers' own journals")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(since.as_millis()).unwrap())
}

/// Prints the figures: how hard it was, and how fast runs went on.
fn report(kills: &[Timestamp], seen: &[Seen], took: Duration) {
    let claims = seen.iter().flat_map(|seen| &seen.events).filter(|event| event.kind == "claimed");
    let mut claims: Vec<Timestamp> = claims.map(|event| event.timestamp.parse().unwrap()).collect();
    claims.sort();
    let first_after = |kill: &Timestamp| claims.iter().find(|claim| *claim > kill).map(|claim| claim.ms_since(*kill));
    let mut takeovers: Vec<u64> = kills.iter().filter_map(first_after).collect();
    takeovers.sort_unstable();
    let unknown: usize = seen.iter().map(unknown_outcomes).sum();
    println!(
        "{} kills, {} runs, {} claims, {unknown} unknown outcomes; from kill to next claim: median {} ms, at most {} ms; {took:.1?} in all",
        kills.len(),
        seen.len(),
        claims.len(),
        takeovers[takeovers.len() / 2],
        takeovers[takeovers.len() - 1],
    );
}

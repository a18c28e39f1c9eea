//! Whole runs, from the first POST until the last one is completed and on the disk, with a model that answers at once.

use std::time::{Duration, Instant};

use domain::runs::Status;
use domain::{AgentId, TeamId};
use storage::runs::Filter;
use storage::{Db, Settings, StoreError, runs, work};

use crate::child::Child;
use crate::http;
use crate::load::{self, Load, median};
use crate::report::{Report, Row};
use crate::rows::Plan;
use crate::seed;

/// Runs in one burst.
const RUNS: u32 = 1_000;
/// Bursts; the figures are the medians.
const BURSTS: u32 = 5;
/// Completed runs a second.
const RATE: f64 = 2_000.0;
/// CPU seconds of a thousand runs.
const CPU: f64 = 0.3;

/// The rows of this part.
pub(super) async fn measure(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let folder = plan.folder()?;
    let seeded = seed::fill(folder.path(), 1).await?;
    let child = Child::errand(folder.path(), Duration::ZERO, engine::Settings::default().concurrency)?;
    // Looks from outside, so that looking costs the server nothing.
    let db = Db::open(&Settings::new(seed::database(folder.path()), crate::ambient::clock()))?;
    load::burst(child.address, start(&seeded.agents), RUNS / 5).await?;
    until_idle(&db).await?;
    let (mut walls, mut cpus) = (vec![], vec![]);
    for _ in 0..BURSTS {
        let (cpu, began) = (child.cpu()?, Instant::now());
        load::burst(child.address, start(&seeded.agents), RUNS).await?;
        until_idle(&db).await?;
        walls.push(began.elapsed());
        cpus.push(child.cpu()?.saturating_sub(cpu));
    }
    let completed = completed(&db, seeded.team).await?;
    let expected = u64::from(RUNS / 5 + BURSTS * RUNS);
    anyhow::ensure!(completed == expected, "{completed} of {expected} runs completed");
    let (wall, cpu) = (median(walls).as_secs_f64(), median(cpus).as_secs_f64());
    let beside = vec![("burst_ms", wall * 1e3)];
    report.add(
        Row::new(format!("burst of {RUNS} whole runs"), f64::from(RUNS) / wall, "runs/s").at_least(RATE).also(beside),
    );
    report.add(Row::new("CPU of whole runs", cpu * 1e3 / f64::from(RUNS), "CPU-s/1000").at_most(CPU));
    Ok(())
}

/// Starting runs of the first agent, from 64 connections.
pub(super) fn start(agents: &[AgentId]) -> Load {
    let body = agents.first().map_or_else(String::new, |id| format!(r#"{{"agent_id":"{id}"}}"#));
    Load { requests: vec![http::post("/v1/runs", &body)], expected: 201, connections: 64 }
}

/// Waits until no run is worked on or due: its row in the table of work goes with its last commit.
pub(super) async fn until_idle(db: &Db) -> Result<(), StoreError> {
    while db.read(async |tx| work::next_due(tx).await).await?.is_some() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

async fn completed(db: &Db, team: TeamId) -> Result<u64, StoreError> {
    let filter = Filter { status: Some((Status::Completed, Status::Completed)), ..Filter::default() };
    db.read(async |tx| runs::page(tx, team, &filter, true, 1, 0).await).await.map(|(_, total)| total)
}

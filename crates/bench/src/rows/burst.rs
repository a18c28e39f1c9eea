//! Whole runs, from the first POST until the last one is completed and on the disk, with a model that answers at once.

use std::time::{Duration, Instant};

use domain::runs::Status;
use domain::{AgentId, TeamId};
use storage::runs::Filter;
use storage::{Db, StoreError, runs, work};

use crate::child::{Child, Script};
use crate::http;
use crate::load::{self, Load, median};
use crate::report::{Report, Row};
use crate::rows::Plan;
use crate::seed;
use crate::store::Backend;

/// Runs in one burst.
pub(super) const RUNS: u32 = 1_000;
/// Bursts; the figures are the medians.
const BURSTS: u32 = 5;
/// Completed runs a second.
const RATE: f64 = 2_000.0;
/// CPU seconds of a thousand runs.
const CPU: f64 = 0.3;

/// The rows of this part.
pub(super) async fn measure(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let burst = bursts(plan, &Backend::Sqlite).await?;
    let beside = vec![("burst_ms", burst.wall.as_secs_f64() * 1e3)];
    report
        .add(Row::new(format!("burst of {RUNS} whole runs"), burst.per_second(), "runs/s").at_least(RATE).also(beside));
    report.add(Row::new("CPU of whole runs", per_thousand(burst.cpu), "CPU-s/1000").at_most(CPU));
    Ok(())
}

/// What the burst in the middle came to.
pub(super) struct Burst {
    /// From the first POST to the last run's end.
    pub(super) wall: Duration,
    /// CPU of the server process meanwhile.
    pub(super) cpu: Duration,
    /// CPU of the database's own processes meanwhile.
    pub(super) database_cpu: Duration,
}

impl Burst {
    /// Runs a second.
    pub(super) fn per_second(&self) -> f64 {
        f64::from(RUNS) / self.wall.as_secs_f64()
    }
}

/// CPU seconds of a thousand runs.
pub(super) fn per_thousand(cpu: Duration) -> f64 {
    cpu.as_secs_f64() * 1e3 / f64::from(RUNS)
}

/// Several bursts on a fresh database.
pub(super) async fn bursts(plan: &Plan, on: &Backend) -> anyhow::Result<Burst> {
    let place = on.place(&plan.dir)?;
    let seeded = seed::fill(&place.store, 1).await?;
    let child = Child::errand(&place, Script::Answers(Duration::ZERO), engine::Settings::default().concurrency)?;
    // Looks from outside, so that looking costs the server nothing.
    let db = place.store.open().await?;
    load::burst(child.address, start(&seeded.agents), RUNS / 5).await?;
    until_idle(&db).await?;
    on.settle(&place)?;
    let (mut walls, mut cpus, mut database_cpus) = (vec![], vec![], vec![]);
    for _ in 0..BURSTS {
        let (cpu, database_cpu, began) = (child.cpu()?, child.database_cpu()?, Instant::now());
        load::burst(child.address, start(&seeded.agents), RUNS).await?;
        until_idle(&db).await?;
        walls.push(began.elapsed());
        cpus.push(child.cpu()?.saturating_sub(cpu));
        database_cpus.push(child.database_cpu()?.saturating_sub(database_cpu));
    }
    ensure_count(&db, seeded.team, Status::Completed, RUNS / 5 + BURSTS * RUNS).await?;
    Ok(Burst { wall: median(walls), cpu: median(cpus), database_cpu: median(database_cpus) })
}

/// Starting runs of the first agent, from 64 connections.
pub(super) fn start(agents: &[AgentId]) -> Load {
    let body = agents.first().map_or_else(String::new, |id| format!(r#"{{"agent_id":"{id}"}}"#));
    Load { requests: vec![http::post("/v1/runs", &body)], expected: 201, connections: 64 }
}

/// Waits until no run is worked on or due: its row in the table of work goes with its last commit.
pub(super) async fn until_idle(db: &Db) -> Result<(), StoreError> {
    // A look at a server is work for it, so these are rarer.
    let pause = Duration::from_millis(if db.is_shared() { 5 } else { 1 });
    while db.read(async |tx| work::next_due(tx).await).await?.is_some() {
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

/// An error unless so many runs of the team are in this status.
pub(super) async fn ensure_count(db: &Db, team: TeamId, status: Status, expected: u32) -> anyhow::Result<()> {
    let filter = Filter { status: Some((status, status)), ..Filter::default() };
    let (_, count) = db.read(async |tx| runs::page(tx, team, &filter, true, 1, 0).await).await?;
    anyhow::ensure!(count == u64::from(expected), "{count} of {expected} runs are {}", status.word());
    Ok(())
}

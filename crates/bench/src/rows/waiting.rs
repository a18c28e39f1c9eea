//! What runs cost that wait for a person: they should be rows and nothing else.

use std::time::Duration;

use domain::runs::Status;

use crate::child::{Child, Script};
use crate::load;
use crate::report::{Report, Row};
use crate::rows::Plan;
use crate::rows::burst::{ensure_count, start, until_idle};
use crate::seed;
use crate::store::{Backend, Place};

/// Runs that wait at once.
const RUNS: u32 = 10_000;
/// Runs that come to wait first, so that what is made once is not counted to the others.
const WARM_UP: u32 = 640;
/// MiB for all of them.
const ALL: f64 = 20.0;
/// Transactions a second of a server in which nothing happens.
const QUIET: f64 = 1.0;
/// How long nothing happens. A transaction is counted when its session next reports, every few seconds: the longer, the less that matters.
const REST: Duration = Duration::from_secs(20);
/// Before that: PostgreSQL's sessions report what they did at the latest ten seconds after it.
const REPORTED: Duration = Duration::from_secs(12);
/// PostgreSQL's own housekeeping is counted like the sessions of others, so it stays away.
const ALONE: [&str; 1] = ["autovacuum=off"];

/// The rows of this part.
pub(super) async fn measure(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    wait(plan, &Backend::Sqlite, report).await?;
    wait(plan, &Backend::postgres(&plan.dir, &ALONE)?, report).await
}

async fn wait(plan: &Plan, on: &Backend, report: &mut Report) -> anyhow::Result<()> {
    let place = on.place(&plan.dir)?;
    let seeded = seed::fill(&place.store, 1).await?;
    let child = Child::errand(&place, Script::Asks, engine::Settings::default().concurrency)?;
    let db = place.store.open().await?;
    load::burst(child.address, start(&seeded.agents), WARM_UP).await?;
    until_idle(&db).await?;
    on.settle(&place)?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = child.memory()?.now;
    load::burst(child.address, start(&seeded.agents), RUNS).await?;
    until_idle(&db).await?;
    ensure_count(&db, seeded.team, Status::Waiting, WARM_UP + RUNS).await?;
    db.close().await;
    // Connections of the burst are closed by now.
    tokio::time::sleep(REPORTED).await;
    let memory = child.memory()?;
    let mib = |kib: u32| f64::from(kib) / 1024.0;
    let grown = mib(memory.now) - mib(before);
    let also = vec![("before_mib", mib(before)), ("waiting_mib", mib(memory.now)), ("peak_mib", mib(memory.peak))];
    let name = format!("memory of {RUNS} waiting runs");
    report.add(Row::new(name, grown, "MiB").at_most(ALL).also(also).on(on.name()));
    rest(on, &place, &child, report).await
}

/// What the server does while nothing happens.
async fn rest(on: &Backend, place: &Place, child: &Child, report: &mut Report) -> anyhow::Result<()> {
    let (transactions, cpu) = (on.transactions(place)?, child.cpu()?);
    tokio::time::sleep(REST).await;
    let cpu = child.cpu()?.saturating_sub(cpu);
    let seconds = REST.as_secs_f64();
    if let (Some(before), Some(after)) = (transactions, on.transactions(place)?) {
        let each = f64::from(after.saturating_sub(before)) / seconds;
        report.add(Row::new("transactions while all wait", each, "1/s").at_most(QUIET).on(on.name()));
    }
    let name = "CPU while all wait";
    report.add(Row::new(name, cpu.as_secs_f64() * 1e3 / seconds, "CPU-ms/s").on(on.name()));
    Ok(())
}

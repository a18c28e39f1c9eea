//! The rows of `api`, `runs` and `dispatch` on both databases, one after the other: what a PostgreSQL server costs instead of a file.
//!
//! Nothing is aimed at. How many times the figure of SQLite one is stands beside it, since that travels better than the figure.

use std::time::Duration;

use crate::load::Measured;
use crate::report::{Report, Row};
use crate::rows::api::{self, CONNECTIONS, Stocked, at};
use crate::rows::burst::{self, Burst, RUNS};
use crate::rows::{Plan, dispatch};
use crate::store::Backend;

/// The rows of this part.
pub(super) async fn measure(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let both = [Backend::Sqlite, Backend::postgres(&plan.dir, &[])?];
    let [sqlite, postgres] = &both;
    let (file, server) = (Stocked::new(plan, sqlite).await?, Stocked::new(plan, postgres).await?);
    for connections in CONNECTIONS {
        let measured = [file.get_one(plan, connections).await?, server.get_one(plan, connections).await?];
        steady(report, &both, &format!("GET one agent, {}", at(connections)), &measured);
    }
    // Even an idle node polls its database.
    drop((file, server));
    for connections in CONNECTIONS {
        let measured = [api::create(plan, sqlite, connections).await?, api::create(plan, postgres, connections).await?];
        steady(report, &both, &format!("durable create, {}", at(connections)), &measured);
    }
    bursts(report, &both, &[burst::bursts(plan, sqlite).await?, burst::bursts(plan, postgres).await?]);
    let places = [sqlite.place(&plan.dir)?, postgres.place(&plan.dir)?];
    let [file, server] = &places;
    let rows = [dispatch::first_bytes(sqlite, file).await?, dispatch::first_bytes(postgres, server).await?];
    pair(report, &both, rows);
    Ok(())
}

fn steady(report: &mut Report, both: &[Backend; 2], name: &str, measured: &[Measured; 2]) {
    let rate = |measured: &Measured| Row::new(name, measured.per_second(), "ops/s").also(measured.latencies());
    pair(report, both, measured.each_ref().map(rate));
    let cpu = |measured: &Measured| {
        Row::new(name, measured.cpu_micros(), "CPU-us/op").also(theirs(measured.database_cpu, measured.ops))
    };
    pair(report, both, measured.each_ref().map(cpu));
}

fn bursts(report: &mut Report, both: &[Backend; 2], bursts: &[Burst; 2]) {
    let rate = |burst: &Burst| Row::new(format!("burst of {RUNS} whole runs"), burst.per_second(), "runs/s");
    pair(report, both, bursts.each_ref().map(rate));
    let cpu = |burst: &Burst| {
        let name = "CPU of whole runs";
        Row::new(name, burst::per_thousand(burst.cpu) * 1e3, "CPU-us/run").also(theirs(burst.database_cpu, RUNS))
    };
    pair(report, both, bursts.each_ref().map(cpu));
}

/// What the database's own processes used for each of so many; SQLite has none, its work is done in ours.
fn theirs(cpu: Duration, ops: u32) -> Vec<(&'static str, f64)> {
    let micros = cpu.as_secs_f64() * 1e6 / f64::from(ops);
    if cpu.is_zero() { vec![] } else { vec![("database_cpu_us", micros)] }
}

/// One figure on both, the second measured by the first.
fn pair(report: &mut Report, [first, second]: &[Backend; 2], [there, here]: [Row; 2]) {
    let here = here.against("times_sqlite", &there);
    report.add(there.on(first.name()));
    report.add(here.on(second.name()));
}

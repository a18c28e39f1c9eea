//! The rows of `api`, `runs` and `dispatch` on both databases, one after the other: what a PostgreSQL server costs instead of a file.
//!
//! Nothing is aimed at. How many times the figure of SQLite one is stands beside it, since that travels better than the figure.

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
        let name = format!("GET one agent, {}", at(connections));
        let measured = [file.get_one(plan, connections).await?, server.get_one(plan, connections).await?];
        pair(report, &both, measured.map(|measured| api::cpu_row(name.clone(), &measured).also(theirs(&measured))));
    }
    // Idle nodes poll; these have done their part.
    drop((file, server));
    for connections in CONNECTIONS {
        let name = format!("durable create, {}", at(connections));
        let measured = [api::create(plan, sqlite, connections).await?, api::create(plan, postgres, connections).await?];
        let rate = |measured: &Measured| Row::new(&name, measured.per_second(), "ops/s").also(measured.beside());
        pair(report, &both, measured.each_ref().map(rate));
        let cpu = |measured: &Measured| {
            let database = vec![("database_cpu_s", measured.database_micros() / 1e3)];
            Row::new(&name, measured.cpu_micros() / 1e3, "CPU-s/1000").also(database)
        };
        pair(report, &both, measured.each_ref().map(cpu));
    }
    let bursts = [burst::bursts(plan, sqlite).await?, burst::bursts(plan, postgres).await?];
    let rate = |burst: &Burst| Row::new(format!("burst of {RUNS} runs"), burst.per_second(), "runs/s");
    pair(report, &both, bursts.each_ref().map(rate));
    let cpu = |burst: &Burst| {
        let database = vec![("database_cpu_s", burst::per_thousand(burst.database_cpu))];
        Row::new("CPU of whole runs", burst::per_thousand(burst.cpu), "CPU-s/1000").also(database)
    };
    pair(report, &both, bursts.each_ref().map(cpu));
    let places = [sqlite.place(&plan.dir)?, postgres.place(&plan.dir)?];
    pair(report, &both, [dispatch::first_bytes(&places[0]).await?, dispatch::first_bytes(&places[1]).await?]);
    Ok(())
}

/// The database's own share; SQLite has none, since it works in our process.
fn theirs(measured: &Measured) -> Vec<(&'static str, f64)> {
    vec![("database_cpu_us", measured.database_micros())]
}

/// One figure on both, the second measured by the first.
fn pair(report: &mut Report, [first, second]: &[Backend; 2], [there, here]: [Row; 2]) {
    let here = here.against("times_sqlite", &there);
    report.add(there.on(first.name()));
    report.add(here.on(second.name()));
}

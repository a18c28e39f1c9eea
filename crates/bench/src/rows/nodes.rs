//! Several nodes on one database: whether they share the work without loss.
//!
//! What bounds a node in the rows that are compared is its `concurrency`, never the processors: see `docs/bench.md` for what that does and does not
//! show. The last two rows have the usual concurrency, and no bound.

use std::time::{Duration, Instant};

use domain::runs::Status;

use crate::child::{Child, Script};
use crate::load::{self, Load};
use crate::report::{Report, Row};
use crate::rows::Plan;
use crate::rows::burst::{ensure_count, start, until_idle};
use crate::seed;
use crate::store::Backend;

/// How long the model takes for the one turn of a run.
const THINKS: Duration = Duration::from_millis(50);
/// Runs in flight on one node, so that it makes 80 a second at most and three make 240. A run costs two to three milliseconds of CPU, the database's
/// share included: these 240 are about two thirds of one processor, so that two of them never are what bounds a node.
const CONCURRENCY: u32 = 4;
/// Runs for each node, about ten seconds of work.
const RUNS: u32 = 800;
/// Connections that start runs on each node: few, since starts of one team wait for each other and take the database's connections from the
/// engine meanwhile.
const CONNECTIONS: usize = 8;
/// Nodes that are compared with one.
const NODES: u32 = 3;
/// How many times as much as one they should do.
const TIMES: f64 = 2.0;

/// The rows of this part.
pub(super) async fn measure(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let on = Backend::postgres(&plan.dir, &[])?;
    let one = runs(plan, &on, 1, CONCURRENCY).await?;
    report.add(row(1, CONCURRENCY, &one));
    let all = runs(plan, &on, NODES, CONCURRENCY).await?;
    report.add(row(NODES, CONCURRENCY, &all));
    report.add(Row::new(format!("{NODES} nodes against one"), all.rate / one.rate, "times").at_least(TIMES));
    let usual = u32::try_from(engine::Settings::default().concurrency)?;
    for nodes in [1, NODES] {
        let shared = runs(plan, &on, nodes, usual).await?;
        report.add(row(nodes, usual, &shared));
    }
    Ok(())
}

struct Shared {
    /// Runs a second, of all nodes together.
    rate: f64,
    /// Model turns of the idlest node and of the busiest.
    turns: (u32, u32),
    /// CPU seconds a second, of all nodes and of the database.
    cpu: (f64, f64),
}

/// Whole runs on so many nodes, started through all of them alike.
async fn runs(plan: &Plan, on: &Backend, nodes: u32, concurrency: u32) -> anyhow::Result<Shared> {
    let place = on.place(&plan.dir)?;
    let seeded = seed::fill(&place.store, 1).await?;
    let mut children = Vec::new();
    for _ in 0..nodes {
        children.push(Child::errand(&place, Script::Answers(THINKS), usize::try_from(concurrency)?)?);
    }
    let db = place.store.open().await?;
    let post = async |each: u32| {
        let mut posts = tokio::task::JoinSet::new();
        for child in &children {
            let load = Load { connections: CONNECTIONS, ..start(&seeded.agents) };
            posts.spawn(load::burst(child.address, load, each));
        }
        while let Some(posted) = posts.join_next().await {
            posted??;
        }
        until_idle(&db).await?;
        anyhow::Ok(())
    };
    let warm_up = RUNS / 10;
    post(warm_up).await?;
    on.settle(&place)?;
    let cpu = || {
        let nodes = children.iter().map(Child::cpu).sum::<anyhow::Result<Duration>>()?;
        anyhow::Ok((nodes, children.first().map_or(Ok(Duration::ZERO), Child::database_cpu)?))
    };
    let (before, began) = (cpu()?, Instant::now());
    post(RUNS).await?;
    let (wall, after) = (began.elapsed().as_secs_f64(), cpu()?);
    ensure_count(&db, seeded.team, Status::Completed, nodes * (warm_up + RUNS)).await?;
    let mut turns = Vec::new();
    for child in &mut children {
        turns.push(u32::try_from(child.turns()?.1)?);
    }
    let share = |after: Duration, before: Duration| after.saturating_sub(before).as_secs_f64() / wall;
    Ok(Shared {
        rate: f64::from(nodes * RUNS) / wall,
        turns: (turns.iter().copied().min().unwrap_or(0), turns.iter().copied().max().unwrap_or(0)),
        cpu: (share(after.0, before.0), share(after.1, before.1)),
    })
}

fn row(nodes: u32, concurrency: u32, shared: &Shared) -> Row {
    let plural = if nodes == 1 { "" } else { "s" };
    let most = f64::from(nodes) * f64::from(concurrency) / THINKS.as_secs_f64();
    let also = vec![
        ("most_per_s", most),
        ("fewest_turns", shared.turns.0.into()),
        ("most_turns", shared.turns.1.into()),
        ("nodes_cpu_s", shared.cpu.0),
        ("database_cpu_s", shared.cpu.1),
    ];
    Row::new(format!("whole runs on {nodes} node{plural}, {concurrency} at once each"), shared.rate, "runs/s")
        .also(also)
}

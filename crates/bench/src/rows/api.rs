//! Requests that only read or only create, beside the same answer from a bare axum route.

use std::time::Duration;

use crate::child::{Child, Script};
use crate::http;
use crate::load::{Load, Measured, steady};
use crate::report::{Report, Row};
use crate::rows::Plan;
use crate::seed::{self, Seeded};
use crate::store::{Backend, Place};

/// A request may cost so many times the CPU of the bare route.
const GET_ONE: f64 = 2.5;
/// A list among many may cost so many times one among a hundred: flat, with room for noise.
const FLAT: f64 = 1.25;
/// Durable creates a second.
const CREATES: f64 = 5_000.0;
/// CPU seconds of a thousand creates.
const CREATE_CPU: f64 = 0.07;

/// What many connections are.
const MANY: usize = 64;
/// One and many.
pub(super) const CONNECTIONS: [usize; 2] = [1, MANY];

/// The rows of this part.
pub(super) async fn measure(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    get_one(plan, report).await?;
    lists(plan, report).await?;
    creates(plan, report).await
}

async fn get_one(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let stocked = Stocked::new(plan, &Backend::Sqlite).await?;
    let bare = Child::bare()?;
    for connections in CONNECTIONS {
        let yardstick = steady(&bare, stocked.load(connections), plan.steady).await?;
        let measured = stocked.get_one(plan, connections).await?;
        report.add(cpu_row(format!("bare axum JSON route, {}", at(connections)), &yardstick));
        let row = cpu_row(format!("GET one agent, {}", at(connections)), &measured);
        report.add(row.at_most(GET_ONE * yardstick.cpu_micros()));
    }
    Ok(())
}

async fn lists(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let mut among_few = None;
    for count in [100, 10_000, 1_000_000] {
        if count == 1_000_000 && !plan.full {
            continue;
        }
        let place = Backend::Sqlite.place(&plan.dir)?;
        seed::fill(&place.store, count).await?;
        let child = errand(&place)?;
        // Many connections: one alone would also pay for falling asleep and waking, which drowns the difference.
        let load = Load { requests: vec![http::get("/v1/agents?limit=20")], expected: 200, connections: MANY };
        let measured = steady(&child, load, plan.steady).await?;
        let row = cpu_row(format!("list 20 of {count} agents, {}", at(MANY)), &measured);
        let few = *among_few.get_or_insert(measured.cpu_micros());
        report.add(if count == 100 { row } else { row.at_most(FLAT * few) });
    }
    Ok(())
}

async fn creates(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    for connections in CONNECTIONS {
        let measured = create(plan, &Backend::Sqlite, connections).await?;
        let name = format!("durable create of agent + build, {}", at(connections));
        let rate = Row::new(name.clone(), measured.per_second(), "ops/s").also(measured.beside());
        let cpu = Row::new(name, measured.cpu_micros() / 1e3, "CPU-s/1000");
        if connections == 1 {
            // One caller waits for the disk each time: that speed is the disk's, so nothing is aimed at.
            report.add(rate);
            report.add(cpu);
        } else {
            report.add(rate.at_least(CREATES));
            report.add(cpu.at_most(CREATE_CPU));
        }
    }
    Ok(())
}

/// A server that stores 10,000 agents, and what reads some of them.
pub(super) struct Stocked {
    child: Child,
    requests: Vec<Vec<u8>>,
    _place: Place,
}

impl Stocked {
    /// Fills and starts one.
    pub(super) async fn new(plan: &Plan, on: &Backend) -> anyhow::Result<Self> {
        let place = on.place(&plan.dir)?;
        let Seeded { agents, .. } = seed::fill(&place.store, 10_000).await?;
        on.settle(&place)?;
        let requests = agents.iter().map(|id| http::get(&format!("/v1/agents/{id}"))).collect();
        Ok(Self { child: errand(&place)?, requests, _place: place })
    }

    /// Reads one agent over and over.
    pub(super) async fn get_one(&self, plan: &Plan, connections: usize) -> anyhow::Result<Measured> {
        steady(&self.child, self.load(connections), plan.steady).await
    }

    fn load(&self, connections: usize) -> Load {
        Load { requests: self.requests.clone(), expected: 200, connections }
    }
}

/// Creates agents with their Builds, in an empty database.
pub(super) async fn create(plan: &Plan, on: &Backend, connections: usize) -> anyhow::Result<Measured> {
    let place = on.place(&plan.dir)?;
    seed::fill(&place.store, 0).await?;
    let child = errand(&place)?;
    let load = Load { requests: vec![http::post("/v1/agents", &seed::new_agent())], expected: 201, connections };
    steady(&child, load, plan.steady).await
}

fn errand(place: &Place) -> anyhow::Result<Child> {
    Child::errand(place, Script::Answers(Duration::ZERO), 100)
}

fn cpu_row(name: String, measured: &Measured) -> Row {
    Row::new(name, measured.cpu_micros(), "CPU-us/op").also(measured.beside())
}

pub(super) fn at(connections: usize) -> String {
    let plural = if connections == 1 { "" } else { "s" };
    format!("{connections} connection{plural}")
}

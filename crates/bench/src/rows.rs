//! The list of what is measured, one file a part. What every row means is told in `docs/bench.md`.

mod api;
mod burst;
mod dispatch;
mod memory;
mod nodes;
mod postgres;
mod start;
mod waiting;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use crate::report::Report;

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Part {
    /// Bare route, GET of one agent, lists, creation.
    Api,
    /// Whole runs.
    Runs,
    /// What a run in flight holds.
    Memory,
    /// From POST to the model.
    Dispatch,
    /// The real binary: its start, its idle memory.
    Start,
    /// The rows of api, runs and dispatch on SQLite and on PostgreSQL; only when asked for.
    Postgres,
    /// What runs hold that wait for a person; only when asked for.
    Waiting,
    /// Three nodes against one on PostgreSQL; only when asked for.
    Nodes,
}

impl Part {
    /// What is measured when nobody asks for anything: it takes two minutes and needs nothing but Errand.
    pub(crate) const USUAL: [Self; 5] = [Self::Api, Self::Runs, Self::Memory, Self::Dispatch, Self::Start];
}

/// How to measure.
pub(crate) struct Plan {
    /// Also what takes minutes to prepare.
    pub(crate) full: bool,
    /// Whether somebody asked for the parts that are measured: then PostgreSQL is to be there.
    pub(crate) asked: bool,
    /// How long each steady load lasts.
    pub(crate) steady: Duration,
    /// Where data folders are made.
    pub(crate) dir: PathBuf,
    /// The real binary.
    pub(crate) errand: PathBuf,
}

/// Measures one part and reports its rows.
pub(crate) async fn measure(part: Part, plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    match part {
        Part::Api => api::measure(plan, report).await,
        Part::Runs => burst::measure(plan, report).await,
        Part::Memory => memory::measure(plan, report).await,
        Part::Dispatch => dispatch::measure(plan, report).await,
        Part::Start => start::measure(plan, report).await,
        Part::Postgres => postgres::measure(plan, report).await,
        Part::Waiting => waiting::measure(plan, report).await,
        Part::Nodes => nodes::measure(plan, report).await,
    }
}

//! The list of what is measured, one file a part. What every row means is told in `docs/bench.md`.

mod api;
mod burst;
mod dispatch;
mod memory;
mod start;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use tempfile::TempDir;

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
}

/// How to measure.
pub(crate) struct Plan {
    /// Also what takes minutes to prepare.
    pub(crate) full: bool,
    /// How long each steady load lasts.
    pub(crate) steady: Duration,
    /// Where data folders are made.
    pub(crate) dir: PathBuf,
    /// The real binary.
    pub(crate) errand: PathBuf,
}

impl Plan {
    /// A data folder that is removed when it is dropped.
    fn folder(&self) -> anyhow::Result<TempDir> {
        let named = |dir: &Path| format!("making a data folder in {}", dir.display());
        tempfile::Builder::new().prefix("errand-bench-").tempdir_in(&self.dir).with_context(|| named(&self.dir))
    }
}

/// Measures one part and reports its rows.
pub(crate) async fn measure(part: Part, plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    match part {
        Part::Api => api::measure(plan, report).await,
        Part::Runs => burst::measure(plan, report).await,
        Part::Memory => memory::measure(plan, report).await,
        Part::Dispatch => dispatch::measure(plan, report).await,
        Part::Start => start::measure(plan, report).await,
    }
}

//! # engine
//!
//! **Holds** what makes runs move: claim what is due, load its journal, take its inbox, let [`domain::runs::Run`] decide, commit, act, repeat;
//! the heartbeat of the leases; the reaper of sandboxes; the audit that finds what is stuck; the drain.
//!
//! **May** order, lease, retry, commit. **May not** write SQL or know HTTP routes. It is never called by the API: a bell tells it to look.
//!
//! Start at `job.rs`: one run's way from claim to release. `claims.rs` finds runs, `leases.rs` keeps them.

mod audit;
mod claims;
mod files;
mod job;
mod leases;
mod meters;
mod outage;
mod pace;
mod pins;
mod plan;
mod probation;
mod quota;
mod reaper;
mod remote;
mod shop;
mod span;
mod unreadable;
mod wait;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use agent::models::Model;
use agent::tools::MoreTools;
use agent::tools::pdf::PdfReader;
use agent::workspace::Workspaces;
use domain::Ambient;
use domain::limits::Limits;
use futures_util::FutureExt as _;
use serde::Deserialize;
use storage::{Bell, Db};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use crate::meters::Meters;
use crate::pace::{Pace, Said};
pub use crate::pins::{Mcp, Pinner};
use crate::shop::{Shop, lock};

/// What an engine is made of.
pub struct Parts {
    /// The database.
    pub db: Db,
    /// Rung when there is work, or news of a run.
    pub bell: Bell,
    /// Time, ids, chance.
    pub ambient: Arc<dyn Ambient>,
    /// What answers conversations.
    pub model: Arc<dyn Model>,
    /// The files of sandboxes.
    pub workspaces: Workspaces,
    /// How the MCP servers of Builds are reached; `None`: not at all.
    pub mcp: Option<Mcp>,
    /// Tools beside those that every Job has.
    pub more_tools: Option<Arc<dyn MoreTools>>,
    /// What reads PDFs, in a process of its own.
    pub pdf: PdfReader,
    /// What one run may use.
    pub limits: Limits,
    /// How this process works.
    pub settings: Settings,
    /// What is counted.
    pub meters: Meters,
}

/// How this process works: section `[engine]` of `errand.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Runs in flight at once. One costs some kilobytes while its model thinks; its tools may cost more.
    pub concurrency: usize,
    /// Runs of one team in flight at once, on all nodes together; 0: no bound.
    pub team_concurrency: u32,
    /// How long a claim holds without a sign of life, in milliseconds: the longest a dead worker's run waits for another.
    pub lease_ms: u64,
    /// Workers that may die of one run in a row, none of which has carried it for five minutes, until it is given up.
    pub deaths: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { concurrency: 1_000, team_concurrency: 0, lease_ms: 30_000, deaths: 3 }
    }
}

/// How long letting go may take once the grace is over: a database that does not answer by then is told nothing more.
pub const LETTING_GO: Duration = Duration::from_secs(5);

/// A running engine. Dropping it without [`Engine::drain`] leaves its claims to run out.
pub struct Engine {
    shop: Arc<Shop>,
    pace: Said,
    tasks: [JoinHandle<()>; 5],
    broken: mpsc::UnboundedReceiver<Broken>,
}

/// Something of the engine ended that never should: without it runs would stand still, or not be kept.
#[derive(Debug, thiserror::Error)]
#[error("{task} broke: {why}. This is a bug worth reporting")]
pub struct Broken {
    task: &'static str,
    why: String,
}

impl Engine {
    /// Starts claiming. Needs a tokio runtime.
    pub fn start(parts: Parts) -> Self {
        let (pace, seen) = pace::pace();
        let shop = Arc::new(Shop::new(parts, seen));
        let (says, broken) = mpsc::unbounded_channel();
        let tasks = [
            tokio::spawn(watched("claiming", claims::keep_claiming(Arc::clone(&shop)), says.clone())),
            tokio::spawn(watched("renewing leases", leases::keep_alive(Arc::clone(&shop)), says.clone())),
            tokio::spawn(watched("listening for stops", leases::keep_hearing(Arc::clone(&shop)), says.clone())),
            tokio::spawn(watched("the audit", audit::keep_auditing(Arc::clone(&shop)), says.clone())),
            tokio::spawn(watched("the reaper", reaper::keep_reaping(Arc::clone(&shop)), says)),
        ];
        Self { shop, pace, tasks, broken }
    }

    /// Waits until something of the engine breaks, which it never should. What is left then does not do what it must: end the process.
    pub async fn failed(&mut self) -> Broken {
        match self.broken.recv().await {
            Some(broken) => broken,
            // All have ended in good order.
            None => std::future::pending().await,
        }
    }

    /// Stops claiming at once, lets each run end the step it is in, and lets go of it. After `grace` what is still in flight is dropped and
    /// released too; a model turn is then asked for again by whoever claims the run next. Takes [`LETTING_GO`] more than `grace` at most: if the
    /// database does not answer, leases are left to run out.
    pub async fn drain(mut self, grace: Duration) {
        faults::point("drain.begun");
        self.pace.set(Pace::EndStep);
        if tokio::time::timeout(grace, self.at_rest()).await.is_err() {
            self.pace.set(Pace::DropStep);
            if tokio::time::timeout(LETTING_GO, self.at_rest()).await.is_err() {
                let runs = lock(&self.shop.held).len();
                tracing::error!(
                    runs,
                    "the database does not answer: what is held is left there until its leases run out"
                );
            }
        }
        self.abandon();
        faults::point("drain.ended");
    }

    /// Waits until nothing is claimed any more and no run is in flight.
    async fn at_rest(&mut self) {
        // A claim that is under way still brings runs, and they must be let go.
        let [claiming, ..] = &mut self.tasks;
        if !claiming.is_finished() {
            let _ended = claiming.await;
        }
        self.shop.idle().await;
    }

    /// Drops everything where it stands, as if the process had died: leases run out, nothing is let go.
    pub fn abandon(self) {
        for task in &self.tasks {
            task.abort();
        }
        for held in std::mem::take(&mut *lock(&self.shop.held)).into_values() {
            held.task.abort();
        }
    }
}

/// Does what it does, and says so if it panics.
async fn watched(task: &'static str, doing: impl Future<Output = ()>, says: mpsc::UnboundedSender<Broken>) {
    // Unwind safe, because nothing goes on with what it touched.
    if let Err(panic) = AssertUnwindSafe(doing).catch_unwind().await {
        let text = panic.downcast_ref::<&str>().copied();
        let why = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it did not say why");
        // Whoever should hear it may have gone.
        let _gone = says.send(Broken { task, why: why.to_owned() });
    }
}

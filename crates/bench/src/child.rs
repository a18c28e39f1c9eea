//! The process that is measured, and the parent's handle on it.
//!
//! The child is this binary again. It prints its address, answers each line on its standard input with how many model turns began and ended,
//! and ends with its standard input: whatever becomes of the parent, no server stays behind.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agent::models::Answer;
use anyhow::Context as _;
use clap::Subcommand;
use domain::human_requests::ASK_PERSON;
use testkit::scripted::{ScriptedModel, says, wants};

use crate::bare;
use crate::process::{self, Memory};
use crate::store::{Place, Store};
use crate::wire::{self, Tapped};

/// What a child serves.
#[derive(Subcommand)]
pub(crate) enum Role {
    /// The yardstick.
    Bare,
    /// Errand, with a model that gives one plain answer, or that asks a person first.
    Errand {
        /// Its data folder.
        #[arg(long)]
        data: PathBuf,
        /// A database that `seed` has filled.
        #[arg(long)]
        store: Store,
        /// The model asks a person first.
        #[arg(long)]
        asks: bool,
        /// How long the model thinks, in milliseconds.
        #[arg(long)]
        thinks: u64,
        /// Runs in flight at once.
        #[arg(long)]
        concurrency: usize,
    },
}

/// The child's side: serves until standard input ends.
pub(crate) fn serve(role: Role) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (begun, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    // Kept to the end: dropping the wired parts would stop them.
    let (address, _serving) = match role {
        Role::Bare => (runtime.block_on(wire::serve_bare(bare::router()?))?, None),
        Role::Errand { data, store, asks, thinks, concurrency } => {
            let (begins, ends) = (Arc::clone(&begun), Arc::clone(&ended));
            let script = ScriptedModel::new(move |request| {
                ends.fetch_add(1, Ordering::Relaxed);
                Ok(if asks && request.turn == 1 { question() } else { says("Done.") })
            });
            let count = move || {
                begins.fetch_add(1, Ordering::Relaxed);
            };
            let model = Tapped::new(script.delayed(Duration::from_millis(thinks)), count);
            let wired = runtime.block_on(wire::start(&data, &store, Arc::new(model), concurrency))?;
            (wired.address, Some(wired))
        }
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{address}")?;
    for line in std::io::stdin().lines() {
        line?;
        writeln!(out, "{} {}", begun.load(Ordering::Relaxed), ended.load(Ordering::Relaxed))?;
    }
    runtime.shutdown_background();
    Ok(())
}

fn question() -> Answer {
    let asked = serde_json::json!({
        "kind": "approval",
        "title": "Pay invoice 2026-1187?",
        "description": "The supplier bills 1,240.00 EUR; the purchase order says 1,204.00 EUR. The line items agree.",
    });
    wants([("call_1", ASK_PERSON, asked)])
}

/// What the model of a server under test does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Script {
    /// It answers after so long, and the run is completed.
    Answers(Duration),
    /// It asks a person at once, and the run waits.
    Asks,
}

/// The parent's side. Dropping it ends the child.
pub(crate) struct Child {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The first process of its database, where that has any.
    database: Option<u32>,
    process: Process,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Child {
    /// Starts the yardstick.
    pub(crate) fn bare() -> anyhow::Result<Self> {
        Self::start(Command::new(std::env::current_exe()?).args(["serve-child", "bare"]), None)
    }

    /// Starts Errand, or one more node of it, on a filled place.
    pub(crate) fn errand(place: &Place, script: Script, concurrency: usize) -> anyhow::Result<Self> {
        let (thinks, asks) = match script {
            Script::Answers(thinks) => (thinks, None),
            Script::Asks => (Duration::ZERO, Some("--asks")),
        };
        Self::start(
            Command::new(std::env::current_exe()?)
                .args(["serve-child", "errand", "--concurrency", &concurrency.to_string()])
                .args(["--thinks", &thinks.as_millis().to_string(), "--store", &place.store.to_string()])
                .args(asks)
                .arg("--data")
                .arg(place.folder()),
            place.server,
        )
    }

    fn start(command: &mut Command, database: Option<u32>) -> anyhow::Result<Self> {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let orders = process.stdin.take().context("the child has no standard input")?;
        let mut answers = BufReader::new(process.stdout.take().context("the child has no standard output")?);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let address = line.trim().parse().context("the server under test did not start; its error stands above")?;
        Ok(Self { address, database, process, orders, answers })
    }

    /// CPU time it has used so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        process::cpu(self.process.id())
    }

    /// CPU time that its database's own processes have used so far: nothing where the database is a part of it.
    pub(crate) fn database_cpu(&self) -> anyhow::Result<Duration> {
        self.database.map_or(Ok(Duration::ZERO), process::family_cpu)
    }

    /// Its memory now.
    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        process::memory(self.process.id())
    }

    /// How many model turns are in flight, and how many have ended.
    pub(crate) fn turns(&mut self) -> anyhow::Result<(u64, u64)> {
        writeln!(self.orders)?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let (begun, ended) = line.trim().split_once(' ').context("the server under test died")?;
        let (begun, ended): (u64, u64) = (begun.parse()?, ended.parse()?);
        Ok((begun.saturating_sub(ended), ended))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Either fails only when it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

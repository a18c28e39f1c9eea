//! The real binary: how soon it answers, and what it holds while nothing happens.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child as Process, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::history::{self, Counts};
use crate::http::{self, Connection};
use crate::load::{self, Load, median, millis};
use crate::process;
use crate::report::{Report, Row};
use crate::rows::Plan;
use crate::seed;
use crate::store::{Backend, Place};

/// Starts of which the median counts.
const STARTS: usize = 5;
/// From starting the process to its first answer, in milliseconds.
const START: f64 = 100.0;
/// The same with a long history, and until one of its runs was read.
const START_LATE: f64 = 2_000.0;
/// What a long history is.
const HISTORY: Counts = Counts { finished: 100_000, waiting: 10_000 };
/// Resident memory of a server that does nothing, in MiB.
const IDLE: f64 = 20.0;
/// Transactions a second of servers that do nothing.
const QUIET: f64 = 1.0;
/// How long they are counted: some come once in ten seconds.
const NOTHING: Duration = Duration::from_mins(1);
/// Before that: PostgreSQL's sessions report what they did at the latest ten seconds after it.
const REPORTED: Duration = Duration::from_secs(12);
/// How long a server is left alone before its memory is read.
const REST: Duration = Duration::from_secs(2);
/// After this long without an answer it will not start any more.
const PATIENCE: Duration = Duration::from_mins(1);

/// The rows of this part.
pub(super) async fn measure(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    ensure!(
        plan.errand.exists(),
        "there is no {}: build it with `cargo build --release -p errand-cli`, or name another with --errand",
        plan.errand.display()
    );
    let empty = Backend::Sqlite.place(&plan.dir)?;
    starts(plan, &empty, "an empty data folder", report).await?;
    let filled = Backend::Sqlite.place(&plan.dir)?;
    fill(plan, &filled).await?;
    starts(plan, &filled, "10,000 agents", report).await?;
    late_starts(plan, &Backend::Sqlite, report).await?;
    if plan.asked {
        late_starts(plan, &Backend::postgres(&plan.dir, &[])?, report).await?;
        at_rest(plan, report).await?;
    }
    Ok(())
}

/// What servers in which nothing happens ask of PostgreSQL, one alone and two together.
async fn at_rest(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let on = Backend::postgres(&plan.dir, &["autovacuum=off"])?;
    let place = on.place(&plan.dir)?;
    let mut servers = Vec::new();
    for (folder, nodes) in [("first", "one node"), ("second", "two nodes")] {
        servers.push(Server::start(&plan.errand, &place, &place.folder().join(folder), None).await?);
        tokio::time::sleep(REPORTED).await;
        let before = on.transactions(&place)?;
        tokio::time::sleep(NOTHING).await;
        if let (Some(before), Some(after)) = (before, on.transactions(&place)?) {
            let each = f64::from(after.saturating_sub(before)) / NOTHING.as_secs_f64();
            report.add(Row::new(format!("transactions of {nodes} at rest"), each, "1/s").at_most(QUIET).on(on.name()));
        }
    }
    Ok(())
}

async fn starts(plan: &Plan, place: &Place, with: &str, report: &mut Report) -> anyhow::Result<()> {
    let seen = Starts::of(&plan.errand, place, None).await?;
    let also = vec![("first_ms", millis(seen.first))];
    report.add(Row::new(format!("start with {with}"), millis(seen.answers), "ms").at_most(START).also(also));
    report.add(idle(with, seen.memory).at_most(IDLE));
    Ok(())
}

/// Starts with many runs that are over and many that wait.
async fn late_starts(plan: &Plan, on: &Backend, report: &mut Report) -> anyhow::Result<()> {
    let place = on.place(&plan.dir)?;
    let seeded = seed::fill(&place.store, 1).await?;
    let began = Instant::now();
    let newest = history::fill(&place.store, &seeded, HISTORY).await?;
    on.settle(&place)?;
    let filled = began.elapsed();
    let seen = Starts::of(&plan.errand, &place, Some(&http::get(&format!("/v1/runs/{newest}")))).await?;
    let with = format!("{} runs, {}", HISTORY.finished + HISTORY.waiting, on.name());
    let also = vec![
        ("healthz_ms", millis(seen.healthy)),
        ("first_ms", millis(seen.first)),
        ("filling_s", filled.as_secs_f64()),
    ];
    report.add(Row::new(format!("start with {with}"), millis(seen.answers), "ms").at_most(START_LATE).also(also));
    report.add(idle(&with, seen.memory));
    Ok(())
}

fn idle(with: &str, memory: process::Memory) -> Row {
    let mib = |kib: u32| f64::from(kib) / 1024.0;
    Row::new(format!("idle memory with {with}"), mib(memory.now), "MiB").also(vec![("peak_mib", mib(memory.peak))])
}

/// Fills a data folder as people would, since what it looks like inside is the binary's own business.
async fn fill(plan: &Plan, place: &Place) -> anyhow::Result<()> {
    let server = Server::start(&plan.errand, place, place.folder(), None).await?;
    let create = Load { requests: vec![http::post("/v1/agents", &seed::new_agent())], expected: 201, connections: 64 };
    load::burst(server.address, create, 10_000).await
}

/// What several starts came to.
struct Starts {
    /// The first one until it answered all, which is not counted to the others.
    first: Duration,
    /// Of the others, the median until `/healthz` answered.
    healthy: Duration,
    /// And until the other request was answered, too.
    answers: Duration,
    /// After a while of nothing.
    memory: process::Memory,
}

impl Starts {
    async fn of(errand: &Path, place: &Place, request: Option<&[u8]>) -> anyhow::Result<Self> {
        let first = Server::start(errand, place, place.folder(), request).await?.answers;
        let (mut healthy, mut answers, mut memory) = (vec![], vec![], None);
        for _ in 0..STARTS {
            let server = Server::start(errand, place, place.folder(), request).await?;
            healthy.push(server.healthy);
            answers.push(server.answers);
            if memory.is_none() {
                tokio::time::sleep(REST).await;
                memory = Some(process::memory(server.process.id())?);
            }
        }
        let memory = memory.context("no start was measured")?;
        Ok(Self { first, healthy: median(healthy), answers: median(answers), memory })
    }
}

/// A running binary. Dropping it kills the process: a start after that is the slow kind.
struct Server {
    process: Process,
    address: SocketAddr,
    /// From its start until `/healthz` answered.
    healthy: Duration,
    /// And until the first other request was answered, too.
    answers: Duration,
}

impl Server {
    async fn start(errand: &Path, place: &Place, folder: &Path, request: Option<&[u8]>) -> anyhow::Result<Self> {
        // Free now; nothing else on this machine is likely to take it within a millisecond.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        // One key does here what many do elsewhere.
        let config = place.folder().join("bench.toml");
        fs::write(&config, "[server]\nrequests_per_minute = 0\n")?;
        let began = Instant::now();
        let process = Command::new(errand)
            .args(["serve", "--listen", &address.to_string(), "--database-url", &place.store.to_string()])
            .arg("--config")
            .arg(config)
            .arg("--data-dir")
            .arg(folder)
            .env_clear()
            .env("ERRAND_API_KEY", seed::KEY)
            .env("ERRAND_MASTER_KEY", "0123456789abcdef".repeat(4))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", errand.display()))?;
        let mut server = Self { process, address, healthy: Duration::ZERO, answers: Duration::ZERO };
        let probe = http::get("/healthz");
        while began.elapsed() < PATIENCE {
            if let Ok(mut connection) = Connection::open(address).await
                && connection.ask(&probe, 200).await.is_ok()
            {
                server.healthy = began.elapsed();
                if let Some(request) = request {
                    connection.ask(request, 200).await?;
                }
                server.answers = began.elapsed();
                return Ok(server);
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        bail!("{} serve does not answer: try it by hand", errand.display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Either fails only when it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

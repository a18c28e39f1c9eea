//! The real binary: how soon it answers, and what it holds while nothing happens.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child as Process, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::http::{self, Connection};
use crate::load::{self, Load, median, millis};
use crate::process;
use crate::report::{Report, Row};
use crate::rows::Plan;
use crate::seed;

/// Starts of which the median counts.
const STARTS: usize = 5;
/// From starting the process to its first answer, in milliseconds.
const START: f64 = 100.0;
/// Resident memory of a server that does nothing, in MiB.
const IDLE: f64 = 20.0;
/// How long a server is left alone before its memory is read.
const REST: Duration = Duration::from_secs(2);
/// After this long without an answer it will not start any more.
const PATIENCE: Duration = Duration::from_secs(10);

/// The rows of this part.
pub(super) async fn measure(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    ensure!(
        plan.errand.exists(),
        "there is no {}: build it with `cargo build --release -p errand-cli`, or name another with --errand",
        plan.errand.display()
    );
    let empty = plan.folder()?;
    starts(plan, empty.path(), "an empty data folder", report).await?;
    let filled = plan.folder()?;
    fill(plan, filled.path()).await?;
    starts(plan, filled.path(), "10,000 agents", report).await
}

async fn starts(plan: &Plan, data: &Path, with: &str, report: &mut Report) -> anyhow::Result<()> {
    let (mut times, mut memory) = (vec![], None);
    let first = Server::start(&plan.errand, data).await?.0;
    for _ in 0..STARTS {
        let (time, server) = Server::start(&plan.errand, data).await?;
        times.push(time);
        if memory.is_none() {
            tokio::time::sleep(REST).await;
            memory = Some(process::memory(server.0.id())?);
        }
    }
    let memory = memory.context("no start was measured")?;
    let also = vec![("first_ms", millis(first))];
    report.add(Row::new(format!("start with {with}"), millis(median(times)), "ms").at_most(START).also(also));
    let mib = |kib: u32| f64::from(kib) / 1024.0;
    let also = vec![("peak_mib", mib(memory.peak))];
    report.add(Row::new(format!("idle memory with {with}"), mib(memory.now), "MiB").at_most(IDLE).also(also));
    Ok(())
}

/// Fills a data folder as people would, since what it looks like inside is the binary's own business.
async fn fill(plan: &Plan, data: &Path) -> anyhow::Result<()> {
    let (_, server) = Server::start(&plan.errand, data).await?;
    let create = Load { requests: vec![http::post("/v1/agents", &seed::new_agent())], expected: 201, connections: 64 };
    load::burst(server.1, create, 10_000).await
}

/// A running binary and its address. Dropping it kills the process: a start after that is the slow kind.
struct Server(Process, SocketAddr);

impl Server {
    async fn start(errand: &Path, data: &Path) -> anyhow::Result<(Duration, Self)> {
        // Free now; nothing else on this machine is likely to take it within a millisecond.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let began = Instant::now();
        let process = Command::new(errand)
            .args(["serve", "--listen", &address.to_string(), "--data-dir"])
            .arg(data)
            .env_clear()
            .env("ERRAND_API_KEY", seed::KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", errand.display()))?;
        let server = Self(process, address);
        let probe = http::get("/healthz");
        while began.elapsed() < PATIENCE {
            if let Ok(mut connection) = Connection::open(address).await
                && connection.ask(&probe, 200).await.is_ok()
            {
                return Ok((began.elapsed(), server));
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        bail!("{} serve does not answer: try it by hand", errand.display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Either fails only when it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

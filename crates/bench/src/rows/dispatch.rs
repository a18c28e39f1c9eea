//! From sending POST to the model being asked, one run at a time, beside what a sync of the disk costs.
//!
//! The server runs in this process, since both moments must be read off one clock. The one client sleeps meanwhile.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use testkit::scripted::{ScriptedModel, says};
use tokio::sync::mpsc;

use crate::http::Connection;
use crate::load::{millis, percentile};
use crate::report::{Report, Row};
use crate::rows::Plan;
use crate::rows::burst::{start, until_idle};
use crate::seed;
use crate::store::{Backend, Place};
use crate::wire::{self, Tapped};

/// Runs that are not counted, then those that are.
const RUNS: (u32, u32) = (50, 500);
/// Writes that are synced one by one.
const SYNCS: u64 = 200;
/// What the aim allows beside two syncs, in milliseconds.
const BESIDE_SYNCS: f64 = 0.5;

/// The rows of this part.
pub(super) async fn measure(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let place = Backend::Sqlite.place(&plan.dir)?;
    let appended = syncs(&place.folder().join("appended"), false)?;
    let rewritten = syncs(&place.folder().join("rewritten"), true)?;
    let sync = millis(percentile(&appended, 50));
    let beside =
        vec![("p99_ms", millis(percentile(&appended, 99))), ("rewriting_p50_ms", millis(percentile(&rewritten, 50)))];
    report.add(Row::new("append 4 KiB + fdatasync, p50", sync, "ms").also(beside));
    report.add(first_bytes(&Backend::Sqlite, &place).await?.at_most(2.0 * sync + BESIDE_SYNCS));
    Ok(())
}

/// The row of dispatch on an empty place.
pub(super) async fn first_bytes(on: &Backend, place: &Place) -> anyhow::Result<Row> {
    let seeded = seed::fill(&place.store, 1).await?;
    let (tell, mut told) = mpsc::unbounded_channel();
    let begins = move || {
        // Nobody listens only once the measuring is over.
        let _ = tell.send(Instant::now());
    };
    let model = Tapped::new(ScriptedModel::new(|_| Ok(says("Done."))), begins);
    let wired = wire::start(place.folder(), &place.store, Arc::new(model), 100).await?;
    let request = start(&seeded.agents).requests.swap_remove(0);
    let mut connection = Connection::open(wired.address).await?;
    let (mut dispatches, mut answers) = (vec![], vec![]);
    for number in 0..RUNS.0 + RUNS.1 {
        if number == RUNS.0 {
            on.settle(place)?;
        }
        let sent = Instant::now();
        connection.ask(&request, 201).await?;
        let answered = sent.elapsed();
        let asked = told.recv().await.context("the server is gone")?;
        if number >= RUNS.0 {
            dispatches.push(asked.saturating_duration_since(sent));
            answers.push(answered);
        }
        until_idle(&wired.db).await?;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    wired.end().await;
    dispatches.sort_unstable();
    answers.sort_unstable();
    let beside =
        vec![("p99_ms", millis(percentile(&dispatches, 99))), ("answer_p50_ms", millis(percentile(&answers, 50)))];
    let row = Row::new("POST to the model's first byte, p50", millis(percentile(&dispatches, 50)), "ms");
    Ok(row.also(beside))
}

/// The times of writing 4 KiB and syncing it, sorted. A file that grows must sync its size too; a rewritten one need not.
fn syncs(path: &Path, rewriting: bool) -> anyhow::Result<Vec<Duration>> {
    const PAGE: [u8; 4096] = [0x5a; 4096];
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
    let all = 0..SYNCS;
    if rewriting {
        all.clone().try_for_each(|page| file.write_all_at(&PAGE, page * 4096))?;
        file.sync_all()?;
    }
    let mut times = vec![];
    for page in all {
        let began = Instant::now();
        file.write_all_at(&PAGE, page * 4096)?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

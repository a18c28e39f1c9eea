//! What a run holds while its model thinks.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::child::{Child, Script};
use crate::load;
use crate::report::{Report, Row};
use crate::rows::Plan;
use crate::rows::burst::start;
use crate::seed;
use crate::store::Backend;

/// Runs that are to be in flight at once.
const RUNS: u32 = 10_000;
/// How long the model thinks: until long after the last run has been started, for the size does not depend on it.
const THINKS: Duration = Duration::from_secs(15);
/// Runs that go through first, so that what is made once is not counted to the runs.
const WARM_UP: u32 = 64;
/// KiB for each run in flight.
const EACH: f64 = 16.0;
/// How often the child is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The rows of this part.
pub(super) async fn measure(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let place = Backend::Sqlite.place(&plan.dir)?;
    let seeded = seed::fill(&place.store, 1).await?;
    let mut child = Child::errand(&place, Script::Answers(THINKS), usize::try_from(RUNS)?)?;
    load::burst(child.address, start(&seeded.agents), WARM_UP).await?;
    until(&mut child, |(_, ended)| ended == u64::from(WARM_UP)).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = child.memory()?.now;
    load::burst(child.address, start(&seeded.agents), RUNS).await?;
    // If the machine is too slow for all to overlap this never comes true, and says so.
    until(&mut child, |(in_flight, _)| in_flight == u64::from(RUNS)).await?;
    // Connections of the burst are closed by now; what remains is what the runs hold.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let all = child.memory()?;
    let (in_flight, _) = child.turns()?;
    ensure!(in_flight == u64::from(RUNS), "only {in_flight} runs were in flight together: this machine is too slow");
    until(&mut child, |(_, ended)| ended == u64::from(RUNS + WARM_UP)).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = child.memory()?;
    let each = (f64::from(all.now) - f64::from(before)) / f64::from(RUNS);
    let mib = |kib: u32| f64::from(kib) / 1024.0;
    let also = vec![
        ("before_mib", mib(before)),
        ("in_flight_mib", mib(all.now)),
        ("peak_mib", mib(after.peak)),
        ("after_mib", mib(after.now)),
    ];
    report.add(Row::new(format!("memory of a run, {RUNS} in flight"), each, "KiB").at_most(EACH).also(also));
    Ok(())
}

/// Looks at (turns in flight, turns ended) until they are as wanted.
async fn until(child: &mut Child, wanted: impl Fn((u64, u64)) -> bool) -> anyhow::Result<()> {
    let patience = Instant::now() + 4 * THINKS;
    loop {
        let turns = child.turns()?;
        if wanted(turns) {
            return Ok(());
        }
        ensure!(Instant::now() < patience, "the runs do not get there: {turns:?} turns in flight and ended");
        tokio::time::sleep(LOOK).await;
    }
}

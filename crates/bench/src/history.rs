//! Fills a database with runs as weeks of work would leave them: most are over, some wait for a person.
//!
//! The steps are those of the engine (accept, claim, one commit), taken many at once, straight through `storage`; what they write is decided by
//! [`domain::runs::Run`], so that whoever claims such a run finds a journal that fits.

use anyhow::{Context as _, ensure};
use domain::human_requests::ASK_PERSON;
use domain::runs::{Event, Rules, Run};
use domain::sandboxes::Sandbox;
use domain::turns::{Replay, Reply, ToolCall};
use domain::{AgentId, Ambient as _, BuildId, RunId, TeamId, Timestamp};
use serde_json::json;
use storage::runs::{Commit, Committed, NewRun, Then};
use storage::work::{self, Claimed, Claiming};
use storage::{StoreError, Tx, agents, runs, sandboxes};
use testkit::scripted::says;

use crate::ambient::SystemAmbient;
use crate::seed::{NAME, Seeded};
use crate::store::Store;

/// Runs that go into one transaction: few enough for the locks that PostgreSQL has, one for each run.
const BATCH: u32 = 500;
/// When all of them were started: long enough ago for their sandboxes to have expired, as most have in a server of some age.
const AGO_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// Between two batches.
const BETWEEN_MS: u64 = 1_000;
/// How long a sandbox is kept.
const SANDBOX_MS: i64 = 24 * 60 * 60 * 1000;

/// How many of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    /// Runs that are completed.
    pub(crate) finished: u32,
    /// Runs that wait for a person, started after the others.
    pub(crate) waiting: u32,
}

/// What all of them have in common.
#[derive(Clone, Copy)]
struct Job {
    team: TeamId,
    agent: AgentId,
    build: BuildId,
    at: Timestamp,
}

/// Adds so many runs of the first seeded agent; answers the one that was started last, which waits if any does.
pub(crate) async fn fill(store: &Store, seeded: &Seeded, counts: Counts) -> anyhow::Result<RunId> {
    let db = store.open().await?;
    let ambient = SystemAmbient::new();
    let (team, agent) = (seeded.team, *seeded.agents.first().context("no agent was seeded")?);
    let found = db.read(async |tx| agents::get_with_build(tx, team, agent).await).await?;
    let build = found.and_then(|(_, build)| build).context("the seeded agent has no Build")?.id;
    let mut job = Job { team, agent, build, at: Timestamp(ambient.now().0 - AGO_MS) };
    let mut newest = None;
    for (asks, count) in [(false, counts.finished), (true, counts.waiting)] {
        let mut left = count;
        while left > 0 {
            let batch = left.min(BATCH);
            left -= batch;
            let (last, moved) = db.write(async move |tx| write(tx, job, batch, asks).await).await?;
            // Ids sort by time, and only those of one batch count on from each other.
            job.at = job.at.plus_ms(BETWEEN_MS);
            ensure!(moved == batch, "only {moved} of {batch} new runs could be moved");
            newest = last.or(newest);
        }
    }
    db.close().await;
    newest.context("no runs were wanted")
}

/// Accepts a batch, claims it and moves it on; answers its last run and how many were moved.
async fn write(tx: &mut Tx<'_>, job: Job, count: u32, asks: bool) -> Result<(Option<RunId>, u32), StoreError> {
    let ambient = SystemAmbient::new();
    let mut last = None;
    for _ in 0..count {
        let id = RunId(ambient.id(job.at));
        insert(tx, job, id).await?;
        last = Some(id);
    }
    let wanted = Claiming {
        token: ambient.id(job.at),
        now: job.at,
        lease_ms: 60_000,
        most: count,
        stops_only: false,
        team_most: None,
        suspect_from: u32::MAX,
        suspect: false,
    };
    let mut moved = 0;
    for claimed in work::claim(tx, wanted).await? {
        let step = step(&ambient, job, &claimed, asks);
        moved += u32::from(matches!(runs::commit(tx, &step, false).await?, Committed::Done { .. }));
    }
    Ok((last, moved))
}

async fn insert(tx: &mut Tx<'_>, job: Job, id: RunId) -> Result<(), StoreError> {
    let sandbox = Sandbox {
        id: format!("sbx_{}", id.0.simple()),
        team: job.team,
        created_at: job.at,
        expires_at: Timestamp(job.at.0 + SANDBOX_MS),
    };
    sandboxes::insert(tx, &sandbox).await?;
    let new = NewRun {
        id,
        agent: job.agent,
        build: job.build,
        sandbox: sandbox.id,
        title: NAME.to_owned(),
        source: "api",
        webhook: None,
        message: None,
        created_at: job.at,
    };
    runs::insert(tx, job.team, new).await.map(drop)
}

/// What the engine would commit after the model's first answer.
fn step(ambient: &SystemAmbient, job: Job, claimed: &Claimed, asks: bool) -> Commit {
    let mut run = Run::new(Rules::default());
    let before =
        [Event::Created { agent_id: job.agent.0, build_id: job.build.0 }, Event::Claimed { attempt: claimed.attempt }];
    run.advance(job.at, before);
    let (step, _) = run.advance(job.at, [Event::Replied { turn: 1, reply: reply(ambient, job.at, asks) }]);
    Commit {
        lease: claimed.lease,
        tail: claimed.tail,
        events: step.events,
        status: run.status(),
        taken: vec![],
        asked: run.pending_request().cloned(),
        overtaken: false,
        webhook: false,
        then: Then::Release,
        now: job.at,
    }
}

fn reply(ambient: &SystemAmbient, at: Timestamp, asks: bool) -> Reply {
    let said = says("All 14 invoices agree with their purchase orders; one line each is in summary.csv.");
    let question = || ToolCall {
        id: "call_1".to_owned(),
        key: ambient.id(at),
        name: ASK_PERSON.to_owned(),
        arguments: [("kind".to_owned(), json!("approval")), ("title".to_owned(), json!("Pay invoice 2026-1187?"))]
            .into_iter()
            .collect(),
        replay: Replay::Never,
        target: None,
    };
    let calls = asks.then(question).into_iter().collect();
    Reply { text: said.text, calls, stop: said.stop, model: said.model, usage: said.usage, carry: None }
}

#[cfg(test)]
mod tests {
    use domain::runs::Status;
    use domain::runs::Status::{Completed, Waiting};
    use storage::journal;

    use super::*;
    use crate::seed;
    use crate::store::Backend;

    #[tokio::test]
    async fn what_is_filled_in_looks_as_if_it_had_been_run() {
        let place = Backend::Sqlite.place(&std::env::temp_dir()).unwrap();
        let seeded = seed::fill(&place.store, 1).await.unwrap();
        let newest = fill(&place.store, &seeded, Counts { finished: BATCH + 1, waiting: 2 }).await.unwrap();
        let db = place.store.open().await.unwrap();
        let page = async |tx: &mut Tx<'_>| runs::page(tx, seeded.team, &runs::Filter::default(), true, 4, 0).await;
        let (page, total) = db.read(page).await.unwrap();
        let statuses: Vec<Status> = page.iter().map(|(run, _)| run.status).collect();
        assert_eq!((total, statuses), (u64::from(BATCH) + 3, vec![Waiting, Waiting, Completed, Completed]));
        assert_eq!(page[0].0.id, newest);
        for (row, _) in page {
            let entries = db.read(async |tx| journal::replay(tx, row.id).await).await.unwrap();
            assert_eq!(Run::replay(Rules::default(), entries).unwrap().0.status(), row.status);
        }
        assert!(db.read(async |tx| work::next_due(tx).await).await.unwrap().is_none());
    }
}

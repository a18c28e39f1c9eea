//! A database to play on, emptied between two sequences, and everything that can be seen of its runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use domain::agents::Agent;
use domain::{AgentId, BuildId, RunId, TeamId, Timestamp};
use storage::builds::NewBuild;
use storage::{
    Clock, Db, MIGRATIONS, Settings, StoreError, Tx, Value, agents, builds, human_requests, journal, runs, teams, work,
};
use tempfile::TempDir;
use uuid::Uuid;

use crate::operation::TEAMS;
use crate::postgres;
use crate::reference::{Known, Model};

/// When every sequence begins.
pub(crate) const START: i64 = 1_764_000_000_000;

const TABLES: [&str; 10] = [
    "DELETE FROM outbox",
    "DELETE FROM human_requests",
    "DELETE FROM inbox",
    "DELETE FROM work",
    "DELETE FROM journal",
    "DELETE FROM runs",
    "DELETE FROM sandboxes",
    "DELETE FROM builds",
    "DELETE FROM agents",
    "DELETE FROM teams",
];
const WORK: &str = "SELECT due_at, claim, attempt, probations FROM work WHERE run_id = $1";
const OUTBOX: &str = "SELECT seq, event FROM outbox WHERE run_id = $1 ORDER BY seq";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Memory,
    Sqlite,
    Postgres,
}

pub(crate) struct Store {
    pub(crate) db: Db,
    pub(crate) engine: Engine,
    clock: Arc<AtomicI64>,
    _folder: TempDir,
}

pub(crate) fn team(number: usize) -> TeamId {
    TeamId(Uuid::from_u128(1 + number as u128))
}

pub(crate) const AGENT: AgentId = AgentId(Uuid::from_u128(10));
pub(crate) const BUILD: BuildId = BuildId(Uuid::from_u128(20));

impl Store {
    pub(crate) async fn new(engine: Engine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(START));
        let told = Arc::clone(&clock);
        let time: Clock = Arc::new(move || Timestamp(told.load(Ordering::Relaxed)));
        let db = match engine {
            Engine::Sqlite => Db::open(&Settings::new(folder.path().join("errand.db"), time)).unwrap(),
            Engine::Memory => Db::in_memory(&time).unwrap(),
            Engine::Postgres => Db::connect(postgres::database()).await.unwrap(),
        };
        db.migrate(MIGRATIONS, START).await.unwrap();
        if engine == Engine::Postgres {
            postgres::let_tests_set_the_clock(&db).await;
        }
        Self { db, engine, clock, _folder: folder }
    }

    /// As it was at the start.
    pub(crate) async fn empty(&self) {
        self.at(START).await;
        let start = Timestamp(START);
        let furnish = async move |tx: &mut Tx<'_>| {
            for table in TABLES {
                tx.exec(table, &[]).await?;
            }
            for number in 0..TEAMS {
                let team = team(number);
                teams::insert(tx, team, "team", start).await?;
                let agent = Agent { id: AGENT, team, name: "worker".into(), created_at: start, updated_at: start };
                agents::insert(tx, &agent).await?;
                let new = NewBuild {
                    id: BUILD,
                    agent: AGENT,
                    name: "build".into(),
                    config: "{}".into(),
                    submitted: "{}".into(),
                    sealed: None,
                    created_at: start,
                };
                builds::insert(tx, team, new).await?;
            }
            Ok(())
        };
        self.db.write::<_, StoreError, _>(furnish).await.unwrap();
    }

    pub(crate) async fn at(&self, now: i64) {
        self.clock.store(now, Ordering::Relaxed);
        if self.engine == Engine::Postgres {
            postgres::set_clock(&self.db, Timestamp(now)).await;
        }
    }

    /// What is seen of everything, in words.
    pub(crate) async fn seen(&self, ids: &[(RunId, usize)]) -> Vec<String> {
        let look = async |tx: &mut Tx<'_>| {
            let mut seen = vec![];
            for (id, number) in ids {
                seen.push(run(tx, *id, team(*number)).await?);
            }
            let due = work::next_due(tx).await?.map(|due| (due.in_ms, due.stop));
            seen.push(format!("due {due:?}"));
            Ok(seen)
        };
        self.db.read::<_, StoreError, _>(look).await.unwrap()
    }
}

async fn run(tx: &mut Tx<'_>, id: RunId, team: TeamId) -> Result<String, StoreError> {
    let row = runs::get(tx, team, id).await?.unwrap();
    let name: Value = id.0.into();
    let work = match tx.row(WORK, std::slice::from_ref(&name)).await? {
        Some(row) => Some((row.int(0)?, row.opt_uuid(1)?, row.u32(2)?, row.u32(3)?)),
        None => None,
    };
    let mut outbox = vec![];
    for row in tx.rows(OUTBOX, &[name]).await? {
        outbox.push((row.u64(0)?, row.text(1)?));
    }
    let journal: Vec<_> = journal::replay(tx, id).await?.into_iter().map(|entry| (entry.at, entry.event)).collect();
    let inbox: Vec<_> = runs::inbox(tx, id, 0).await?.into_iter().map(|(_, event)| event).collect();
    let request = human_requests::pending(tx, team, id).await?.map(|stored| stored.request.id);
    let (started, ended) = (row.started_at.is_some(), row.completed_at.is_some());
    let counts = (row.prompt_count, row.last_seq, row.message_count);
    let stop = runs::stop_wanted(tx, id).await?;
    Ok(format!(
        "{} {started} {ended} {counts:?} stop {stop} {request:?} work {work:?} outbox {outbox:?} inbox {inbox:?} journal {journal:?}",
        row.status.word()
    ))
}

/// The same of the model.
pub(crate) fn expected(model: &Model) -> Vec<String> {
    let mut seen: Vec<String> = model.runs.iter().map(known).collect();
    let due = model.runs.iter().filter_map(|run| run.work.as_ref().map(|work| work.due)).min();
    let due = due.map(|due| (u64::try_from(due - model.now).unwrap_or(0), due <= 0));
    seen.push(format!("due {due:?}"));
    seen
}

fn known(run: &Known) -> String {
    let Known { started, ended, request, journal, outbox, .. } = run;
    let work = run.work.as_ref().map(|work| (work.due, work.claim, work.attempt, work.probations));
    let shown = journal.iter().filter(|(_, event)| event.is_message()).count() as u64;
    let counts = (run.prompts, journal.len() as u64, shown);
    let inbox: Vec<_> = run.inbox.iter().map(|(_, event)| event).collect();
    let stop = run.stop_waits();
    format!(
        "{} {started} {ended} {counts:?} stop {stop} {request:?} work {work:?} outbox {outbox:?} inbox {inbox:?} journal {journal:?}",
        run.status.word()
    )
}

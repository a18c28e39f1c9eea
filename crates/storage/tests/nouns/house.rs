//! A database with two teams in it, and the short cuts that the tests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use domain::agents::Agent;
use domain::builds::Build;
use domain::master_key::MasterKey;
use domain::runs::{Event, Said, Status};
use domain::sandboxes::Sandbox;
use domain::{AgentId, BuildId, RunId, TeamId, Timestamp};
use serde_json::json;
use storage::builds::NewBuild;
use storage::master_keys::Keyring;
use storage::runs::{Commit, Committed, NewRun, RunRow, Then};
use storage::work::{Claimed, Claiming};
use storage::{Clock, Db, MIGRATIONS, Settings, StoreError, agents, builds, journal, runs, sandboxes, teams, work};
use tempfile::TempDir;
use testkit::ambient::FakeAmbient;
use uuid::Uuid;

use crate::{pooled, postgres};

/// How long the leases of these tests hold, in milliseconds.
pub(crate) const LEASE: u64 = 1_000;

/// What a test runs on: each runs on all of them and expects the same answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Engine {
    Sqlite,
    Memory,
    Postgres,
    /// PostgreSQL behind a transaction pooler.
    Pooled,
}

pub(crate) struct House {
    pub(crate) db: Db,
    pub(crate) team: TeamId,
    pub(crate) strangers: TeamId,
    engine: Engine,
    clock: Arc<AtomicI64>,
    next_id: AtomicU64,
    _folder: TempDir,
}

/// Milliseconds after the beginning of these tests' time.
pub(crate) const fn at(ms: i64) -> Timestamp {
    Timestamp(1_764_000_000_000 + ms)
}

pub(crate) fn said(text: &str) -> Event {
    Event::MessageReceived(Said { id: Uuid::from_u128(77), text: text.into() })
}

pub(crate) fn noted(text: &str) -> Event {
    Event::Noted { text: text.into() }
}

impl House {
    pub(crate) async fn new(engine: Engine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(at(0).0));
        let told = Arc::clone(&clock);
        let clock_of_files: Clock = Arc::new(move || Timestamp(told.load(Ordering::Relaxed)));
        let db = match engine {
            Engine::Sqlite => Db::open(&Settings::new(folder.path().join("errand.db"), clock_of_files)).unwrap(),
            Engine::Memory => Db::in_memory(&clock_of_files).unwrap(),
            Engine::Postgres => Db::connect(postgres::database()).await.unwrap(),
            Engine::Pooled => Db::connect(pooled::database()).await.unwrap(),
        };
        db.migrate(MIGRATIONS, at(0).0).await.unwrap();
        if matches!(engine, Engine::Postgres | Engine::Pooled) {
            postgres::let_tests_set_the_clock(&db).await;
        }
        let (team, strangers) = (TeamId(Uuid::from_u128(1)), TeamId(Uuid::from_u128(2)));
        let both = async move |tx: &mut storage::Tx<'_>| {
            teams::insert(tx, team, "ours", at(0)).await?;
            teams::insert(tx, strangers, "theirs", at(0)).await
        };
        db.write::<_, StoreError, _>(both).await.unwrap();
        let house = Self { db, team, strangers, engine, clock, next_id: AtomicU64::new(1_000), _folder: folder };
        house.at(at(0)).await;
        house
    }

    /// From now on it is this time for the database.
    pub(crate) async fn at(&self, now: Timestamp) {
        self.clock.store(now.0, Ordering::Relaxed);
        if matches!(self.engine, Engine::Postgres | Engine::Pooled) {
            postgres::set_clock(&self.db, now).await;
        }
    }

    /// Ids that sort as they were made, as the real ones do.
    pub(crate) fn id(&self) -> Uuid {
        Uuid::from_u128(self.next_id.fetch_add(1, Ordering::Relaxed).into())
    }

    pub(crate) async fn agent(&self, team: TeamId, name: &str) -> AgentId {
        let id = AgentId(self.id());
        let agent = Agent { id, team, name: name.into(), created_at: at(0), updated_at: at(0) };
        self.db.write(async move |tx| agents::insert(tx, &agent).await).await.unwrap();
        id
    }

    pub(crate) async fn build(&self, team: TeamId, agent: AgentId) -> Option<Build> {
        let new = NewBuild {
            id: BuildId(self.id()),
            agent,
            name: "build".into(),
            config: r#"{"version":"v1"}"#.into(),
            submitted: "{}".into(),
            sealed: None,
            created_at: at(5),
        };
        self.db.write(async move |tx| builds::insert(tx, team, new).await).await.unwrap()
    }

    /// A master key of this number, which is the same each time.
    pub(crate) fn keys(number: u8) -> Keyring {
        let master = MasterKey::parse(&format!("{number:02x}").repeat(32)).unwrap();
        Keyring { master, ambient: Arc::new(FakeAmbient::default()) }
    }

    pub(crate) async fn sandbox(&self, team: TeamId) -> String {
        let id = format!("sbx_{}", self.id().simple());
        let sandbox = Sandbox { id: id.clone(), team, created_at: at(0), expires_at: at(1) };
        self.db.write(async move |tx| sandboxes::insert(tx, &sandbox).await).await.unwrap();
        id
    }

    /// A run of a new Assignment, with a message.
    pub(crate) async fn run(&self, team: TeamId) -> RunRow {
        let agent = self.agent(team, "worker").await;
        let build = self.build(team, agent).await.unwrap().id;
        self.run_of(team, agent, build, "a job", at(10)).await
    }

    /// The same, of which somebody at `https://hook.example` is told.
    pub(crate) async fn run_that_calls_back(&self, team: TeamId) -> RunId {
        let agent = self.agent(team, "worker").await;
        let build = self.build(team, agent).await.unwrap().id;
        let webhook = Some(("https://hook.example/errand".into(), "https://hook.example".into()));
        let new = NewRun { webhook, ..self.new_run(team, agent, build).await };
        self.at(at(10)).await;
        self.db.write(async move |tx| runs::insert(tx, team, new).await).await.unwrap().id
    }

    pub(crate) async fn run_of(
        &self,
        team: TeamId,
        agent: AgentId,
        build: BuildId,
        title: &str,
        created_at: Timestamp,
    ) -> RunRow {
        let new = NewRun { title: title.into(), created_at, ..self.new_run(team, agent, build).await };
        self.at(created_at).await;
        self.db.write(async move |tx| runs::insert(tx, team, new).await).await.unwrap()
    }

    async fn new_run(&self, team: TeamId, agent: AgentId, build: BuildId) -> NewRun {
        NewRun {
            id: RunId(self.id()),
            agent,
            build,
            sandbox: self.sandbox(team).await,
            title: "a job".into(),
            source: "api",
            webhook: None,
            message: Some(Said { id: self.id(), text: "please".into() }),
            created_at: at(10),
        }
    }

    /// Claims whatever is due at `now`, for [`LEASE`] milliseconds.
    pub(crate) async fn claim(&self, now: Timestamp) -> Vec<Claimed> {
        self.claim_as(now, |_| {}).await
    }

    /// The same, wanted otherwise.
    pub(crate) async fn claim_as(&self, now: Timestamp, change: impl FnOnce(&mut Claiming)) -> Vec<Claimed> {
        self.at(now).await;
        let mut wanted = self.claiming(now);
        change(&mut wanted);
        self.db.write(async move |tx| work::claim(tx, wanted).await).await.unwrap()
    }

    /// What takes all that is due, for [`LEASE`] milliseconds.
    pub(crate) fn claiming(&self, now: Timestamp) -> Claiming {
        Claiming {
            token: self.id(),
            now,
            lease_ms: LEASE,
            most: 100,
            stops_only: false,
            team_most: None,
            suspect_from: 1_000,
            suspect: true,
        }
    }

    /// Claims the one run that is due at `now`.
    pub(crate) async fn claim_one(&self, now: Timestamp) -> Claimed {
        let mut claimed = self.claim(now).await;
        assert_eq!(claimed.len(), 1, "one run is due");
        claimed.remove(0)
    }

    /// The journal's new end and whether the run is due again; `None` where the lease was lost.
    pub(crate) async fn commit(&self, step: Commit) -> Option<((u64, u64), bool)> {
        match self.try_commit(step).await {
            Committed::Done { tail, due_again } => Some((tail, due_again)),
            Committed::Lost => None,
            Committed::Overtaken => unreachable!("overtaken"),
        }
    }

    pub(crate) async fn try_commit(&self, step: Commit) -> Committed {
        self.at(step.now).await;
        self.db.write(async move |tx| runs::commit(tx, &step, false).await).await.unwrap()
    }

    pub(crate) async fn tell(&self, run: RunId, event: Event, now: Timestamp) {
        let team = self.team;
        self.at(now).await;
        self.db.write(async move |tx| runs::tell(tx, team, run, &event, now).await).await.unwrap();
    }

    pub(crate) async fn inbox(&self, run: RunId) -> Vec<(i64, Event)> {
        self.db.read(async |tx| runs::inbox(tx, run, 0).await).await.unwrap()
    }

    pub(crate) async fn row(&self, run: RunId) -> RunRow {
        self.db.read(async |tx| runs::get(tx, self.team, run).await).await.unwrap().unwrap()
    }

    /// When the next run is due, as far as the clock is from it.
    pub(crate) async fn next_due(&self) -> Option<Timestamp> {
        let due = self.db.read(async |tx| work::next_due(tx).await).await.unwrap();
        due.map(|due| Timestamp(self.clock.load(Ordering::Relaxed)).plus_ms(due.in_ms))
    }

    /// The journal as `seq kind`, one after the other.
    pub(crate) async fn journal(&self, run: RunId) -> Vec<String> {
        let lines = self.db.read(async |tx| journal::after(tx, self.team, run, 0, 1_000).await).await.unwrap();
        lines.iter().map(|line| format!("{} {}", line.seq, line.kind)).collect()
    }
}

/// A commit of `events` by the holder of `claimed`, at `now`.
pub(crate) fn step(claimed: &Claimed, events: Vec<Event>, status: Status, then: Then, now: Timestamp) -> Commit {
    Commit {
        lease: claimed.lease,
        tail: claimed.tail,
        events,
        status,
        taken: vec![],
        asked: None,
        overtaken: false,
        webhook: false,
        then,
        now,
    }
}

/// A request for approval with this id.
pub(crate) fn request(id: Uuid) -> domain::human_requests::HumanRequest {
    serde_json::from_value(json!({ "id": id, "kind": "approval", "title": "Pay 10?" })).unwrap()
}

//! A database, a team with Builds, and the engines that work on them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agent::models::{Model, TurnRequest};
use agent::tools::pdf::PdfReader;
use agent::workspace::{Quota, Workspaces};
use domain::agents::Agent;
use domain::limits::Limits;
use domain::master_key::MasterKey;
use domain::runs::{Event, Said};
use domain::sandboxes::Sandbox;
use domain::{AgentId, Ambient, BuildId, RunId, TeamId, Timestamp};
use engine::{Engine, Parts, Settings};
use futures_util::future::BoxFuture;
use mcp::{Known, Servers};
use serde_json::{Value, json};
use storage::builds::NewBuild;
use storage::master_keys::Keyring;
use storage::runs::{NewRun, RunRow};
use storage::work::Claiming;
use storage::{Bell, Db, MIGRATIONS, StoreError, Weather, agents, builds, journal, runs, sandboxes, teams, work};
use tempfile::TempDir;
use testkit::scripted::Turn;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

/// How long a test waits for what should happen at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// The runtime's time, which is the real one unless a test has stopped it, and ids that sort, without chance.
struct Clock {
    started: Instant,
    /// How wrong it is, in milliseconds.
    ahead: AtomicU64,
    drawn: AtomicU64,
}

impl Ambient for Clock {
    fn now(&self) -> Timestamp {
        Timestamp(1_764_000_000_000).plus_ms(self.steady_ms() + self.ahead.load(Ordering::Relaxed))
    }

    fn steady_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap()
    }

    fn id(&self, at: Timestamp) -> Uuid {
        let mut count = [0; 10];
        count[2..].copy_from_slice(&self.drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(u64::try_from(at.0).unwrap(), &count).into_uuid()
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// A model that says when a turn has begun.
pub(crate) struct Announced<M> {
    model: M,
    begun: Arc<Notify>,
}

/// `model`, and what is notified at the beginning of each turn.
pub(crate) fn announced<M: Model>(model: M) -> (Announced<M>, Arc<Notify>) {
    let begun = Arc::new(Notify::new());
    (Announced { model, begun: Arc::clone(&begun) }, begun)
}

impl<M: Model> Model for Announced<M> {
    fn turn<'a>(&'a self, request: TurnRequest<'a>) -> BoxFuture<'a, Turn> {
        self.begun.notify_one();
        self.model.turn(request)
    }
}

pub(crate) struct House {
    pub(crate) db: Db,
    pub(crate) bell: Bell,
    clock: Arc<Clock>,
    pub(crate) team: TeamId,
    agent: AgentId,
    build: BuildId,
    folder: TempDir,
    /// What errand.toml would say of MCP servers; `None`: there is no way to any.
    known: Option<BTreeMap<String, Known>>,
}

impl House {
    /// With a Build that only names a model.
    pub(crate) async fn new() -> Self {
        Self::with(json!({})).await
    }

    /// With a Build that says this, too.
    pub(crate) async fn with(config: Value) -> Self {
        Self::on(config, |file, clock| Db::open(&storage::Settings::new(file, clock)).unwrap()).await
    }

    /// In the memory, for a test whose time is stopped: nothing there waits for another thread.
    pub(crate) async fn in_memory() -> Self {
        Self::on(json!({}), |_, clock| Db::in_memory(&clock).unwrap()).await
    }

    async fn on(config: Value, open: impl FnOnce(PathBuf, storage::Clock) -> Db) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock { started: Instant::now(), ahead: AtomicU64::new(0), drawn: AtomicU64::new(0) };
        let clock = Arc::new(clock);
        let time = Arc::clone(&clock);
        let db = open(folder.path().join("errand.db"), Arc::new(move || time.now()));
        let now = clock.now();
        db.migrate(MIGRATIONS, now.0).await.unwrap();
        let (team, agent) = (TeamId(clock.id(now)), AgentId(clock.id(now)));
        let build = BuildId(clock.id(now));
        let mut data = json!({ "model": "scripted", "input": "Do it.", "files": [], "skills": [] });
        for (key, value) in config.as_object().unwrap() {
            data[key] = value.clone();
        }
        let new = NewBuild {
            id: build,
            agent,
            name: "build".into(),
            config: json!({ "version": "v1", "data": data }).to_string(),
            submitted: "{}".into(),
            sealed: None,
            created_at: now,
        };
        let assignment = Agent { id: agent, team, name: "worker".into(), created_at: now, updated_at: now };
        let furnish = async move |tx: &mut storage::Tx<'_>| {
            teams::insert(tx, team, "ours", now).await?;
            agents::insert(tx, &assignment).await?;
            builds::insert(tx, team, new).await
        };
        db.write::<_, StoreError, _>(furnish).await.unwrap();
        Self { db, bell: Bell::default(), clock, team, agent, build, folder, known: None }
    }

    /// With a way to MCP servers on this machine, of which the operator knows these.
    pub(crate) fn knowing(self, known: BTreeMap<String, Known>) -> Self {
        Self { known: Some(known), ..self }
    }

    fn mcp(&self, limits: &Limits) -> Option<engine::Mcp> {
        let known = self.known.clone()?;
        let client = egress::Client::new(egress::Policy::new("127.0.0.0/8".parse().unwrap())).unwrap();
        let ambient = Arc::clone(&self.clock) as Arc<dyn Ambient>;
        let keyring = Keyring { master: MasterKey::draw(&*ambient), ambient };
        Some(engine::Mcp { servers: Servers::new(client, known, Duration::from_millis(limits.tool_ms)), keyring })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// From now on everybody's clock is so far ahead.
    pub(crate) fn be_ahead(&self, by: Duration) {
        self.clock.ahead.store(u64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }

    pub(crate) fn id(&self) -> Uuid {
        self.clock.id(self.now())
    }

    /// An engine with the usual settings.
    pub(crate) fn engine(&self, model: impl Model) -> Engine {
        self.engine_with(model, Limits::default(), Settings::default())
    }

    pub(crate) fn engine_with(&self, model: impl Model, limits: Limits, settings: Settings) -> Engine {
        self.engine_on(self.db.clone(), self.workspaces(), model, limits, settings)
    }

    /// An engine to which this happens on its way to the store.
    pub(crate) fn engine_under(&self, weather: Arc<dyn Weather>, model: impl Model) -> Engine {
        let db = self.db.under(weather);
        self.engine_on(db, self.workspaces(), model, Limits::default(), Settings::default())
    }

    /// An engine with a way of its own to the store and to the files.
    pub(crate) fn engine_on(
        &self,
        db: Db,
        workspaces: Workspaces,
        model: impl Model,
        limits: Limits,
        settings: Settings,
    ) -> Engine {
        Engine::start(Parts {
            db,
            bell: self.bell.clone(),
            ambient: Arc::clone(&self.clock) as Arc<dyn Ambient>,
            model: Arc::new(model),
            workspaces,
            mcp: self.mcp(&limits),
            more_tools: None,
            pdf: PdfReader::new("no-pdf-here".into()),
            limits,
            settings,
            meters: engine::Meters::default(),
        })
    }

    /// A new run, and the bell.
    pub(crate) async fn start(&self, message: Option<&str>) -> RunId {
        self.start_with(message, false).await
    }

    pub(crate) async fn start_with(&self, message: Option<&str>, webhook: bool) -> RunId {
        let now = self.now();
        let id = RunId(self.id());
        let team = self.team;
        let sandbox =
            Sandbox { id: format!("sbx_{}", id.0.simple()), team, created_at: now, expires_at: now.plus_ms(1_000_000) };
        let new = NewRun {
            id,
            agent: self.agent,
            build: self.build,
            sandbox: sandbox.id.clone(),
            title: "job".into(),
            source: "api",
            webhook: webhook.then(|| ("https://example.com/hook".into(), "https://example.com".into())),
            message: message.map(|text| Said { id: self.id(), text: text.into() }),
            created_at: now,
        };
        let accept = async move |tx: &mut storage::Tx<'_>| {
            sandboxes::insert(tx, &sandbox).await?;
            runs::insert(tx, team, new).await
        };
        self.db.write::<_, StoreError, _>(accept).await.unwrap();
        self.bell.ring_work();
        id
    }

    /// As the API does it: into the inbox, then the bells.
    pub(crate) async fn tell(&self, run: RunId, event: Event) {
        let (team, now) = (self.team, self.now());
        self.db.write(async move |tx| runs::tell(tx, team, run, &event, now).await).await.unwrap();
        self.bell.ring_run(run.0);
        self.bell.ring_work();
    }

    pub(crate) async fn say(&self, run: RunId, text: &str) {
        self.tell(run, Event::MessageReceived(Said { id: self.id(), text: text.into() })).await;
    }

    pub(crate) async fn stop(&self, run: RunId) {
        self.tell(run, Event::Interrupted { by: "stop_request".into() }).await;
    }

    pub(crate) async fn row(&self, run: RunId) -> RunRow {
        self.db.read(async |tx| runs::get(tx, self.team, run).await).await.unwrap().unwrap()
    }

    pub(crate) async fn journal(&self, run: RunId) -> Vec<Event> {
        let entries = self.db.read(async |tx| journal::replay(tx, run).await).await.unwrap();
        entries.into_iter().map(|entry| entry.event).collect()
    }

    /// The kinds of its journal, in order.
    pub(crate) async fn kinds(&self, run: RunId) -> Vec<&'static str> {
        self.journal(run).await.iter().map(Event::kind).collect()
    }

    pub(crate) async fn inbox_is_empty(&self, run: RunId) -> bool {
        self.db.read(async |tx| runs::inbox(tx, run, 0).await).await.unwrap().is_empty()
    }

    /// In how many milliseconds the next run is due.
    pub(crate) async fn next_due(&self) -> Option<u64> {
        self.db.read(async |tx| work::next_due(tx).await).await.unwrap().map(|due| due.in_ms)
    }

    /// What takes one run for so long.
    pub(crate) fn claiming(&self, lease_ms: u64) -> Claiming {
        Claiming {
            token: self.id(),
            now: self.now(),
            lease_ms,
            most: 1,
            stops_only: false,
            team_most: None,
            suspect_from: 1_000,
            suspect: true,
        }
    }

    /// Waits until the run has this status; answers how long that took.
    pub(crate) async fn until(&self, run: RunId, status: &str) -> Duration {
        let began = Instant::now();
        while self.row(run).await.status.word() != status {
            assert!(began.elapsed() < PATIENCE, "expected {status}: {:?}", self.journal(run).await);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        began.elapsed()
    }

    /// Waits until its journal has `count` entries of this kind.
    pub(crate) async fn until_journaled(&self, run: RunId, kind: &str, count: usize) {
        let began = Instant::now();
        while self.kinds(run).await.iter().filter(|seen| **seen == kind).count() < count {
            assert!(began.elapsed() < PATIENCE, "expected {count} {kind}: {:?}", self.journal(run).await);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// All files.
    pub(crate) fn workspaces(&self) -> Workspaces {
        Workspaces::new(self.folder.path().join("sandboxes"))
    }

    /// The same, where all files of a team may have so many bytes.
    pub(crate) fn bounded(&self, team_bytes: u64) -> Workspaces {
        Workspaces::with_quota(self.folder.path().join("sandboxes"), Quota { team_bytes, ..Quota::default() })
    }

    /// Where a file of the run's sandbox lies on the disk.
    pub(crate) fn file(&self, run: RunId, name: &str) -> PathBuf {
        self.folder.path().join(format!("sandboxes/sbx_{}", run.0.simple())).join(name)
    }

    /// As the next start does after a crash.
    pub(crate) async fn free_all(&self) {
        self.db.write(async |tx| work::free_all(tx).await).await.unwrap();
    }

    /// The words of the last entry, which says why the run failed.
    pub(crate) async fn cause(&self, run: RunId) -> (String, String) {
        match self.journal(run).await.pop() {
            Some(Event::Failed { cause }) => (cause.code, cause.message),
            other => panic!("expected a cause, found {other:?}"),
        }
    }
}

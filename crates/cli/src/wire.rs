//! Where the rooms meet: a database, an engine and a server in one process, for [`crate::serve`] and [`crate::demo`].
//!
//! The order of opening is the order of refusing: folder, locks, database, schema, master key, API keys. Nothing moves before all of them are there.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agent::models::Model;
use agent::tools::MoreTools;
use agent::tools::pdf::PdfReader;
use agent::workspace::{Bucket, BucketSettings, Credentials, Workspaces};
use anyhow::Context;
use clap::ValueEnum;
use domain::api_keys::{self, ApiKey, Scopes};
use domain::{Ambient, ApiKeyId, TeamId, Timestamp, audit};
use engine::Engine;
use serde_json::{Value, json};
use server::{Door, Tls};
use storage::master_keys::Keyring;
use storage::{Bell, DataLock, Db, MIGRATIONS, Settings, StoreError, Tx, hints, settings, teams, webhooks, work};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::ambient::SystemAmbient;
use crate::config::{Config, Database, Files};
use crate::folders::{make_private, node_name, open_sandboxes, warn_if_shared};
use crate::keys;
use crate::master_key::at_hand;
use crate::meters::Page;
use crate::restore;
use crate::telemetry::Telemetry;
use crate::traces::Exporter;

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Serve the API and run Jobs.
    All,
    /// Serve the API only.
    Api,
    /// Run Jobs only; it listens for the probes /healthz and /readyz.
    Worker,
}

/// How long webhooks that are on their way may take at the end. One that takes longer is sent again by whoever comes next.
const WEBHOOK_GRACE: Duration = Duration::from_secs(3);
/// How long the last spans may take to reach their collector.
const SPANS_GRACE: Duration = Duration::from_secs(3);
/// How often the clock is compared.
const SYNC: Duration = Duration::from_secs(10);
/// Further away than this is worth a warning, in milliseconds.
const FAR_MS: i64 = 1_000;

/// An opened data folder, with nothing running on it yet.
pub(crate) struct House {
    db: Db,
    ambient: Arc<SystemAmbient>,
    locks: Vec<DataLock>,
    keyring: Keyring,
    server_key: [u8; 32],
    files: Opened,
    /// The key that the first start made, which nobody can be shown again.
    pub(crate) new_key: Option<String>,
}

/// Where the files of sandboxes are, once that was tried out.
enum Opened {
    Folder(PathBuf),
    Bucket(Bucket),
}

/// Where a server is reached.
pub(crate) struct Doors {
    /// The API.
    pub(crate) api: TcpListener,
    /// With TLS that ends here, or without.
    pub(crate) tls: Option<Tls>,
    /// The metrics, if they are shown.
    pub(crate) metrics: Option<TcpListener>,
}

/// A server at work.
pub(crate) struct Running {
    db: Db,
    engine: Option<Engine>,
    delivering: server::Delivering,
    aside: Vec<JoinHandle<()>>,
    exporter: Option<Arc<Exporter>>,
    ready: Arc<AtomicBool>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    _locks: Vec<DataLock>,
}

impl House {
    /// Opens the data folder of `config`, making what is not there. `own_key` is made valid; without it and without any key, one is made.
    ///
    /// # Errors
    /// In words for the operator: the folder is in use, the schema is another version's, the key is too weak.
    pub(crate) async fn open(config: &Config, own_key: Option<&str>) -> anyhow::Result<Self> {
        if let Some(Err(weak)) = own_key.map(api_keys::check_own) {
            anyhow::bail!("ERRAND_API_KEY: {weak}");
        }
        at_hand::refuse_none(config)?;
        let folder = &config.data_dir;
        make_private(folder).with_context(|| format!("the data folder {}", folder.display()))?;
        let files = match &config.files {
            Files::Folder(folder) => {
                open_sandboxes(config, folder)?;
                Opened::Folder(folder.clone())
            }
            Files::Bucket(settings, credentials) => Opened::Bucket(open_bucket(settings, credentials.as_ref()).await?),
        };
        let (db, ambient, locks) = open_alone(config).await?;
        let now = ambient.now();
        faults::point("start.opened");
        db.migrate(MIGRATIONS, now.0).await.with_context(|| config.database.to_string())?;
        db.end_idle_sessions().await.with_context(|| config.database.to_string())?;
        faults::point("start.migrated");
        // Before anything moves: a node with a wrong key must not begin.
        let keyring = at_hand::found(config, &db, Arc::clone(&ambient) as Arc<dyn Ambient>).await?;
        at_hand::seal_clear(&db, &keyring).await?;
        if !db.is_shared() {
            // The locks are ours, so whoever held these claims is gone.
            db.write(async move |tx| {
                webhooks::free_all(tx).await?;
                work::free_all(tx).await
            })
            .await?;
        }
        faults::point("start.freed");
        let mut fresh = [0; 32];
        ambient.random(&mut fresh);
        let new = NewKey {
            team: TeamId(ambient.id(now)),
            id: ApiKeyId(ambient.id(now)),
            key: api_keys::from_random(fresh),
            now,
        };
        let own = own_key.map(str::to_owned);
        let new_key = db.write(async move |tx| admit(tx, own, new).await).await?;
        let keys = keyring.clone();
        let server_key = db.write(async move |tx| settings::found_server_key(tx, &keys).await).await?;
        faults::point("start.admitted");
        Ok(Self { db, ambient, locks, keyring, server_key, files, new_key })
    }

    /// Closes it again, with nothing started.
    pub(crate) async fn close(self) {
        self.db.close().await;
    }

    /// Starts what the role asks for.
    pub(crate) fn start(
        self,
        config: Config,
        role: Role,
        model: Arc<dyn Model>,
        doors: Doors,
        telemetry: &Telemetry,
    ) -> anyhow::Result<Running> {
        let Self { db, ambient, locks, keyring, server_key, files, .. } = self;
        let Doors { api: listener, tls, metrics } = doors;
        let mut policy = egress::Policy::new(config.egress).never(listener.local_addr()?);
        if let Some(metrics) = &metrics {
            policy = policy.never(metrics.local_addr()?);
        }
        let egress = egress::Client::new(policy)?;
        let Telemetry { meters, exporter, .. } = telemetry.clone();
        let node = db.is_shared().then(|| node_name(&config.data_dir, ambient.as_ref())).transpose()?;
        if let Some(node) = &node {
            telemetry.name_node(node);
        }
        let workspaces = match (files, node) {
            (Opened::Bucket(bucket), _) => Workspaces::in_bucket(bucket, config.quota),
            (Opened::Folder(folder), Some(_)) => {
                // Not the node's name: a copied data folder has the same.
                Workspaces::shared(folder, config.quota, ambient.id(ambient.now()))
            }
            (Opened::Folder(folder), None) => Workspaces::with_quota(folder, config.quota),
        };
        let bell = Bell::default();
        telemetry.set_clock(&ambient);
        let mut aside = vec![
            tokio::spawn(keep_time(db.clone(), Arc::clone(&ambient))),
            tokio::spawn(hints::carry(db.clone(), bell.clone())),
        ];
        let ambient: Arc<dyn Ambient> = ambient;
        let tool_time = Duration::from_millis(config.limits.tool_ms);
        let mcp =
            engine::Mcp { servers: mcp::Servers::new(egress.clone(), config.mcp, tool_time), keyring: keyring.clone() };
        let pinner = engine::Pinner::new(db.clone(), Arc::clone(&ambient), mcp.clone());
        let parts = engine::Parts {
            db: db.clone(),
            bell: bell.clone(),
            ambient: Arc::clone(&ambient),
            model,
            workspaces: workspaces.clone(),
            mcp: Some(mcp),
            more_tools: more_tools(),
            pdf: PdfReader::new(own_program()?),
            limits: config.limits,
            settings: config.engine,
            meters: meters.engine.clone(),
        };
        let engine = (role != Role::Api).then(|| Engine::start(parts));
        let ready = Arc::new(AtomicBool::new(true));
        let deliveries = server::Deliveries {
            db: db.clone(),
            bell: bell.clone(),
            ambient: Arc::clone(&ambient),
            client: egress.clone(),
            key: server_key,
            meters: meters.server.clone(),
        };
        if let Some(listener) = metrics {
            let page = Arc::new(Page::new(&meters, db.clone(), Arc::clone(&ambient)));
            let show = move || {
                let page = Arc::clone(&page);
                async move { page.text().await }
            };
            aside.push(tokio::spawn(server::serve_metrics(listener, show)));
        }
        let app = server::App {
            db: db.clone(),
            bell,
            ambient,
            keyring,
            egress,
            build_made: Arc::new(move |team, build| pinner.pin_soon(team, build)),
            files: Arc::new(workspaces),
            upload_urls: server::UploadUrls {
                seal: domain::uploads::Seal::derive(&server_key),
                public_url: config.public_url,
                lifetime: config.upload_url_lifetime,
                most: config.upload_bytes,
            },
            defaults: config.defaults,
            requests_per_minute: config.requests_per_minute,
            api: role != Role::Worker,
            ready: Arc::clone(&ready),
            meters: meters.server,
        };
        let (stop, stopped) = oneshot::channel();
        let stopped = async move {
            // A dropped sender means stop as well.
            let _ = stopped.await;
        };
        let door = Door { limits: config.connections, tls };
        let serving = tokio::spawn(server::serve(listener, app, door, stopped));
        let delivering = deliveries.start();
        Ok(Running { db, engine, delivering, aside, exporter, ready, stop, serving, _locks: locks })
    }
}

impl Running {
    /// Waits for the server, the engine or the deliverer to end by itself, which they do only when they fail. A node of which one is missing would
    /// look as if it worked.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        let engine = async {
            match &mut self.engine {
                Some(engine) => engine.failed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = &mut self.serving => match ended {
                Ok(()) => anyhow::anyhow!("the server ended although nobody told it to"),
                Err(broken) => anyhow::Error::new(broken).context("the server broke"),
            },
            broken = engine => anyhow::Error::new(broken).context("the engine broke"),
            broken = self.delivering.failed() => anyhow::Error::new(broken).context("the delivery of webhooks broke"),
        }
    }

    /// Ends in good order: not ready, no new claims, steps in flight end within `grace`, connections, database.
    pub(crate) async fn close(self, grace: Duration) {
        self.ready.store(false, Ordering::Relaxed);
        if let Some(engine) = self.engine {
            engine.drain(grace).await;
        }
        // It may be gone already.
        let _ = self.stop.send(());
        let (serving, ()) = tokio::join!(self.serving, self.delivering.drain(WEBHOOK_GRACE));
        if let Err(error) = serving {
            tracing::error!(%error, "the server did not end in good order");
        }
        for task in self.aside {
            task.abort();
        }
        if let Some(exporter) = self.exporter {
            // It waits for its own thread. Whatever is late is lost: nobody waits for a collector.
            let flushed = tokio::task::spawn_blocking(move || exporter.flush(SPANS_GRACE));
            let _ended = tokio::time::timeout(SPANS_GRACE, flushed).await;
        }
        self.db.close().await;
    }
}

/// What the first start may need.
struct NewKey {
    team: TeamId,
    id: ApiKeyId,
    key: String,
    now: Timestamp,
}

/// Sees to it that there is a team and a valid key; answers a key that was made.
async fn admit(tx: &mut Tx<'_>, own: Option<String>, new: NewKey) -> Result<Option<String>, StoreError> {
    teams::hold(tx).await?;
    let team = if let Some(team) = teams::first(tx).await? {
        team
    } else {
        found_team(tx, new.team, "default", new.now).await?;
        new.team
    };
    let made = |key: &str, name: &str| ApiKey {
        id: new.id,
        team,
        name: name.to_owned(),
        hash: api_keys::hash(key),
        scopes: Scopes::ALL,
        requests_per_minute: None,
        created_at: new.now,
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    };
    match own {
        Some(own) => {
            let hash = api_keys::hash(&own);
            if let Some((id, team)) = storage::api_keys::restore(tx, hash).await? {
                let key = storage::api_keys::get(tx, team, id).await?;
                note(tx, team, new.now, "key.restore", id, key.as_ref().map(keys::document)).await?;
            } else if storage::api_keys::find(tx, hash).await?.is_none() {
                keys::add(tx, &made(&own, "ERRAND_API_KEY")).await?;
            }
            Ok(None)
        }
        None if storage::api_keys::list(tx, team).await?.is_empty() => {
            keys::add(tx, &made(&new.key, "first start")).await?;
            Ok(Some(new.key))
        }
        None => Ok(None),
    }
}

/// Adds a team, and says so in its audit log.
pub(crate) async fn found_team(tx: &mut Tx<'_>, id: TeamId, name: &str, now: Timestamp) -> Result<(), StoreError> {
    teams::insert(tx, id, name, now).await?;
    note(tx, id, now, "team.create", id, Some(json!({ "id": id, "name": name }))).await
}

/// Writes into a team's audit log what the operator did to something that looks like `now_is`.
pub(crate) async fn note(
    tx: &mut Tx<'_>,
    team: TeamId,
    now: Timestamp,
    what: &'static str,
    object: impl Display,
    now_is: Option<Value>,
) -> Result<(), StoreError> {
    let change = audit::Change {
        who: audit::Who::Operator,
        what,
        object: object.to_string(),
        before: None,
        after: now_is.map(|is| audit::hash(is.to_string().as_bytes())),
        request_id: None,
    };
    storage::audit::append(tx, team, now, change).await
}

/// The lock of the data folder, and that of the database's own folder if it lies elsewhere: two servers on one database would take each other's
/// Jobs for those of a dead process.
pub(crate) fn take_locks(folder: &Path, database: &Path) -> anyhow::Result<Vec<DataLock>> {
    let mut locks = vec![DataLock::take(folder)?];
    // A link leads to the folder of what it names.
    let file = database.canonicalize().unwrap_or_else(|_| database.to_owned());
    let beside = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let real = |path: &Path| path.canonicalize().with_context(|| path.display().to_string());
    if real(beside)? != real(folder)? {
        let lock = DataLock::take(beside).with_context(|| {
            format!("the database {} (--database-url) needs the folder it lies in for itself", database.display())
        })?;
        locks.push(lock);
    }
    Ok(locks)
}

/// Reaches the bucket, and tries out whether it is fit for files.
pub(crate) async fn open_bucket(
    settings: &BucketSettings,
    credentials: Option<&Credentials>,
) -> anyhow::Result<Bucket> {
    let credentials = credentials
        .context("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: expected both, for the bucket of [sandboxes.s3]")?;
    let ambient = SystemAmbient::new();
    let bucket = Bucket::new(settings, credentials)?;
    bucket.probe(ambient.id(ambient.now())).await?;
    Ok(bucket)
}

/// Opens the database for a server: on SQLite for it alone.
async fn open_alone(config: &Config) -> anyhow::Result<(Db, Arc<SystemAmbient>, Vec<DataLock>)> {
    let folder = &config.data_dir;
    let locks = match &config.database {
        Database::Sqlite(path) => take_locks(folder, path)?,
        Database::Postgres(_) => vec![DataLock::take(folder)?],
    };
    if let Some(left) = restore::unfinished(config) {
        anyhow::bail!("{} is of a restore that did not end: {}", left.display(), restore::FINISH);
    }
    let (db, ambient) = open_database(&config.database).await?;
    warn_if_shared(folder);
    if let Some(files) = config.files.folder().filter(|files| !files.starts_with(folder)) {
        warn_if_shared(files);
    }
    if let Database::Sqlite(path) = &config.database
        && !path.starts_with(folder)
    {
        warn_if_shared(path);
    }
    Ok((db, ambient, locks))
}

/// Opens a database, whose schema is still to be looked at, and a clock that follows its time. A file that is not there is made for its owner
/// only; SQLite gives the files that it puts beside it the same mode.
pub(crate) async fn open_database(database: &Database) -> anyhow::Result<(Db, Arc<SystemAmbient>)> {
    let ambient = Arc::new(SystemAmbient::new());
    let db = match database {
        Database::Sqlite(path) => {
            let name = || path.display().to_string();
            OpenOptions::new().append(true).create(true).mode(0o600).open(path).with_context(name)?;
            let clock = Arc::clone(&ambient);
            Db::open(&Settings::new(path, Arc::new(move || clock.now()))).with_context(name)?
        }
        Database::Postgres(settings) => {
            let db = Db::connect(settings.clone()).await.with_context(|| settings.place())?;
            ambient.set(work::time(&db).await?);
            db
        }
    };
    Ok((db, ambient))
}

/// Keeps this node's clock by the database's, or by the wall where the database has none of its own.
async fn keep_time(db: Db, ambient: Arc<SystemAmbient>) {
    let mut told = false;
    loop {
        tokio::time::sleep(SYNC).await;
        let ahead = if db.is_shared() {
            match work::time(&db).await {
                Ok(time) => ambient.follow(time),
                Err(error) => {
                    tracing::debug!(%error, "the database does not tell the time");
                    continue;
                }
            }
        } else {
            ambient.follow_the_wall()
        };
        let far = ahead.abs() > FAR_MS;
        if far && !told {
            tracing::warn!(ahead_ms = ahead, "the clock was set: this server's own time comes nearer slowly");
        }
        told = far;
    }
}

/// The cryptography of all TLS connections; a process chooses once.
pub(crate) fn install_tls() {
    // An error only means that it was chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Tools beside the built-in ones: in this version only the fault suites have one.
#[cfg(not(feature = "faults"))]
fn more_tools() -> Option<Arc<dyn MoreTools>> {
    None
}

#[cfg(feature = "faults")]
fn more_tools() -> Option<Arc<dyn MoreTools>> {
    crate::ledger::tools()
}

/// This very program, also after an upgrade has put another one in its place.
fn own_program() -> anyhow::Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { Ok(running) } else { std::env::current_exe().context("this program's own path") }
}

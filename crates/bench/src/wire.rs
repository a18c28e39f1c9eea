//! A server wired of the real rooms, as `cli` does it, but for the model, which is scripted, and the files of sandboxes, which no row touches.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use agent::models::{Model, TurnRequest};
use agent::tools::pdf::PdfReader;
use agent::workspace::{Quota, Workspaces};
use axum::Router;
use domain::Ambient;
use domain::builds::Defaults;
use domain::limits::Limits;
use domain::sandboxes::{FileError, FileInfo, Files, Incoming, SandboxPath};
use engine::{Engine, Parts};
use server::App;
use storage::{Bell, Db, hints, work};
use testkit::scripted::{ScriptedModel, Turn};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::ambient::SystemAmbient;
use crate::store::Store;

/// How often a node asks the database for the time, as in the product.
const SYNC: Duration = Duration::from_secs(5);

/// A server at work in this process; it works as long as this lives.
pub(crate) struct Wired {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its database.
    pub(crate) db: Db,
    engine: Engine,
    aside: Vec<JoinHandle<()>>,
}

impl Wired {
    /// Ends all but its listener: for whoever is about to take its database away.
    pub(crate) async fn end(self) {
        self.aside.iter().for_each(JoinHandle::abort);
        self.engine.abandon();
        self.db.close().await;
    }
}

/// Starts a whole server on a filled database, on a free port.
pub(crate) async fn start(
    dir: &Path,
    store: &Store,
    model: Arc<dyn Model>,
    concurrency: usize,
) -> anyhow::Result<Wired> {
    let db = store.open().await?;
    let bell = Bell::default();
    let ambient: Arc<dyn Ambient> = Arc::new(SystemAmbient::new());
    let (sandboxes, mut aside) = (dir.join("sandboxes"), vec![]);
    let workspaces = if db.is_shared() {
        // What a node of the product does beside its engine: it costs queries, and without rings nodes would hear of each other only by polling.
        aside.push(tokio::spawn(hints::carry(db.clone(), bell.clone())));
        aside.push(tokio::spawn(ask_the_time(db.clone())));
        Workspaces::shared(sandboxes, Quota::default(), ambient.id(ambient.now()))
    } else {
        Workspaces::new(sandboxes)
    };
    let engine = Engine::start(Parts {
        db: db.clone(),
        bell: bell.clone(),
        ambient: Arc::clone(&ambient),
        model,
        workspaces,
        mcp: None,
        more_tools: None,
        pdf: PdfReader::new(std::env::current_exe()?),
        limits: Limits::default(),
        settings: engine::Settings { concurrency, ..engine::Settings::default() },
        meters: engine::Meters::default(),
    });
    let master = domain::master_key::MasterKey::draw(ambient.as_ref());
    let app = App {
        db: db.clone(),
        bell,
        // Nothing that a bench does is secret.
        keyring: storage::master_keys::Keyring { master, ambient: Arc::clone(&ambient) },
        ambient,
        files: Arc::new(NoFiles),
        upload_urls: server::UploadUrls {
            seal: domain::uploads::Seal::derive(&[0; 32]),
            public_url: None,
            lifetime: Duration::from_hours(1),
            most: 1 << 30,
        },
        defaults: Defaults::default(),
        build_made: Arc::new(|_, _| {}),
        egress: egress::Client::new(egress::Policy::new(egress::Allow::default()))?,
        requests_per_minute: 0,
        api: true,
        ready: Arc::new(AtomicBool::new(true)),
        meters: server::Meters::default(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // As in the product, which accepts connections on its main thread; each is then served by the runtime.
    let runtime = Handle::current();
    thread::Builder::new().name("accepts".to_owned()).spawn(move || {
        runtime.block_on(server::serve(listener, app, server::Door::default(), std::future::pending()));
    })?;
    Ok(Wired { address, db, engine, aside })
}

/// The nodes of a bench share one clock, so what is answered changes nothing.
async fn ask_the_time(db: Db) {
    loop {
        tokio::time::sleep(SYNC).await;
        if let Err(error) = work::time(&db).await {
            eprintln!("errand-bench: the database does not tell the time: {error}");
        }
    }
}

/// Starts the yardstick on a free port.
pub(crate) async fn serve_bare(router: Router) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok(address)
}

/// A scripted model that tells when a turn begins: what a provider would see as the first byte of its request.
pub(crate) struct Tapped<F> {
    model: ScriptedModel,
    begins: F,
}

impl<F: Fn() + Send + Sync + 'static> Tapped<F> {
    /// Calls `begins` before each turn of `model`.
    pub(crate) fn new(model: ScriptedModel, begins: F) -> Self {
        Self { model, begins }
    }
}

impl<F: Fn() + Send + Sync + 'static> Model for Tapped<F> {
    fn turn<'a>(&'a self, request: TurnRequest<'a>) -> std::pin::Pin<Box<dyn Future<Output = Turn> + Send + 'a>> {
        (self.begins)();
        self.model.turn(request)
    }
}

/// The model of the bench reads and writes no files, and no row asks for any.
struct NoFiles;

impl NoFiles {
    fn refused<T>() -> Result<T, FileError> {
        Err(FileError::Io("the bench serves no files".to_owned()))
    }
}

impl Files for NoFiles {
    fn list(&self, _: &str, _: &SandboxPath) -> Result<Vec<FileInfo>, FileError> {
        Self::refused()
    }

    fn read(&self, _: &str, _: &SandboxPath) -> Result<Vec<u8>, FileError> {
        Self::refused()
    }

    fn write(&self, _: &str, _: &SandboxPath, _: &[u8]) -> Result<(), FileError> {
        Self::refused()
    }

    fn remove(&self, _: &str, _: &SandboxPath) -> Result<(), FileError> {
        Self::refused()
    }

    fn used(&self, _: &str) -> Result<u64, FileError> {
        Self::refused()
    }

    fn team_bytes(&self) -> u64 {
        0
    }

    fn begin(&self, _: &str, _: &SandboxPath, _: u64) -> Result<Box<dyn Incoming>, FileError> {
        Self::refused()
    }
}

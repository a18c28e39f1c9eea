//! # server
//!
//! **Holds** HTTP in and out: the routes of the v1 API and its extensions, their documentation, authentication, strict reading of what comes in, and the one
//! table from errors to status codes.
//!
//! **May** authenticate, translate, answer; commit a new row or an entry of a run's inbox, and ring the bell. **May not** change a run, call a
//! model, or know the rooms `agent` and `engine`.
//!
//! Start at `router.rs`, the table of contents: each URL leads to the file of its noun, and to what is said of it under `operations/`, of which
//! `openapi.rs` makes the API's document. `accept.rs` and `connections.rs` stand before it: how clients come in, and how slow they may be. `auth.rs` says who may enter, `change.rs` how anything is changed, `errors.rs` how it
//! looks when something is wrong.

mod accept;
mod agents;
mod auth;
mod body;
mod builds;
mod change;
mod connections;
mod dead_letters;
mod documentation;
mod edge;
mod errors;
mod events;
mod files;
mod health;
mod human_requests;
mod limits;
mod messages;
mod meters;
mod metrics;
mod openapi;
mod operations;
mod path;
mod places;
mod query;
mod quota;
mod rates;
mod router;
mod runs;
mod sandboxes;
mod strangers;
mod tls;
mod upload_urls;
mod uploads;
mod webhooks;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use domain::builds::Defaults;
use domain::sandboxes::Files;
use domain::{Ambient, ApiKeyId};
use storage::master_keys::Keyring;
use storage::{Bell, Db};
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use crate::documentation::{older_openapi_document, openapi_document};
pub use crate::limits::{Limits, raise_open_files};
pub use crate::meters::Meters;
pub use crate::metrics::serve_metrics;
pub use crate::rates::REQUESTS_PER_MINUTE;
pub use crate::tls::Tls;
pub use crate::upload_urls::UploadUrls;
pub use crate::webhooks::{Deliveries, Delivering};

/// How long requests that are under way may go on once the server was told to stop.
pub const DRAIN: Duration = Duration::from_secs(10);

/// What the API needs of the rest of the program.
#[derive(Clone)]
pub struct App {
    /// Where everything is.
    pub db: Db,
    /// Rung after each commit that gives a worker something to do.
    pub bell: Bell,
    /// Time, ids, chance.
    pub ambient: Arc<dyn Ambient>,
    /// What secrets are sealed with.
    pub keyring: Keyring,
    /// The files of sandboxes.
    pub files: Arc<dyn Files>,
    /// How upload URLs are made.
    pub upload_urls: UploadUrls,
    /// What is filled in where a submitted config leaves a gap.
    pub defaults: Defaults,
    /// The way out, for URLs of users.
    pub egress: egress::Client,
    /// Told of each Build that is made and names tools of servers.
    pub build_made: Arc<dyn Fn(domain::TeamId, domain::BuildId) + Send + Sync>,
    /// How many requests a minute a key may make that has no limit of its own; 0 is any number.
    pub requests_per_minute: u32,
    /// Whether the API is served. Without it there are only the two probes, for nodes that do nothing but work.
    pub api: bool,
    /// Whether `/readyz` answers 200. [`serve`] clears it when it is told to stop.
    pub ready: Arc<AtomicBool>,
    /// What is counted.
    pub meters: Meters,
}

/// The whole API as a router, for tests and for other listeners. Event streams then end only with their runs.
pub fn router(app: App) -> Router {
    router::routes(Shared::new(app, Limits::default(), false))
}

/// Serves until `shutdown` is over, then ends event streams, lets other requests finish for up to [`DRAIN`], and returns.
pub async fn serve(listener: TcpListener, app: App, door: Door, shutdown: impl Future<Output = ()>) {
    let shared = Shared::new(app, door.limits.within_open_files(), door.tls.is_some());
    let mut closing = shared.closing.subscribe();
    let told_to_stop = async {
        shutdown.await;
        shared.app.ready.store(false, Ordering::Relaxed);
        shared.closing.send_replace(true);
        std::future::pending::<()>().await;
    };
    let patience = async move {
        drop(closing.wait_for(|closing| *closing).await);
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        () = accept::accept(listener, Arc::clone(&shared), door.tls) => {}
        () = told_to_stop => {}
        () = patience => {
            tracing::warn!("some requests were still open {} s after the stop: they are left", DRAIN.as_secs());
        }
    }
}

/// How clients come in.
#[derive(Debug, Default)]
pub struct Door {
    /// How many, and how slow.
    pub limits: Limits,
    /// With TLS that ends here, or without.
    pub tls: Option<Tls>,
}

/// What every handler is given.
struct Shared {
    app: App,
    limits: Limits,
    /// Whether TLS ends here.
    secure: bool,
    /// Becomes true when the server is told to stop.
    closing: watch::Sender<bool>,
    /// The places of uploads: see `uploads.rs`.
    uploads: places::Places,
    /// The same of files that come by upload URLs: see `upload_urls.rs`.
    streams: places::Places,
    /// How many may come by one URL at once: whoever has it shall not take the team's share.
    senders: places::Shares<String>,
    /// Event streams of each key.
    listeners: places::Shares<ApiKeyId>,
    known_keys: auth::KnownKeys,
    strangers: strangers::Strangers,
    rates: rates::Rates,
    under_way: change::UnderWay,
    request_ids: edge::RequestIds,
}

impl Shared {
    fn new(app: App, limits: Limits, secure: bool) -> Arc<Self> {
        let request_ids = edge::RequestIds::new(app.ambient.as_ref());
        let rates = rates::Rates::new(app.requests_per_minute);
        Arc::new(Self {
            app,
            limits,
            secure,
            closing: watch::Sender::new(false),
            uploads: places::Places::new(uploads::PLACES, uploads::BUSY),
            streams: places::Places::new(upload_urls::PLACES, uploads::BUSY),
            senders: places::Shares::new(upload_urls::SENDERS, upload_urls::BUSY),
            listeners: places::Shares::new(events::STREAMS, events::BUSY),
            known_keys: auth::KnownKeys::default(),
            strangers: strangers::Strangers::default(),
            rates,
            under_way: change::UnderWay::default(),
            request_ids,
        })
    }
}

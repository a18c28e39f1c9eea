//! # server
//!
//! **Holds** HTTP in and out: the routes of the v1 API and its extensions, their documentation, authentication, strict reading of what comes in, and the one
//! table from errors to status codes.
//!
//! **May** authenticate, translate, answer; commit a new row or an entry of a run's inbox, and ring the bell. **May not** change a run, call a
//! model, or know the rooms `agent` and `engine`.
//!
//! Start at `router.rs`, the table of contents: each URL leads to the file of its noun, and to what is said of it under `operations/`, of which
//! `openapi.rs` makes the API's document. `auth.rs` says who may enter, `change.rs` how anything is changed, `errors.rs` how it
//! looks when something is wrong.

mod agents;
mod auth;
mod body;
mod builds;
mod change;
mod dead_letters;
mod documentation;
mod edge;
mod errors;
mod events;
mod files;
mod health;
mod human_requests;
mod messages;
mod openapi;
mod operations;
mod path;
mod query;
mod rates;
mod router;
mod runs;
mod sandboxes;
mod upload_urls;
mod uploads;
mod webhooks;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use domain::Ambient;
use domain::builds::Defaults;
use domain::sandboxes::Files;
use storage::{Bell, Db};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

pub use crate::documentation::{older_openapi_document, openapi_document};
pub use crate::rates::REQUESTS_PER_MINUTE;
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
    /// The files of sandboxes.
    pub files: Arc<dyn Files>,
    /// How upload URLs are made.
    pub upload_urls: UploadUrls,
    /// What is filled in where a submitted config leaves a gap.
    pub defaults: Defaults,
    /// The way out, for URLs of users.
    pub egress: egress::Client,
    /// How many requests a minute a key may make that has no limit of its own; 0 is any number.
    pub requests_per_minute: u32,
    /// Whether the API is served. Without it there are only the two probes, for nodes that do nothing but work.
    pub api: bool,
    /// Whether `/readyz` answers 200. [`serve`] clears it when it is told to stop.
    pub ready: Arc<AtomicBool>,
}

/// The whole API as a router, for tests and for other listeners. Event streams then end only with their runs.
pub fn router(app: App) -> Router {
    router::routes(Shared::new(app))
}

/// Serves until `shutdown` is over, then ends event streams, lets other requests finish for up to [`DRAIN`], and returns.
///
/// # Errors
/// What the listener answers when it fails for good.
pub async fn serve(
    listener: TcpListener,
    app: App,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let shared = Shared::new(app);
    let mut closing = shared.closing.subscribe();
    let told = Arc::clone(&shared);
    let told_to_stop = async move {
        shutdown.await;
        told.app.ready.store(false, Ordering::Relaxed);
        told.closing.send_replace(true);
    };
    // An event is a small packet of its own: it must not wait for the answer to the one before.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
    });
    let serving = axum::serve(listener, router::routes(shared)).with_graceful_shutdown(told_to_stop);
    let patience = async move {
        drop(closing.wait_for(|closing| *closing).await);
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        outcome = serving.into_future() => outcome,
        () = patience => {
            tracing::warn!("some requests were still open {} s after the stop: they are cut off", DRAIN.as_secs());
            Ok(())
        }
    }
}

/// What every handler is given.
struct Shared {
    app: App,
    /// Becomes true when the server is told to stop.
    closing: watch::Sender<bool>,
    /// The places of uploads: see `uploads.rs`.
    uploads: Arc<Semaphore>,
    /// The same of files that come by upload URLs: see `upload_urls.rs`.
    streams: Arc<Semaphore>,
    known_keys: auth::KnownKeys,
    rates: rates::Rates,
    under_way: change::UnderWay,
    request_ids: edge::RequestIds,
}

impl Shared {
    fn new(app: App) -> Arc<Self> {
        let uploads = Arc::new(Semaphore::new(uploads::PLACES));
        let request_ids = edge::RequestIds::new(app.ambient.as_ref());
        let rates = rates::Rates::new(app.requests_per_minute);
        Arc::new(Self {
            app,
            closing: watch::Sender::new(false),
            uploads,
            streams: Arc::new(Semaphore::new(upload_urls::PLACES)),
            known_keys: auth::KnownKeys::default(),
            rates,
            under_way: change::UnderWay::default(),
            request_ids,
        })
    }
}

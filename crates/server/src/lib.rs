//! # server
//!
//! **Holds** HTTP in and out: the routes of the v1 API and its extensions, their documentation, authentication, strict reading of what comes in, and the one
//! table from errors to status codes.
//!
//! **May** authenticate, translate, answer; commit a new row or an entry of a run's inbox, and ring the bell. **May not** change a run, call a
//! model, or know the rooms `agent` and `engine`.
//!
//! Start at `router.rs`, the table of contents: each URL leads to the file of its noun, and to what is said of it under `operations/`, of which
//! `openapi.rs` makes the API's document. `auth.rs` says who may enter, `errors.rs` how it
//! looks when something is wrong.

mod agents;
mod auth;
mod body;
mod builds;
mod documentation;
mod edge;
mod errors;
mod events;
mod health;
mod human_requests;
mod messages;
mod openapi;
mod operations;
mod path;
mod query;
mod router;
mod runs;
mod sandboxes;
mod uploads;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use domain::builds::Defaults;
use domain::sandboxes::Files;
use domain::{Ambient, RunId};
use storage::{Bell, Db, Tx, work};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

pub use crate::documentation::{older_openapi_document, openapi_document};
use crate::errors::ApiError;

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
    /// What is filled in where a submitted config leaves a gap.
    pub defaults: Defaults,
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
    known_keys: auth::KnownKeys,
    request_ids: edge::RequestIds,
}

impl Shared {
    fn new(app: App) -> Arc<Self> {
        let uploads = Arc::new(Semaphore::new(uploads::PLACES));
        let request_ids = edge::RequestIds::new(app.ambient.as_ref());
        let known_keys = auth::KnownKeys::default();
        Arc::new(Self { app, closing: watch::Sender::new(false), uploads, known_keys, request_ids })
    }

    /// Writes something that `run` has to know, and rings once it is committed. Both are done also when the request is dropped half-way, as it is
    /// when its client hangs up: a commit that nobody rang for would wait for the slow poll.
    async fn write_and_ring<T, F>(&self, run: RunId, job: F) -> Result<T, ApiError>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, ApiError> + Send + 'static,
        T: Send + 'static,
    {
        let (db, bell) = (self.app.db.clone(), self.app.bell.clone());
        let written = tokio::spawn(async move {
            let written = db.write(async move |tx: &mut Tx<'_>| {
                // What the job reads of the run holds until it commits.
                work::hold(tx, run).await?;
                faults::point("api.write");
                job(tx).await
            });
            let written = written.await?;
            faults::point("api.written");
            bell.ring_work();
            bell.ring_run(run.0);
            faults::point("api.rung");
            Ok(written)
        });
        written.await.unwrap_or_else(|broken| Err(ApiError::Internal(format!("a write: {broken}"))))
    }
}

//! A receiver of webhooks that keeps all it was sent, and misbehaves on demand.
//!
//! It runs on a thread of its own, so a test may kill whoever delivers and the receiver goes on.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, StreamExt as _};
use tokio::runtime::{Builder, Runtime};

/// A running receiver. When this is dropped it has stopped.
#[derive(Debug)]
pub struct Hook {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Option<Runtime>,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// Where: path and query.
    pub path: String,
    /// `webhook-id`.
    pub id: String,
    /// `webhook-timestamp`.
    pub timestamp: String,
    /// `webhook-signature`.
    pub signature: String,
    /// The whole body.
    pub body: Bytes,
    /// When, as the receiver's own clock has it.
    pub at: Instant,
}

/// What to do with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conduct {
    /// 204.
    Ok,
    /// Another status.
    Status(u16),
    /// 429 with `Retry-After`, in seconds.
    Later(u64),
    /// 307 to there.
    Redirect(String),
    /// Never an answer.
    Hang,
    /// The head of an answer and never its end.
    HangAfterHead,
    /// An answer of so many bytes.
    Huge(usize),
}

/// A conduct made of the path and of how often its `webhook-id` has come, this time included.
pub type Rule = Box<dyn Fn(&str, usize) -> Conduct + Send + Sync>;

struct Shared {
    rule: Rule,
    received: Mutex<Vec<Received>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Hook {
    /// Listens on a free port of this machine.
    pub fn start(rule: impl Fn(&str, usize) -> Conduct + Send + Sync + 'static) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { rule: Box::new(rule), received: Mutex::default() });
        let app = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        let threads = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        threads.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, app).await
        });
        Ok(Self { address, shared, threads: Some(threads) })
    }

    /// The URL of a path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything that came, in order.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many requests came to the path; all of these.
    ///
    /// # Panics
    /// When they take longer than half a minute.
    pub async fn until(&self, path: &str, count: usize) -> Vec<Received> {
        let began = Instant::now();
        loop {
            let came: Vec<_> = self.received().into_iter().filter(|received| received.path == path).collect();
            if came.len() >= count {
                return came;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{path}: {} of {count} requests came", came.len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

async fn receive(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let path = uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let received = Received {
        path: path.clone(),
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body,
        at: Instant::now(),
    };
    let times = {
        let mut all = shared.received.lock().unwrap_or_else(PoisonError::into_inner);
        let id = received.id.clone();
        all.push(received);
        all.iter().filter(|received| received.id == id).count()
    };
    match (shared.rule)(&path, times) {
        Conduct::Ok => StatusCode::NO_CONTENT.into_response(),
        Conduct::Status(status) => StatusCode::from_u16(status).unwrap_or_default().into_response(),
        Conduct::Later(seconds) => {
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds.to_string())]).into_response()
        }
        Conduct::Redirect(to) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
        Conduct::Hang => std::future::pending().await,
        Conduct::HangAfterHead => {
            let first = stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"x"))]);
            Body::from_stream(first.chain(stream::pending())).into_response()
        }
        Conduct::Huge(bytes) => vec![b'x'; bytes].into_response(),
    }
}

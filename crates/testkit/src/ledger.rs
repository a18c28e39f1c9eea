//! A tool server that writes down what was done to it: the only judge of "executed twice".
//!
//! What a server believes of its own calls proves nothing, so this one keeps a log of its own, synced to the disk before it answers, and
//! misbehaves on demand around the one moment that matters: the effect.
//!
//! It runs on threads of its own. A test may block or kill its runtime, and the ledger goes on.
//!
//! Here: the server. Next: `ledger/log.rs` for the file, `ledger/judge.rs` for what must not be in it.

mod judge;
mod log;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

pub use self::judge::duplicates;
use self::log::Log;
pub use self::log::{Entry, read};

/// How long what is under way may take to end when the ledger is dropped.
const END: Duration = Duration::from_secs(5);

/// A running ledger. When this is dropped it has stopped, and its address and file are free for the next one.
#[derive(Debug)]
pub struct Ledger {
    address: SocketAddr,
    path: PathBuf,
    threads: Option<Runtime>,
}

/// One call, as the body of `POST /record` has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The idempotency key.
    pub key: Uuid,
    /// The run that calls.
    pub run: Uuid,
    /// Which call of the run.
    pub call: String,
    /// Whether the tool is declared safe to repeat: then a key has its effect once, however often it arrives.
    pub safe: bool,
    /// What to write down.
    pub line: String,
}

/// What to do with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// The effect, then the answer.
    Ok,
    /// The effect comes late, also when the caller has gone away meanwhile.
    DelayBefore(Duration),
    /// The effect at once, the answer late.
    DelayAfter(Duration),
    /// No effect and never an answer.
    HangBefore,
    /// The effect, but never an answer.
    HangAfter,
    /// The connection closes without an effect.
    CloseBefore,
    /// The effect, then the connection closes without a byte of an answer.
    CloseAfter,
    /// The effect, then an answer of so many bytes, all of it JSON.
    Huge(usize),
    /// The effect, then 200 with bytes that are no JSON.
    Garbage,
    /// No effect, and this status.
    Status(u16),
}

/// A conduct made of the call and of how often its key has arrived, this time included.
pub type Rule = Box<dyn Fn(&Record, usize) -> Conduct + Send + Sync>;

/// How it behaves.
pub enum Behaviour {
    /// The same for each call.
    Always(Conduct),
    /// A conduct for each call, made of it.
    Rule(Rule),
}

struct Shared {
    behaviour: Behaviour,
    book: Mutex<Book>,
}

struct Book {
    log: Log,
    /// Not the log's count: a call whose effect is late has arrived but is not yet written.
    arrivals: HashMap<Uuid, usize>,
}

impl Ledger {
    /// Starts on any free port. A file that is there already is continued, as after a crash.
    pub fn start(path: &Path, behaviour: Behaviour) -> io::Result<Self> {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into(), path, behaviour)
    }

    /// Starts on `address`: for one that comes back where it was.
    pub fn start_on(address: SocketAddr, path: &Path, behaviour: Behaviour) -> io::Result<Self> {
        let log = Log::open(path)?;
        let mut arrivals = HashMap::new();
        for entry in read(path)? {
            *arrivals.entry(entry.key).or_default() += 1;
        }
        let shared = Shared { behaviour, book: Mutex::new(Book { log, arrivals }) };
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let app = Router::new().route("/record", post(record)).with_state(Arc::new(shared));
        let threads = Builder::new_multi_thread().worker_threads(2).thread_name("ledger").enable_all().build()?;
        threads.spawn(async move {
            if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                let _ended = axum::serve(listener, app).await;
            }
        });
        Ok(Self { address, path: path.to_owned(), threads: Some(threads) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL to post records to.
    pub fn url(&self) -> String {
        format!("http://{}/record", self.address)
    }

    /// All that has arrived, read back from the file.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        read(&self.path)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let Some(threads) = self.threads.take() else { return };
        // A runtime refuses to be waited for on a thread of another one, where a test may well be.
        let ended = std::thread::spawn(move || threads.shutdown_timeout(END));
        let _ended = ended.join();
    }
}

async fn record(State(shared): State<Arc<Shared>>, Json(record): Json<Record>) -> Response {
    let conduct = shared.arrived(&record);
    // On a task of its own: what a caller asked for happens, although it hangs up.
    let written = tokio::spawn(async move {
        if let Conduct::DelayBefore(time) = conduct {
            tokio::time::sleep(time).await;
        }
        let effect = !matches!(conduct, Conduct::HangBefore | Conduct::CloseBefore | Conduct::Status(_));
        let mut book = shared.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.log.append(record, effect)
    });
    let (number, applied) = match written.await.map_err(io::Error::other).flatten() {
        Ok(written) => written,
        Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    };
    answer(conduct, number, applied).await
}

async fn answer(conduct: Conduct, number: usize, applied: bool) -> Response {
    match conduct {
        Conduct::Ok | Conduct::DelayBefore(_) => {}
        Conduct::DelayAfter(time) => tokio::time::sleep(time).await,
        Conduct::HangBefore | Conduct::HangAfter => return std::future::pending().await,
        Conduct::CloseBefore | Conduct::CloseAfter => {
            // A body that breaks before its first byte takes the head of the answer with it.
            let broken = stream::once(async { Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionAborted)) });
            return Response::new(Body::from_stream(broken));
        }
        Conduct::Huge(bytes) => return huge(bytes, number, applied),
        Conduct::Garbage => return Response::new(Body::from(&b"{\"applied\": tr\xc3\x28\0 ]\xff"[..])),
        Conduct::Status(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            return (status, Json(json!({ "error": "the ledger was told to refuse this" }))).into_response();
        }
    }
    Json(json!({ "applied": applied, "entry": number })).into_response()
}

/// The answer with padding, piece by piece and without a length in front, so that only a reader who counts is warned.
fn huge(bytes: usize, number: usize, applied: bool) -> Response {
    const PIECE: usize = 64 * 1024;
    let head = format!(r#"{{"applied":{applied},"entry":{number},"padding":""#);
    let padding = bytes.saturating_sub(head.len() + 2);
    let piece = Bytes::from(vec![b'a'; PIECE]);
    let pieces = (0..padding.div_ceil(PIECE)).map(move |n| piece.slice(..PIECE.min(padding - n * PIECE)));
    let all = stream::iter([Bytes::from(head)]).chain(stream::iter(pieces)).chain(stream::iter([Bytes::from("\"}")]));
    let mut response = Response::new(Body::from_stream(all.map(Ok::<_, io::Error>)));
    response.headers_mut().insert("content-type", axum::http::HeaderValue::from_static("application/json"));
    response
}

impl Shared {
    fn arrived(&self, record: &Record) -> Conduct {
        let nth = {
            let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
            let nth = book.arrivals.entry(record.key).or_default();
            *nth += 1;
            *nth
        };
        match &self.behaviour {
            Behaviour::Always(conduct) => *conduct,
            Behaviour::Rule(rule) => rule(record, nth),
        }
    }
}

#[cfg(test)]
mod tests;

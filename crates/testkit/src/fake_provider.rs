//! A stand-in for the model vendors that is true to the wire: it refuses what they refuse and streams events as they do.
//!
//! It speaks Anthropic Messages, OpenAI Responses, OpenAI Chat Completions and Gemini on one port of this machine, and misbehaves on
//! demand. What it says comes from a script, step by step, or from a function of the request: the latter gives the same answer to the same
//! conversation, so that a server may be killed and started again in between.
//!
//! Here: the server. Next: `fake_provider/reply.rs` for what it can say, one module per wire for how.

mod anthropic;
mod bomb;
mod chat;
mod gemini;
mod openai;
mod play;
mod reply;
mod request;
mod responses;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use self::bomb::gzip_bomb;
pub use self::reply::{Arguments, FakeCall, FakeStop, FakeUsage, Reply, Step};
pub use self::request::{Asked, FakeWire};

/// Requests that are kept for assertions; a crash test makes more than anyone wants to read.
const KEPT: usize = 1000;

/// A running fake. It stops when this is dropped.
#[derive(Debug)]
pub struct FakeProvider {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// A step made of a request.
pub type Rule = Box<dyn Fn(&Asked) -> Step + Send + Sync>;

/// Where its answers come from.
pub enum Behaviour {
    /// One step for each request, in order; 500 when there is none left.
    Script(Vec<Step>),
    /// A step for each request, made of it.
    Rule(Rule),
}

struct Shared {
    script: Mutex<VecDeque<Step>>,
    rule: Option<Rule>,
    asked: Mutex<VecDeque<Asked>>,
    models: Mutex<Vec<String>>,
}

impl FakeProvider {
    /// Starts on `address`; port 0 takes any free one.
    pub async fn start(address: SocketAddr, behaviour: Behaviour) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (script, rule) = match behaviour {
            Behaviour::Script(steps) => (steps.into(), None),
            Behaviour::Rule(rule) => (VecDeque::new(), Some(rule)),
        };
        let models = Mutex::new(vec![openai::LOCAL_MODEL.to_owned()]);
        let shared = Arc::new(Shared { script: Mutex::new(script), rule, asked: Mutex::default(), models });
        let app = Router::new().fallback(serve).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            let _ended = axum::serve(listener, app).await;
        });
        Ok(Self { address, shared, server })
    }

    /// Starts on any free port with a script.
    pub async fn scripted(steps: impl IntoIterator<Item = Step>) -> io::Result<Self> {
        Self::start((Ipv4Addr::LOCALHOST, 0).into(), Behaviour::Script(steps.into_iter().collect())).await
    }

    /// Starts on any free port with a rule.
    pub async fn with(rule: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> io::Result<Self> {
        let rule = move |asked: &Asked| Step::Answer(rule(asked));
        Self::start((Ipv4Addr::LOCALHOST, 0).into(), Behaviour::Rule(Box::new(rule))).await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base URL for `ANTHROPIC_BASE_URL` and `GEMINI_BASE_URL`: without a version.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Base URL for `OPENAI_BASE_URL` and compatible servers: with `/v1`.
    pub fn openai_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The latest requests, oldest first, refused ones included.
    pub fn requests(&self) -> Vec<Asked> {
        lock(&self.shared.asked).iter().cloned().collect()
    }

    /// The models that it lists from now on, instead of its one. Names that begin with `fake-model` want no key.
    pub fn list(&self, models: &[&str]) {
        *lock(&self.shared.models) = models.iter().map(|model| (*model).to_owned()).collect();
    }

    /// Adds a step to the script.
    pub fn then(&self, step: impl Into<Step>) {
        lock(&self.shared.script).push_back(step.into());
    }
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if request.method() == Method::GET && request.uri().path() == "/v1/models" {
        return json_response(StatusCode::OK, &openai::list(&lock(&shared.models)));
    }
    let Some((wire, model)) = wire(&request) else {
        return json_response(StatusCode::NOT_FOUND, &json!({ "error": { "message": "no such path" } }));
    };
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let asked = Asked {
        wire,
        model: model.unwrap_or_else(|| body["model"].as_str().unwrap_or_default().to_owned()),
        headers: headers.collect(),
        assistant_turns: wire.assistant_turns(&body),
        body,
    };
    let answer = match wire.check(&asked) {
        Err((status, words)) => Step::Status(status, Vec::new(), wire.error(status, &words)),
        Ok(()) => shared.step(&asked),
    };
    {
        let mut kept = lock(&shared.asked);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(asked.clone());
    }
    play::play(wire, &asked.model, answer).await
}

impl Shared {
    fn step(&self, asked: &Asked) -> Step {
        if let Some(rule) = &self.rule {
            return rule(asked);
        }
        let over = || Step::Status(500, Vec::new(), asked.wire.error(500, "the script is over"));
        lock(&self.script).pop_front().unwrap_or_else(over)
    }
}

/// The language of a request, and the model where the path names it.
fn wire(request: &Request) -> Option<(FakeWire, Option<String>)> {
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/v1/messages") => Some((FakeWire::Messages, None)),
        (&Method::POST, "/v1/responses") => Some((FakeWire::Responses, None)),
        (&Method::POST, "/v1/chat/completions") => Some((FakeWire::Chat, None)),
        (&Method::POST, path) if request.uri().query() == Some("alt=sse") => {
            let model = path.strip_prefix("/v1beta/models/")?.strip_suffix(":streamGenerateContent")?;
            Some((FakeWire::Gemini, Some(model.to_owned())))
        }
        _ => None,
    }
}

impl FakeWire {
    fn check(self, asked: &Asked) -> Result<(), request::Refusal> {
        match self {
            Self::Messages => anthropic::check(asked),
            Self::Responses => responses::check(asked),
            Self::Chat => chat::check(asked),
            Self::Gemini => gemini::check(asked),
        }
    }

    fn assistant_turns(self, body: &Value) -> usize {
        match self {
            Self::Messages => anthropic::assistant_turns(body),
            Self::Responses => responses::assistant_turns(body),
            Self::Chat => chat::assistant_turns(body),
            Self::Gemini => gemini::assistant_turns(body),
        }
    }

    /// An error body as this vendor writes it.
    pub fn error(self, status: u16, words: &str) -> Value {
        match self {
            Self::Messages => anthropic::error(status, words),
            Self::Responses | Self::Chat => openai::error(status, words),
            Self::Gemini => gemini::error(status, words),
        }
    }

    /// The events of a whole answer, as they go over the wire.
    pub fn events(self, model: &str, reply: &Reply) -> Vec<String> {
        match self {
            Self::Messages => anthropic::events(model, reply),
            Self::Responses => responses::events(model, reply),
            Self::Chat => chat::events(model, reply),
            Self::Gemini => gemini::events(model, reply),
        }
    }

    /// An event that says nothing. Only two vendors have one by name; elsewhere it is an event without content.
    fn ping(self) -> String {
        match self {
            Self::Messages => "event: ping\ndata: {\"type\":\"ping\"}\n\n",
            Self::Responses => "event: keepalive\ndata: {\"type\":\"keepalive\",\"sequence_number\":0}\n\n",
            Self::Chat => "data: {\"object\":\"chat.completion.chunk\",\"choices\":[]}\n\n",
            Self::Gemini => "data: {\"candidates\":[]}\r\n\r\n",
        }
        .to_owned()
    }

    /// An error in the middle of a stream.
    fn error_event(self, error: &Value) -> String {
        match self {
            Self::Messages => format!("event: error\ndata: {error}\n\n"),
            Self::Responses => responses::error_event(error),
            Self::Chat | Self::Gemini => format!("data: {error}\n\n"),
        }
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

//! An MCP server that does what a test says: which tools it lists, what a call of one brings. It counts the calls.
//!
//! Streamable HTTP with plain JSON answers, as small servers are; real ones stand in the tests of `mcp`.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What a call brings: the `result` of the answer, or nothing at all, ever.
pub type Effect = Arc<dyn Fn(&Value) -> Option<Value> + Send + Sync>;

/// A running server. It stops when this is dropped.
pub struct McpServer {
    url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    tools: Mutex<Value>,
    effect: Mutex<Effect>,
    calls: Mutex<Vec<Value>>,
    headers: Mutex<Vec<HeaderMap>>,
}

impl McpServer {
    /// Starts with these tools; each call of one is answered with its own arguments.
    pub async fn start(tools: Value) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}/mcp", listener.local_addr()?);
        let echo: Effect = Arc::new(|params| {
            Some(json!({ "content": [{ "type": "text", "text": params["arguments"].to_string() }] }))
        });
        let shared = Arc::new(Shared {
            tools: Mutex::new(tools),
            effect: Mutex::new(echo),
            calls: Mutex::default(),
            headers: Mutex::default(),
        });
        let app = Router::new().route("/mcp", post(answer)).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            let _ended = axum::serve(listener, app).await;
        });
        Ok(Self { url, shared, server })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on it lists these tools.
    pub fn list(&self, tools: Value) {
        *lock(&self.shared.tools) = tools;
    }

    /// From now on a call does this.
    pub fn on_call(&self, effect: impl Fn(&Value) -> Option<Value> + Send + Sync + 'static) {
        *lock(&self.shared.effect) = Arc::new(effect);
    }

    /// Tool and arguments of all calls so far.
    pub fn calls(&self) -> Vec<Value> {
        lock(&self.shared.calls).clone()
    }

    /// The headers of all requests so far.
    pub fn headers(&self) -> Vec<HeaderMap> {
        lock(&self.shared.headers).clone()
    }
}

impl Drop for McpServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, Json(message): Json<Value>) -> Response {
    lock(&shared.headers).push(headers);
    let Some(id) = message.get("id") else { return StatusCode::ACCEPTED.into_response() };
    let result = match message["method"].as_str() {
        Some("initialize") => json!({
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "scripted", "version": "1" },
        }),
        Some("tools/list") => json!({ "tools": lock(&shared.tools).clone() }),
        Some("tools/call") => {
            let (name, arguments) = (&message["params"]["name"], &message["params"]["arguments"]);
            lock(&shared.calls).push(json!({ "name": name, "arguments": arguments }));
            let effect = Arc::clone(&lock(&shared.effect));
            if let Some(result) = effect(&message["params"]) {
                result
            } else {
                tokio::time::sleep(Duration::from_hours(1)).await;
                json!({})
            }
        }
        _ => {
            let error = json!({ "code": -32601, "message": "no such method" });
            return Json(json!({ "jsonrpc": "2.0", "id": id, "error": error })).into_response();
        }
    };
    Json(json!({ "jsonrpc": "2.0", "id": id, "result": result })).into_response()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

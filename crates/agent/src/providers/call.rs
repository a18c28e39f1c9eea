//! One call: send the request, read the stream event by event, within bounds of time and size.
//!
//! Every wire is a [`Wire`] with a module of its own that writes the body and reads the events. Nothing is believed of a server but
//! whole events: not its length, not its pace, not that it ever ends.

use std::time::Duration;

use domain::runs::ModelFailure;
use futures_util::StreamExt as _;
use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use tokio::time::timeout;

use super::draft::{Draft, Read};
use super::failure::{self, Who};
use super::http::Clients;
use super::route::{Route, Wire};
use super::sse::Decoder;
use super::talk::{self, Turn};
use super::{chat, gemini, messages, pictures, responses, retry_after};
use crate::models::{Answer, TurnRequest};
use crate::settings::ModelDefaults;

/// As much of an error's body as is read.
const ERROR_BODY_MAX: usize = 64 * 1024;

/// Asks the model at the end of `route`.
pub(super) async fn call(
    clients: &Clients,
    defaults: &ModelDefaults,
    route: &Route<'_>,
    request: &TurnRequest<'_>,
) -> Result<Answer, ModelFailure> {
    let who = Who::of(route);
    let idle = Duration::from_secs(defaults.idle_timeout_secs);
    let limit = Duration::from_secs(defaults.turn_timeout_secs);
    let whole = async {
        let turns = talk::turns(request, route, pictures::gather(request).await);
        let response = send(http_request(clients, defaults, route, request, turns), idle, &who).await?;
        let draft = receive(response, route.wire, idle, defaults.max_answer_bytes, &who).await?;
        draft.finish(request, route, &who)
    };
    timeout(limit, whole).await.unwrap_or_else(|_| Err(failure::too_slow(&who, limit)))
}

fn http_request(
    clients: &Clients,
    defaults: &ModelDefaults,
    route: &Route<'_>,
    request: &TurnRequest<'_>,
    turns: Vec<Turn<'_>>,
) -> RequestBuilder {
    let limit = request.sampling.max_output_tokens.or(defaults.max_output_tokens);
    let (path, body) = match route.wire {
        Wire::Messages => ("/v1/messages".to_owned(), messages::body(request, route, turns, limit)),
        Wire::Responses => ("/responses".to_owned(), responses::body(request, route, turns, limit)),
        Wire::Chat => ("/chat/completions".to_owned(), chat::body(request, route, turns, limit)),
        Wire::Gemini => (gemini::path(&route.model), gemini::body(request, route, turns, limit)),
    };
    let mut http = clients.for_endpoint(route.endpoint).post(format!("{}{path}", route.endpoint.base_url)).json(&body);
    if let Some(key) = &route.endpoint.key {
        http = match route.wire {
            Wire::Messages => http.header("x-api-key", key.expose()),
            Wire::Gemini => http.header("x-goog-api-key", key.expose()),
            Wire::Responses | Wire::Chat => http.bearer_auth(key.expose()),
        };
    }
    if route.wire == Wire::Messages { messages::headers(http, route) } else { http }
}

/// The response, if it is a success.
async fn send(http: RequestBuilder, idle: Duration, who: &Who<'_>) -> Result<Response, ModelFailure> {
    let response = timeout(idle, http.send()).await.map_err(|_| failure::silent(who))?;
    let response = response.map_err(|error| failure::transport(who, &error))?;
    if response.status().is_success() {
        return Ok(response);
    }
    let (status, headers) = (response.status(), response.headers().clone());
    let mut bytes = Vec::new();
    // A body that does not end says enough with what has come of it.
    let _ended = timeout(idle, error_body(response, &mut bytes)).await;
    let body = String::from_utf8_lossy(&bytes);
    Err(failure::of_status(who, status.as_u16(), &body, retry_after::read(&headers, &body)))
}

/// Reads what came with an error, as far as anybody wants to know it.
async fn error_body(mut response: Response, bytes: &mut Vec<u8>) {
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ERROR_BODY_MAX {
            break;
        }
    }
}

/// Reads the stream to its final event.
async fn receive(
    response: Response,
    wire: Wire,
    idle: Duration,
    max_bytes: u64,
    who: &Who<'_>,
) -> Result<Draft, ModelFailure> {
    let mut stream = response.bytes_stream();
    let mut incoming = Incoming::new(wire, max_bytes);
    while let Some(chunk) = timeout(idle, stream.next()).await.map_err(|_| failure::silent(who))? {
        let chunk = chunk.map_err(|error| failure::transport(who, &error))?;
        if incoming.feed(&chunk, who)? {
            return Ok(incoming.reader.draft);
        }
        // A server that always has more ready must not keep the timers of this task from being looked at.
        tokio::task::yield_now().await;
    }
    incoming.end(who)
}

/// What comes of a stream that came in these chunks and is over.
pub(super) fn read<'c>(
    max_bytes: u64,
    route: &Route<'_>,
    request: &TurnRequest<'_>,
    chunks: impl IntoIterator<Item = &'c [u8]>,
) -> Result<Answer, ModelFailure> {
    let who = Who::of(route);
    let mut incoming = Incoming::new(route.wire, max_bytes);
    for chunk in chunks {
        if incoming.feed(chunk, &who)? {
            return incoming.reader.draft.finish(request, route, &who);
        }
    }
    incoming.end(&who)?.finish(request, route, &who)
}

/// A stream as far as it has come.
struct Incoming {
    reader: Reader,
    decoder: Decoder,
    bytes: u64,
    max_bytes: u64,
}

impl Incoming {
    fn new(wire: Wire, max_bytes: u64) -> Self {
        Self { reader: Reader::new(wire), decoder: Decoder::default(), bytes: 0, max_bytes }
    }

    /// Whether the final event has come with this chunk.
    fn feed(&mut self, chunk: &[u8], who: &Who<'_>) -> Result<bool, ModelFailure> {
        self.bytes += chunk.len() as u64;
        if self.bytes > self.max_bytes {
            return Err(failure::too_long(who, self.max_bytes));
        }
        for data in self.decoder.feed(chunk) {
            if self.reader.take(&data, who)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What has come when nothing comes any more.
    fn end(mut self, who: &Who<'_>) -> Result<Draft, ModelFailure> {
        match self.decoder.end() {
            Some(data) if self.reader.take(&data, who)? => Ok(self.reader.draft),
            _ => Err(failure::cut(who, "it ended without saying so")),
        }
    }
}

/// The reader of one stream.
struct Reader {
    draft: Draft,
    state: State,
}

/// What a wire remembers between events.
enum State {
    Messages(messages::State),
    Responses(responses::State),
    Chat(chat::State),
    Gemini(gemini::State),
}

impl Reader {
    fn new(wire: Wire) -> Self {
        let state = match wire {
            Wire::Messages => State::Messages(messages::State::default()),
            Wire::Responses => State::Responses(responses::State::default()),
            Wire::Chat => State::Chat(chat::State::default()),
            Wire::Gemini => State::Gemini(gemini::State::default()),
        };
        Self { draft: Draft::default(), state }
    }

    /// Whether this event was the final one.
    fn take(&mut self, data: &[u8], who: &Who<'_>) -> Result<bool, ModelFailure> {
        if let (State::Chat(_), b"[DONE]") = (&self.state, data.trim_ascii()) {
            return Ok(true);
        }
        let event: Value =
            serde_json::from_slice(data).map_err(|_| failure::cut(who, "it is not in the provider's format"))?;
        let read = match &mut self.state {
            State::Messages(state) => state.read(&event, &mut self.draft),
            State::Responses(state) => state.read(&event, &mut self.draft),
            State::Chat(state) => state.read(&event, &mut self.draft),
            State::Gemini(state) => state.read(&event, &mut self.draft),
        };
        match read {
            Read::More => Ok(false),
            Read::Done => Ok(true),
            Read::Failed => Err(failure::of_event(who, &event)),
        }
    }
}

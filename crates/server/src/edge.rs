//! Around every answer: the request's id in a header, what a browser must not do with it, how long it may take, and the one log line for what
//! went wrong inside.
//!
//! The id is the only thing of a request that may help an operator and does not fit into the closed error body (contract 2.3).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::Ambient;

use crate::Shared;
use crate::errors::{ApiError, Cause};
use crate::{upload_urls, uploads};

/// Names a request, in requests and answers.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Set on answers of operations that the published API does not have.
const EXTENSION: HeaderName = HeaderName::from_static("x-errand-extension");
/// The longest id that is taken over from a request, in bytes.
const LONGEST_ID: usize = 128;

/// The longest path with its query string, in bytes.
const URI_MAX: usize = 8 * 1024;

/// What every answer says to a browser that comes upon it, unless the operation has something better to say: it is data, nobody else's, and
/// nothing to be shown in a frame. Not in the API's document: no client has to know.
static GUARDS: [(HeaderName, HeaderValue); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
];

/// The id of a request, for its handler.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) HeaderValue);

/// Gives the request an id and logs the cause of an internal error under it.
pub(crate) async fn edge(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let id = given_id(request.headers()).cloned().unwrap_or_else(|| shared.request_ids.next());
    request.extensions_mut().insert(RequestId(id.clone()));
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut response = if uri.path_and_query().is_some_and(|path| path.as_str().len() > URI_MAX) {
        ApiError::UriTooLong.into_response()
    } else {
        // What its body may take to arrive comes on top: it has limits of its own.
        let arrival = if request.body().is_end_stream() {
            Duration::ZERO
        } else {
            uploads::longest(uri.path(), request.headers(), &shared.limits)
        };
        let patience = shared.limits.request + arrival;
        let answered = tokio::time::timeout(patience, next.run(request)).await;
        answered.unwrap_or_else(|_late| ApiError::TookTooLong(patience.as_secs()).into_response())
    };
    if let Some(Cause(cause)) = response.extensions_mut().remove() {
        let (path, status) = (upload_urls::shown(uri.path()), response.status().as_u16());
        tracing::error!(request_id = ?id, %method, path, status, cause, "a request failed");
    }
    dress(response.headers_mut(), id);
    response
}

/// Gives an answer what every answer has.
pub(crate) fn dress(headers: &mut HeaderMap, id: HeaderValue) {
    headers.reserve(GUARDS.len() + 1);
    for (name, value) in &GUARDS {
        headers.entry(name).or_insert_with(|| value.clone());
    }
    headers.insert(REQUEST_ID, id);
}

/// Says on every answer of a route that the route is Errand's own.
pub(crate) async fn mark_extension(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(EXTENSION, HeaderValue::from_static("true"));
    response
}

/// The caller's id, if it can do no harm in a log.
fn given_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    let id = headers.get(REQUEST_ID)?;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    ((1..=LONGEST_ID).contains(&id.len()) && id.as_bytes().iter().all(plain)).then_some(id)
}

/// Makes ids for requests that bring none: the start of the server, then a count. Cheaper than a UUID, and as good in a log.
pub(crate) struct RequestIds {
    start: String,
    count: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new(ambient: &dyn Ambient) -> Self {
        let mut start = [0; 6];
        ambient.random(&mut start);
        let start = start.iter().fold("req_".to_owned(), |text, byte| format!("{text}{byte:02x}"));
        Self { start, count: AtomicU64::new(1) }
    }

    pub(crate) fn next(&self) -> HeaderValue {
        let id = format!("{}_{}", self.start, self.count.fetch_add(1, Ordering::Relaxed));
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("unknown"))
    }
}

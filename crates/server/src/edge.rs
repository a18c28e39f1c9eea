//! Around every answer: the request's id in a header, what a browser must not do with it, how long it may take, and what the log and the meters
//! are told: one line a request, and one more for what went wrong inside. All that is logged below is logged within the request's span.
//!
//! The id is the only thing of a request that may help an operator and does not fit into the closed error body (contract 2.3).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::Ambient;
use tokio::time::Instant;
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::Shared;
use crate::connections::Unclear;
use crate::errors::{ApiError, Cause};
use crate::{meters, upload_urls, uploads};

/// Names a request, in requests and answers.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Names what the caller does this for, in its own tracing.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Set on answers of operations that the published API does not have.
const EXTENSION: HeaderName = HeaderName::from_static("x-errand-extension");
/// The longest id that is taken over from a request, in bytes.
pub(crate) const LONGEST_ID: usize = 128;

/// The longest path with its query string, in bytes.
pub(crate) const URI_MAX: usize = 8 * 1024;

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

/// Gives the request an id, and says under it what became of the request.
pub(crate) async fn edge(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = given_id(request.headers()).cloned().unwrap_or_else(|| shared.request_ids.next());
    request.extensions_mut().insert(RequestId(id.clone()));
    let caller = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok());
    let span = tracing::error_span!(
        "request",
        request_id = id.to_str().unwrap_or_default(),
        team = Empty,
        key = Empty,
        run = Empty,
        traceparent = caller.filter(|caller| caller.len() <= LONGEST_ID),
    );
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let answering = answer(&shared, request, next).instrument(span.clone());
    let mut response = answering.await;
    let (status, took) = (response.status(), began.elapsed());
    let cause = response.extensions_mut().remove();
    span.in_scope(|| {
        let (route, status) = (meters::template(route.as_ref()), status.as_u16());
        if let Some(Cause(cause)) = cause {
            tracing::error!(%method, path = upload_urls::shown(uri.path()), status, cause, "a request failed");
        }
        let ms = took.as_secs_f64() * 1e3;
        tracing::debug!(name: "access", target: "access", %method, route, status, ms, "answered");
    });
    shared.app.meters.answered(&method, route.as_ref(), status, took);
    dress(response.headers_mut(), id);
    response
}

/// The answer, in bounded time.
async fn answer(shared: &Shared, request: Request, next: Next) -> Response {
    let uri = request.uri();
    if uri.path_and_query().is_some_and(|path| path.as_str().len() > URI_MAX) {
        ApiError::UriTooLong.into_response()
    } else if let Some(Unclear(text)) = request.extensions().get() {
        // Nothing that comes after it on this connection is taken for a request.
        ([(header::CONNECTION, "close")], ApiError::InvalidRequest((*text).to_owned())).into_response()
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
    }
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

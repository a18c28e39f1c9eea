//! A collector of traces that keeps all that it was sent: OTLP over HTTP, in protobuf, as every real one takes it.
//!
//! It runs on a thread of its own, so a test may kill whoever sends and the collector goes on.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span as Wire;
use prost::Message as _;
use tokio::runtime::{Builder, Runtime};

/// A running collector. When this is dropped it has stopped.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    got: Arc<Mutex<Got>>,
    threads: Option<Runtime>,
}

/// A span as it came; ids in hex, none as an empty text.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace that it is part of.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// The span that it hangs from.
    pub parent: String,
    /// What was done.
    pub name: String,
    /// When it began and ended, in nanoseconds since 1970.
    pub time: (u64, u64),
    /// What is said of it, in the order it came; numbers and lists as text.
    pub attributes: Vec<(String, String)>,
    /// Whether it says that something failed.
    pub failed: bool,
    /// The spans of other traces that it points to: trace and span.
    pub links: Vec<(String, String)>,
    /// The service that did it.
    pub service: String,
}

#[derive(Debug, Default)]
struct Got {
    spans: Vec<Span>,
    bodies: Vec<Bytes>,
}

impl Span {
    /// What is said of it under this name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(said, _)| said == name).map(|(_, value)| value.as_str())
    }
}

impl Collector {
    /// Listens on a free port of this machine.
    pub fn start() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let got = Arc::new(Mutex::new(Got::default()));
        let app = Router::new().route("/v1/traces", post(receive)).with_state(Arc::clone(&got));
        let threads = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        threads.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, app).await
        });
        Ok(Self { address, got, threads: Some(threads) })
    }

    /// The base URL that exporters are told.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All spans that came, in order.
    pub fn spans(&self) -> Vec<Span> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner).spans.clone()
    }

    /// Whether these bytes are anywhere in what came.
    pub fn mentions(&self, bytes: &[u8]) -> bool {
        let got = self.got.lock().unwrap_or_else(PoisonError::into_inner);
        got.bodies.iter().any(|body| body.windows(bytes.len()).any(|window| window == bytes))
    }

    /// Waits until `enough` of what came; all of it.
    ///
    /// # Panics
    /// When that takes longer than half a minute.
    pub fn until(&self, enough: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let began = Instant::now();
        loop {
            let spans = self.spans();
            if enough(&spans) {
                return spans;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "not enough came: {spans:#?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

async fn receive(State(got): State<Arc<Mutex<Got>>>, headers: HeaderMap, body: Bytes) -> Response {
    const PROTOBUF: &str = "application/x-protobuf";
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != PROTOBUF) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let Ok(request) = ExportTraceServiceRequest::decode(body.clone()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut got = got.lock().unwrap_or_else(PoisonError::into_inner);
    got.bodies.push(body);
    for of_service in request.resource_spans {
        let said = of_service.resource.map(|resource| resource.attributes).unwrap_or_default();
        let service = said.iter().find(|said| said.key == "service.name").map(|said| text(said.value.as_ref()));
        let spans = of_service.scope_spans.into_iter().flat_map(|scope| scope.spans);
        got.spans.extend(spans.map(|span| read(span, service.clone().unwrap_or_default())));
    }
    ([(header::CONTENT_TYPE, PROTOBUF)], ExportTraceServiceResponse::default().encode_to_vec()).into_response()
}

fn read(span: Wire, service: String) -> Span {
    let pair = |said: KeyValue| (said.key, text(said.value.as_ref()));
    Span {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name,
        time: (span.start_time_unix_nano, span.end_time_unix_nano),
        attributes: span.attributes.into_iter().map(pair).collect(),
        failed: span.status.is_some_and(|status| status.code == 2),
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        service,
    }
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(yes)) => yes.to_string(),
        Some(Value::ArrayValue(list)) => {
            list.values.iter().map(|value| text(Some(value))).collect::<Vec<_>>().join(",")
        }
        _ => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ok = write!(text, "{byte:02x}");
        text
    })
}

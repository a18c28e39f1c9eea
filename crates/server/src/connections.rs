//! One connection, from its first byte to its last: TLS if there is any, requests into the router, answers out, all in bounded time.
//!
//! hyper reads and writes HTTP/1; `connections/guarded.rs` stands between it and the socket and keeps the times, `connections/bodies.rs` those of a
//! body. How many connections there may be is said in `accept.rs`. What HTTP itself refuses gets the API's error body here as elsewhere.

mod bodies;
mod guarded;
mod stream;
mod words;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::{Request, Response, Version, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::connections::bodies::{Arriving, Leaving};
use crate::connections::guarded::{Guarded, Phase};
use crate::connections::stream::{Stream, linger};
use crate::{Shared, uploads};

pub(crate) use crate::connections::bodies::TooSlow;
pub(crate) use crate::connections::words::words;

/// The most bytes that the head of a request may have. Its headers may be a hundred, which is hyper's own bound.
pub(crate) const HEAD_MAX: usize = 32 * 1024;
/// What is read ahead of a request at the most, and written ahead of a client.
const BUFFER_MAX: usize = 64 * 1024;
/// How long a connection that we end is listened to.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// What each connection is given.
pub(crate) struct Way {
    shared: Arc<Shared>,
    router: Router,
    http: http1::Builder,
}

impl Way {
    pub(crate) fn new(shared: Arc<Shared>, router: Router) -> Self {
        let mut http = http1::Builder::new();
        // Its own time for heads would say nothing to the client.
        http.header_read_timeout(None).max_header_size(HEAD_MAX).max_buf_size(BUFFER_MAX);
        Self { shared, router, http }
    }

    /// Serves a connection until it ends, or until the server does and the request that is under way is answered.
    pub(crate) async fn serve(&self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let stream = match tls {
            None => Stream::Plain(stream),
            Some(tls) => match tokio::time::timeout(self.shared.limits.head, tls.accept(stream)).await {
                Ok(Ok(stream)) => Stream::Tls(Box::new(stream)),
                Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
                Err(_late) => return,
            },
        };
        let phase = Phase::default();
        let stream = Guarded::new(stream, Arc::clone(&self.shared), phase.clone());
        let service = service_fn(|request| self.answer(request, phase.clone()));
        let mut connection = self.http.serve_connection(TokioIo::new(stream), service);
        let mut closing = self.shared.closing.subscribe();
        let ended = tokio::select! {
            ended = &mut connection => ended,
            // The guard that this gives must be gone before the next wait.
            () = async { drop(closing.wait_for(|closing| *closing).await) } => {
                if phase.is_idle() {
                    return;
                }
                std::pin::Pin::new(&mut connection).graceful_shutdown();
                (&mut connection).await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
        let left = connection.into_parts().io.into_inner().into_talking();
        if let Some(stream) = left.filter(|_| !*self.shared.closing.borrow()) {
            linger(stream, LINGER).await;
        }
    }

    async fn answer(&self, request: Request<Incoming>, phase: Phase) -> Result<Response<Leaving>, Infallible> {
        phase.at_work();
        let limits = &self.shared.limits;
        let most = uploads::longest(request.uri().path(), request.headers(), limits);
        let unclear = unclear(&request);
        let mut request = request.map(|body| {
            if body.is_end_stream() { Body::empty() } else { Body::new(Arriving::new(body, limits, most)) }
        });
        if let Some(unclear) = unclear {
            request.extensions_mut().insert(unclear);
        }
        let response = self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        Ok(response.map(|body| Leaving::new(body, phase)))
    }
}

/// What two servers in a row could read differently, though Hyper takes it (RFC 9112, 3.2 and 6.1). Answered in `edge.rs`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unclear(pub(crate) &'static str);

fn unclear<B>(request: &Request<B>) -> Option<Unclear> {
    let headers = request.headers();
    let (hosts, is_new) = (headers.get_all(header::HOST).iter().count(), request.version() == Version::HTTP_11);
    if hosts > 1 || (hosts == 0 && is_new) {
        return Some(Unclear("The request needs one header Host."));
    }
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_other = encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    is_other.then_some(Unclear("The header Transfer-Encoding: expected chunked, or none."))
}

/// Says to a client that its connection is one too many. It is listened to for a moment first, so that it hears the answer.
pub(crate) async fn turn_away(mut stream: TcpStream, said: &[u8]) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const PATIENCE: Duration = Duration::from_millis(500);
    let mut head = [0; 4096];
    // What it asks does not matter.
    let _ = tokio::time::timeout(PATIENCE, stream.read(&mut head)).await;
    if let Ok(Ok(())) = tokio::time::timeout(PATIENCE, stream.write_all(said)).await {
        linger(Stream::Plain(stream), LINGER).await;
    }
}

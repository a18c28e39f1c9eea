//! The page of metrics, on an address of its own.
//!
//! It is the operator's: an API key speaks for a team, and these numbers belong to none, so there is no key that could open it. Whoever reaches the
//! address may read it, and nobody else; that is why it is not a route of the API.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Scrapes at once. More are closed unheard: there are a few of them a minute.
const CONNECTIONS: usize = 16;
/// The longest that one may take, from its first byte to its last.
const LONGEST: Duration = Duration::from_secs(10);
/// How long to wait before the system is asked again after it could not give a connection.
const PAUSE: Duration = Duration::from_millis(100);
/// Where it is.
const PATH: &str = "/metrics";

/// Serves `page` at `/metrics`, in Prometheus' text format, until it is dropped.
pub async fn serve_metrics<P, F>(listener: TcpListener, page: P)
where
    P: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = String> + Send,
{
    let (page, places) = (Arc::new(page), Arc::new(Semaphore::new(CONNECTIONS)));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let page = Arc::clone(&page);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &*page));
            let serving = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
            // Late or broken: whoever scrapes comes again.
            let _ended = tokio::time::timeout(LONGEST, serving).await;
            drop(place);
        });
    }
}

async fn answer<P, F>(request: Request<Incoming>, page: &P) -> Result<Response<Body>, Infallible>
where
    P: Fn() -> F,
    F: Future<Output = String>,
{
    if request.uri().path() != PATH {
        return Ok((StatusCode::NOT_FOUND, "There is nothing here but /metrics.\n").into_response());
    }
    if request.method() != Method::GET {
        return Ok((StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET")]).into_response());
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page().await).into_response())
}

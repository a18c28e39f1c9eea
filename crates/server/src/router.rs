//! The table of contents: each operation, its URL, what it needs of a key, the function that answers, and what is said of it.
//!
//! An operation is named noun, dot, verb; the function that answers is in the noun's file, what it takes and gives in the file of the same name
//! under `operations/`. The router and the API's document are both made from this table, so neither has a route that the other does not have.
//! What needs no key is outside of the layer in `auth.rs`, which stands before every other route and before everything that is no route.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::{Method, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{self, MethodRouter};
use domain::api_keys::Scope;
use tower_http::cors::{Any, CorsLayer};

use crate::errors::ApiError;
use crate::operations::{self as told, Entry, Operation};
use crate::{
    Shared, agents, auth, body, builds, dead_letters, documentation, edge, events, files, health, human_requests,
    messages, runs, sandboxes, upload_urls, uploads,
};

const READ: Option<Scope> = Some(Scope::Read);
const RUN: Option<Scope> = Some(Scope::Run);
const MANAGE: Option<Scope> = Some(Scope::Manage);
/// Needs no key.
const OPEN: Option<Scope> = None;

#[rustfmt::skip] // one line an operation, so that it reads as a table
fn v1() -> Vec<Route> {
    vec![
        get (READ,   "/v1/agents",                        agents::list,      told::agents::list()),
        post(MANAGE, "/v1/agents",                        agents::create,    told::agents::create()),
        get (READ,   "/v1/agents/{agent_id}",             agents::get,       told::agents::get()),
        get (READ,   "/v1/agents/{agent_id}/builds",      builds::list,      told::builds::list()),
        post(MANAGE, "/v1/builds",                        builds::create,    told::builds::create()),
        get (READ,   "/v1/builds/{build_id}",             builds::get,       told::builds::get()),
        post(RUN,    "/v1/runs",                          runs::start,       told::runs::start()),
        get (READ,   "/v1/runs",                          runs::list,        told::runs::list()),
        get (READ,   "/v1/runs/{run_id}",                 runs::get,         told::runs::get()),
        get (READ,   "/v1/runs/{run_id}/events",          events::stream,    told::events::stream()),
        post(RUN,    "/v1/runs/{run_id}/stop",            runs::stop,        told::runs::stop()),
        get (READ,   "/v1/runs/{run_id}/messages",        messages::list,    told::messages::list()),
        post(RUN,    "/v1/runs/{run_id}/messages",        messages::post,    told::messages::post()),
        post(RUN,    "/v1/runs/{run_id}/human-requests/{request_id}/respond",
                                                 human_requests::respond,    told::human_requests::respond()),
        post(RUN,    "/v1/sandboxes",                     sandboxes::create, told::sandboxes::create()),
        get (READ,   "/v1/sandboxes/{sandbox_id}/files",  sandboxes::list,   told::sandboxes::list()),
        post(RUN,    "/v1/sandboxes/{sandbox_id}/files",  sandboxes::upload, told::sandboxes::upload())
            .taking(uploads::BODY_MAX),
        get (READ,   "/v1/sandboxes/{sandbox_id}/files/content", sandboxes::download, told::sandboxes::download()),
        post(RUN,    "/v1/sandboxes/{sandbox_id}/upload-urls", upload_urls::create, told::upload_urls::create()),
        put (OPEN,   "/v1/uploads/{upload_token}",        upload_urls::put,  told::upload_urls::put()).called_by_pages(),
        post(OPEN,   "/v1/uploads/{upload_token}",        upload_urls::put,  told::upload_urls::post()).called_by_pages(),
        get (READ,   "/v1/files",                         files::list,       told::files::list()),
        post(MANAGE, "/v1/files",                         files::push,       told::files::push()).taking(uploads::BODY_MAX),
        get (READ,   "/v1/files/{file_id}/content",       files::download,   told::files::download()),
        delete(MANAGE, "/v1/files/{file_id}",             files::remove,     told::files::remove()),
        get (READ,   "/v1/webhooks/dead-letters",         dead_letters::list, told::webhooks::list()),
        post(MANAGE, "/v1/webhooks/dead-letters/{letter_id}/replay", dead_letters::replay, told::webhooks::replay()),
        get (OPEN,   "/v1/documentation",                 documentation::page,    told::documentation::page()),
        get (OPEN,   "/v1/documentation/openapi.json",    documentation::openapi, told::documentation::openapi()),
        get (OPEN,   "/v1/documentation/json",            documentation::older,   told::documentation::older()),
    ]
}

/// What also a node serves that has no API.
#[rustfmt::skip]
fn probes() -> Vec<Route> {
    vec![
        get (OPEN,   "/healthz",                          health::healthz,   told::health::alive()),
        get (OPEN,   "/readyz",                           health::readyz,    told::health::ready()),
    ]
}

/// Every operation of the server at its place, in the order of the table.
pub(crate) fn entries() -> Vec<Entry> {
    v1().into_iter().chain(probes()).map(|route| route.entry).collect()
}

/// Every route of the server.
pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    let api = if shared.app.api { v1() } else { Vec::new() };
    let all = api.into_iter().chain(probes());
    let (open, keyed): (Vec<_>, Vec<_>) = all.partition(|route| route.entry.scope.is_none());
    let (pages, open): (Vec<_>, Vec<_>) = open.into_iter().partition(|route| route.pages);
    let keyed = mounted(keyed)
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(body::BODY_MAX))
        .layer(from_fn_with_state(Arc::clone(&shared), auth::authenticate));
    keyed
        .merge(mounted(open).method_not_allowed_fallback(wrong_method))
        .merge(mounted(pages).method_not_allowed_fallback(wrong_method).layer(cors()))
        .layer(from_fn_with_state(Arc::clone(&shared), edge::edge))
        .with_state(shared)
}

fn mounted(routes: Vec<Route>) -> Router<Arc<Shared>> {
    routes.into_iter().fold(Router::new(), |router, Route { entry, handler, .. }| {
        let handler = if entry.operation.extension { handler.layer(from_fn(edge::mark_extension)) } else { handler };
        router.route(entry.path, handler)
    })
}

/// A row of the table.
struct Route {
    entry: Entry,
    handler: MethodRouter<Arc<Shared>>,
    /// Whether scripts of pages from elsewhere may call it.
    pages: bool,
}

impl Route {
    /// With bodies of up to `most` bytes.
    fn taking(self, most: usize) -> Self {
        Self { handler: self.handler.layer(DefaultBodyLimit::max(most)), ..self }
    }

    /// Also for scripts of pages from elsewhere. Only what a browser has nothing of its own to send along for.
    fn called_by_pages(self) -> Self {
        Self { pages: true, ..self }
    }
}

fn get<H, T>(scope: Option<Scope>, path: &'static str, handler: H, operation: Operation) -> Route
where
    H: Handler<T, Arc<Shared>>,
    T: 'static,
{
    row("get", scope, path, routing::get(handler), operation)
}

fn post<H, T>(scope: Option<Scope>, path: &'static str, handler: H, operation: Operation) -> Route
where
    H: Handler<T, Arc<Shared>>,
    T: 'static,
{
    row("post", scope, path, routing::post(handler), operation)
}

fn put<H, T>(scope: Option<Scope>, path: &'static str, handler: H, operation: Operation) -> Route
where
    H: Handler<T, Arc<Shared>>,
    T: 'static,
{
    row("put", scope, path, routing::put(handler), operation)
}

fn delete<H, T>(scope: Option<Scope>, path: &'static str, handler: H, operation: Operation) -> Route
where
    H: Handler<T, Arc<Shared>>,
    T: 'static,
{
    row("delete", scope, path, routing::delete(handler), operation)
}

fn row(
    method: &'static str,
    scope: Option<Scope>,
    path: &'static str,
    handler: MethodRouter<Arc<Shared>>,
    operation: Operation,
) -> Route {
    Route { entry: Entry { method, path, scope, operation }, handler, pages: false }
}

/// What pages from elsewhere are told.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::PUT, Method::POST])
        .allow_headers(Any)
        .expose_headers(Any)
        .max_age(Duration::from_hours(1))
}

async fn unknown_path(uri: Uri) -> ApiError {
    ApiError::no_such_path(uri.path())
}

/// The router itself adds the header `Allow`.
async fn wrong_method() -> ApiError {
    ApiError::MethodNotAllowed
}

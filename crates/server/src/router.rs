//! The table of contents: each URL, the operations on it, and the file that answers.
//!
//! An operation is named noun, dot, verb; the handler is that function in the noun's file. Nothing but the two probes of `health.rs` can be
//! reached without an API key: the layer in `auth.rs` stands before every other route and before everything that is no route.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Uri;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};

use crate::errors::ApiError;
use crate::{
    Shared, agents, auth, body, builds, dead_letters, edge, events, health, human_requests, messages, runs, sandboxes,
    uploads,
};

/// Every route of the server.
pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    let api = if shared.app.api { v1() } else { Router::new() };
    let layered = api
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(body::BODY_MAX))
        .layer(from_fn_with_state(Arc::clone(&shared), auth::authenticate));
    layered
        .merge(probes().method_not_allowed_fallback(wrong_method))
        .layer(from_fn_with_state(Arc::clone(&shared), edge::edge))
        .with_state(shared)
}

#[rustfmt::skip] // one line an URL, so that it reads as a table
fn v1() -> Router<Arc<Shared>> {
    let extension = || from_fn(edge::mark_extension);
    Router::new()
        .route("/v1/agents", get(agents::list).post(agents::create))
        .route("/v1/agents/{agent_id}", get(agents::get))
        .route("/v1/agents/{agent_id}/builds", get(builds::list))
        .route("/v1/builds", post(builds::create))
        .route("/v1/builds/{build_id}", get(builds::get))
        .route("/v1/runs", get(runs::list).post(runs::start))
        .route("/v1/runs/{run_id}", get(runs::get))
        .route("/v1/runs/{run_id}/messages", get(messages::list).post(messages::post))
        .route("/v1/runs/{run_id}/stop", post(runs::stop))
        .route("/v1/runs/{run_id}/human-requests/{request_id}/respond", post(human_requests::respond))
        .route("/v1/sandboxes", post(sandboxes::create))
        .route("/v1/sandboxes/{sandbox_id}/files",
            get(sandboxes::list).post(sandboxes::upload).layer(DefaultBodyLimit::max(uploads::BODY_MAX)))
        // Extensions: not in the published API, and marked as such in each answer.
        .route("/v1/sandboxes/{sandbox_id}/files/content", get(sandboxes::download).layer(extension()))
        .route("/v1/runs/{run_id}/events", get(events::stream).layer(extension()))
        .route("/v1/webhooks/dead-letters", get(dead_letters::list).layer(extension()))
        .route("/v1/webhooks/dead-letters/{letter_id}/replay", post(dead_letters::replay).layer(extension()))
}

fn probes() -> Router<Arc<Shared>> {
    Router::new().route("/healthz", get(health::healthz)).route("/readyz", get(health::readyz))
}

async fn unknown_path(uri: Uri) -> ApiError {
    ApiError::no_such_path(uri.path())
}

/// The router itself adds the header `Allow`.
async fn wrong_method() -> ApiError {
    ApiError::MethodNotAllowed
}

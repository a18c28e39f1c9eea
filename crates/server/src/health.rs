//! `/healthz` and `/readyz`: the two paths that need no key and tell nothing but whether the server works.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use storage::teams;

use crate::Shared;
use crate::errors::ApiError;

/// The process answers.
pub(crate) async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// The server takes work: it is not shutting down, and the store answers a read.
pub(crate) async fn readyz(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, ApiError> {
    if !shared.app.ready.load(Ordering::Relaxed) {
        return Err(ApiError::NotReady);
    }
    shared.app.db.read::<_, ApiError, _>(async |tx| Ok(teams::first(tx).await?)).await?;
    Ok(Json(json!({"status": "ok"})))
}

//! `/healthz` and `/readyz`: the two paths that need no key and tell nothing but whether the server works.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use storage::{StoreError, teams};

use crate::Shared;
use crate::errors::ApiError;

/// How long the store may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The process answers.
pub(crate) async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// The server takes work: it is not shutting down, and the store answers a read.
pub(crate) async fn readyz(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, ApiError> {
    if !shared.app.ready.load(Ordering::Relaxed) {
        return Err(ApiError::NotReady);
    }
    let asked = shared.app.db.read::<_, ApiError, _>(async |tx| Ok(teams::first(tx).await?));
    // Whoever asks wants to know it now: a store that takes longer is not ready.
    let answered = tokio::time::timeout(PATIENCE, asked).await;
    answered.map_err(|_late| ApiError::Store(StoreError::Unreachable("no answer in time".into())))??;
    Ok(Json(json!({"status": "ok"})))
}

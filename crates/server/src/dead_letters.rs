//! Deliveries that were given up: listing them, and having one tried again. Extensions.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use contract::pages::PageQuery;
use contract::webhooks::{DeadLetter, DeadLetterPage, ReplayAnswer};
use storage::webhooks::{self, Dead};
use storage::{StoreError, Tx};

use crate::Shared;
use crate::auth::{Caller, MayManage, MayRead};
use crate::body::Ignored;
use crate::change::{Change, Done};
use crate::errors::ApiError;
use crate::path::{DeadLetterId, Id};
use crate::query::{Nothing, Query};

/// `dead_letter.list`: newest first.
pub(crate) async fn list(
    caller: Caller<MayRead>,
    Query(page): Query<PageQuery>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<DeadLetterPage>, ApiError> {
    let PageQuery { limit, offset } = page;
    let read = async move |tx: &mut Tx<'_>| webhooks::dead(tx, caller.team, limit, offset).await;
    let (rows, total) = shared.app.db.read_slow::<_, StoreError, _>(read).await?;
    Ok(Json(DeadLetterPage { dead_letters: rows.into_iter().map(shown).collect(), total, limit, offset }))
}

/// `dead_letter.replay`: due again at once, as if it had never been tried.
pub(crate) async fn replay(
    change: Change<MayManage>,
    Id(DeadLetterId(id)): Id<DeadLetterId>,
    _: Query<Nothing>,
    State(shared): State<Arc<Shared>>,
    Ignored(asked): Ignored,
) -> Result<Response, ApiError> {
    let team = change.caller.team;
    let id = id.ok_or_else(|| ApiError::no_such("dead letter"))?;
    let replay = async move |tx: &mut Tx<'_>| {
        if !webhooks::replay(tx, team, id).await? {
            return Err(ApiError::no_such("dead letter"));
        }
        Done::new(StatusCode::OK, &ReplayAnswer { replayed: true }, "webhook.replay", id)
    };
    let response = shared.change(change, asked, None, replay).await?;
    shared.app.bell.ring_outbox();
    Ok(response)
}

fn shown(dead: Dead) -> DeadLetter {
    DeadLetter {
        id: dead.id.to_string(),
        event: dead.event,
        run_id: dead.id.run.to_string(),
        seq: dead.id.seq,
        timestamp: dead.at.to_string(),
        tries: dead.tries,
        outcome: dead.outcome,
        webhook_url: dead.url,
    }
}

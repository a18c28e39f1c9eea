//! The transcript of a run: reading it, and adding a person's message to it.
//!
//! A posted message goes into the run's inbox; it shows in the transcript once the run's worker has journaled it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use contract::messages::{Message, MessagePage, PostMessage, PostedMessage, PostedMessageAnswer, ToolCall, ToolResult};
use contract::pages::PageQuery;
use domain::RunId;
use domain::runs::transcript::{self, message, shown as outcome};
use domain::runs::{Event, Said};
use storage::{Tx, journal, runs};

use crate::Shared;
use crate::auth::{Caller, MayRead, MayRun};
use crate::body::Body;
use crate::change::{Change, Done};
use crate::errors::ApiError;
use crate::path::Id;
use crate::query::{Nothing, Query};
use crate::runs::{find, held_up};

/// `message.list`: oldest first.
pub(crate) async fn list(
    caller: Caller<MayRead>,
    Id(run): Id<RunId>,
    Query(page): Query<PageQuery>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<MessagePage>, ApiError> {
    let PageQuery { limit, offset } = page;
    let found = shared.app.db.read::<_, ApiError, _>(async |tx| {
        let total = find(tx, caller.team, run).await?.message_count;
        Ok((journal::messages(tx, caller.team, run, limit, offset).await?, total))
    });
    let (entries, total) = found.await?;
    let messages = entries.iter().filter_map(|entry| message(run, entry)).map(shown).collect();
    Ok(Json(MessagePage { messages, total, limit, offset }))
}

/// `message.post`: reaches a run at its next turn, and resumes one that waits, was completed or was interrupted.
pub(crate) async fn post(
    change: Change<MayRun>,
    Id(run): Id<RunId>,
    _: Query<Nothing>,
    State(shared): State<Arc<Shared>>,
    Body(body, asked): Body<PostMessage>,
) -> Result<Response, ApiError> {
    let (app, team) = (&shared.app, change.caller.team);
    let now = app.ambient.now();
    let said = Said { id: app.ambient.id(now), text: body.message };
    let message = PostedMessage {
        id: said.id.to_string(),
        kind: "text".to_owned(),
        role: "user".to_owned(),
        timestamp: now.to_string(),
        text_content: said.text.clone(),
    };
    let tell = async move |tx: &mut Tx<'_>| {
        let found = find(tx, team, run).await?;
        if !found.status.takes_messages() {
            return Err(ApiError::RunNotResumable);
        }
        let warning = held_up(tx, &found).await?;
        let id = said.id;
        if !runs::tell(tx, team, run, &Event::MessageReceived(said), now).await? {
            return Err(ApiError::RunFull);
        }
        let done = Done::new(StatusCode::CREATED, &PostedMessageAnswer { message }, "message.post", id)?;
        done.with(warning.into_iter().flatten())
    };
    shared.change(change, asked, Some(run), tell).await
}

fn shown(message: transcript::Message) -> Message {
    Message {
        id: message.id,
        kind: message.kind.to_owned(),
        role: message.role.to_owned(),
        timestamp: message.at.to_string(),
        text_content: message.text,
        tool_call: message.call.map(|call| ToolCall {
            // The provider's own id for a call may be taken again in a later turn; ours never is.
            id: call.key.to_string(),
            name: call.name,
            arguments: Some(call.arguments),
        }),
        tool_result: message.result.map(|(key, came_of_it)| {
            let (result, error) = match outcome(&came_of_it) {
                Ok(result) => (Some(result), None),
                Err(error) => (None, Some(error)),
            };
            ToolResult { tool_call_id: key.to_string(), result, error }
        }),
    }
}

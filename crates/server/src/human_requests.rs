//! Human requests: showing what a run asks, and taking the answer.
//!
//! Of several answers exactly one wins: closing the request and telling the run is one transaction.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use contract::human_requests::{
    AnsweredRequest, Choice, HumanRequest, HumanRequestKind, Question, Respond, RespondAnswer,
};
use domain::human_requests as rules;
use domain::runs::{Event, Status};
use domain::{RunId, TeamId, Timestamp};
use serde_json::{Map, Value};
use storage::human_requests::{self, Stored};
use storage::{Tx, runs};
use uuid::Uuid;

use crate::Shared;
use crate::auth::Caller;
use crate::body::Body;
use crate::errors::ApiError;
use crate::path::{Id, RequestId};
use crate::query::{Nothing, Query};
use crate::runs::find;

/// `human_request.respond`: only while the run waits for just this.
pub(crate) async fn respond(
    caller: Caller,
    Id(run): Id<RunId>,
    Id(RequestId(id)): Id<RequestId>,
    _: Query<Nothing>,
    State(shared): State<Arc<Shared>>,
    Body(body): Body<Respond>,
) -> Result<Json<RespondAnswer>, ApiError> {
    let app = &shared.app;
    let now = app.ambient.now();
    let answered = app.db.write(async move |tx| answer(tx, caller.team, run, id, body, now).await);
    let human_request = answered.await?;
    app.bell.ring_work();
    app.bell.ring_run(run.0);
    Ok(Json(RespondAnswer { human_request }))
}

/// A request that is still open, as the run shows it.
pub(crate) fn pending(Stored { request, created_at, .. }: Stored) -> HumanRequest {
    let (kind, questions) = match request.kind {
        rules::Kind::Approval => (HumanRequestKind::Approval, None),
        rules::Kind::Question => {
            (HumanRequestKind::Question, Some(request.questions.into_iter().map(question).collect()))
        }
    };
    HumanRequest {
        id: request.id.to_string(),
        title: request.title,
        description: request.description,
        created_at: created_at.to_string(),
        kind,
        questions,
    }
}

async fn answer(
    tx: &mut Tx<'_>,
    team: TeamId,
    run: RunId,
    id: Uuid,
    body: Respond,
    now: Timestamp,
) -> Result<AnsweredRequest, ApiError> {
    let status = find(tx, team, run).await?.status;
    let stored = human_requests::get(tx, team, run, id).await?.ok_or_else(|| ApiError::no_such("human request"))?;
    if stored.response.is_some() {
        return Err(ALREADY_ANSWERED);
    }
    if stored.closed_at.is_some() || status != Status::Waiting.word() || overtaken(tx, run).await? {
        return Err(OVERTAKEN);
    }
    let answers = body.answers.map(|answers| {
        answers.into_iter().map(|(question, text)| (question, Value::String(text))).collect::<Map<_, _>>()
    });
    let response = stored.request.accept(body.approved, answers.as_ref()).map_err(ApiError::InvalidRequest)?;
    let text = response.text();
    if !human_requests::answer(tx, team, run, id, &text, now).await? {
        return Err(ALREADY_ANSWERED);
    }
    runs::tell(tx, team, run, &Event::PersonAnswered { request_id: id, response }, now).await?;
    Ok(AnsweredRequest {
        id: id.to_string(),
        run_id: run.to_string(),
        title: stored.request.title,
        description: stored.request.description,
        response: Some(text),
        responded_at: Some(now.to_string()),
        created_at: stored.created_at.to_string(),
    })
}

const ALREADY_ANSWERED: ApiError = ApiError::RequestAlreadyAnswered("Somebody has answered this request already.");
const OVERTAKEN: ApiError = ApiError::RequestAlreadyAnswered(
    "The run does not wait for this request any more: it got a message or a stop instead.",
);

/// Whether something in the inbox will move the run on before an answer could: then it would be taken in vain.
async fn overtaken(tx: &mut Tx<'_>, run: RunId) -> Result<bool, ApiError> {
    let waiting = runs::inbox(tx, run).await?;
    Ok(waiting.iter().any(|(_, event)| matches!(event, Event::MessageReceived(_) | Event::Interrupted { .. })))
}

fn question(question: rules::Question) -> Question {
    let options: Vec<Choice> = question.options.into_iter().map(choice).collect();
    Question {
        question: question.question,
        header: question.header,
        options: (!options.is_empty()).then_some(options),
        multi_select: question.multi_select.then_some(true),
    }
}

fn choice(choice: rules::Choice) -> Choice {
    Choice { label: choice.label, description: choice.description }
}

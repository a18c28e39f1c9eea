//! Human requests: showing what a run asks, and taking the answer.
//!
//! Of several answers exactly one wins: closing the request and telling the run is one transaction.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use contract::human_requests::{
    AnsweredRequest, Choice, HumanRequest, HumanRequestKind, Question, Respond, RespondAnswer,
};
use domain::human_requests::{self as rules, Stage};
use domain::runs::Event;
use domain::{RunId, TeamId, Timestamp};
use serde_json::{Map, Value};
use storage::human_requests::{self, Stored};
use storage::{Tx, runs};
use uuid::Uuid;

use crate::Shared;
use crate::auth::MayRun;
use crate::body::Body;
use crate::change::{Change, Done};
use crate::errors::ApiError;
use crate::path::{Id, RequestId};
use crate::query::{Nothing, Query};
use crate::runs::find;

/// `human_request.respond`: only while the run waits for just this.
pub(crate) async fn respond(
    change: Change<MayRun>,
    Id(run): Id<RunId>,
    Id(RequestId(id)): Id<RequestId>,
    _: Query<Nothing>,
    State(shared): State<Arc<Shared>>,
    Body(body, asked): Body<Respond>,
) -> Result<Response, ApiError> {
    let (team, now) = (change.caller.team, shared.app.ambient.now());
    let answered = async move |tx: &mut Tx<'_>| {
        let (was, human_request) = answer(tx, team, run, id, body, now).await?;
        Done::new(StatusCode::OK, &RespondAnswer { human_request }, "human_request.respond", id)?.after(&was)
    };
    shared.change(change, asked, Some(run), answered).await
}

/// A request that is still open, as the run shows it.
pub(crate) fn pending(Stored { request, created_at, .. }: Stored) -> HumanRequest {
    asked(request, created_at)
}

/// A request as people outside see it.
pub(crate) fn asked(request: rules::HumanRequest, created_at: Timestamp) -> HumanRequest {
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
) -> Result<(HumanRequest, AnsweredRequest), ApiError> {
    let status = find(tx, team, run).await?.status;
    let stored = human_requests::get(tx, team, run, id).await?.ok_or_else(|| ApiError::no_such("human request"))?;
    let inbox: Vec<Event> = runs::inbox(tx, run, 0).await?.into_iter().map(|(_, event)| event).collect();
    match stage(&stored).found(status, &inbox) {
        Stage::Open => {}
        Stage::Answered => return Err(ALREADY_ANSWERED),
        Stage::Overtaken => return Err(OVERTAKEN),
    }
    let answers = body.answers.map(|answers| {
        answers.into_iter().map(|(question, text)| (question, Value::String(text))).collect::<Map<_, _>>()
    });
    let answer =
        rules::Answer { approved: body.approved, arguments: body.arguments.as_ref(), answers: answers.as_ref() };
    let response = stored.request.accept(answer).map_err(ApiError::InvalidRequest)?;
    let text = response.text();
    if !human_requests::answer(tx, team, run, id, &text, now).await? {
        return Err(ALREADY_ANSWERED);
    }
    runs::tell(tx, team, run, &Event::PersonAnswered { request_id: id, response }, now).await?;
    let was = pending(stored);
    let answered = AnsweredRequest {
        id: id.to_string(),
        run_id: run.to_string(),
        title: was.title.clone(),
        description: was.description.clone(),
        response: Some(text),
        responded_at: Some(now.to_string()),
        created_at: was.created_at.clone(),
    };
    Ok((was, answered))
}

const ALREADY_ANSWERED: ApiError = ApiError::RequestAlreadyAnswered("Somebody has answered this request already.");
const OVERTAKEN: ApiError = ApiError::RequestAlreadyAnswered(
    "The run does not wait for this request any more: it got a message or a stop instead.",
);

fn stage(stored: &Stored) -> Stage {
    match (&stored.response, stored.closed_at) {
        (Some(_), _) => Stage::Answered,
        (None, Some(_)) => Stage::Overtaken,
        (None, None) => Stage::Open,
    }
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

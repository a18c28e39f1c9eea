//! Agents (Assignments): listing, creating and reading them.
//!
//! A first Build that comes along is read in `builds.rs`, by the same rules as any later one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use contract::agents::{Agent, AgentAnswer, AgentPage, CreateAgent};
use contract::pages::PageQuery;
use domain::agents::NAME_MAX;
use domain::{AgentId, BuildId, agents as rules};
use storage::{Tx, agents, builds};

use crate::Shared;
use crate::auth::{Caller, MayManage, MayRead};
use crate::body::Body;
use crate::builds::{Draft, Submitted, built};
use crate::change::{Change, Done};
use crate::errors::ApiError;
use crate::path::Id;
use crate::query::{Nothing, Query};

/// `agent.list`: newest first.
pub(crate) async fn list(
    caller: Caller<MayRead>,
    Query(page): Query<PageQuery>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<AgentPage>, ApiError> {
    let PageQuery { limit, offset } = page;
    let (rows, total) =
        shared.read_page(page, async move |tx| Ok(agents::page(tx, caller.team, limit, offset).await?)).await?;
    Ok(Json(AgentPage { agents: rows.into_iter().map(shown).collect(), total, limit, offset }))
}

/// `agent.create`: the agent and, if one came along, its first Build in one transaction. A config that is refused leaves neither.
pub(crate) async fn create(
    change: Change<MayManage>,
    _: Query<Nothing>,
    State(shared): State<Arc<Shared>>,
    Body(body, asked): Body<CreateAgent>,
) -> Result<Response, ApiError> {
    let app = &shared.app;
    check_name(&body.name)?;
    let draft = body.build.map(|build| {
        let config = Submitted::read(&build.config, "/build/config")?;
        Draft::read(build.name, "/build/name", &config, &app.defaults, None)
    });
    let draft = draft.transpose()?;
    let notes = draft.as_ref().map(|draft| draft.notes(app)).unwrap_or_default();
    let (team, uses_servers) = (change.caller.team, draft.as_ref().is_some_and(|draft| !draft.servers.is_empty()));
    let now = app.ambient.now();
    let agent =
        rules::Agent { id: AgentId(app.ambient.id(now)), team, name: body.name, created_at: now, updated_at: now };
    let (first, keys) = (BuildId(app.ambient.id(now)), app.keyring.clone());
    let create = async move |tx: &mut Tx<'_>| {
        agents::insert(tx, &agent).await?;
        let build = match draft {
            Some(draft) => {
                let new = draft.sealed(tx, &keys, (agent.team, agent.id, first), now).await?;
                builds::insert(tx, agent.team, new).await?
            }
            None => None,
        };
        let id = agent.id;
        let answer = AgentAnswer { agent: shown(agent), build: build.map(built).transpose()? };
        Done::new(StatusCode::CREATED, &answer, "agent.create", id)?.with(notes)
    };
    let answer = shared.change(change, asked, None, create).await?;
    if uses_servers {
        (app.build_made)(team, first);
    }
    Ok(answer)
}

/// `agent.get`: with the Build that a run would be pinned to now (contract A15).
pub(crate) async fn get(
    caller: Caller<MayRead>,
    Id(id): Id<AgentId>,
    _: Query<Nothing>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<AgentAnswer>, ApiError> {
    let found = shared.app.db.read(async |tx| agents::get_with_build(tx, caller.team, id).await);
    let (agent, build) = found.await?.ok_or_else(|| ApiError::no_such("agent"))?;
    Ok(Json(AgentAnswer { agent: shown(agent), build: build.map(built).transpose()? }))
}

fn check_name(name: &str) -> Result<(), ApiError> {
    match name.chars().count() {
        0..=NAME_MAX => Ok(()),
        long => Err(ApiError::InvalidRequest(format!("/name: expected at most {NAME_MAX} characters, got {long}"))),
    }
}

fn shown(agent: rules::Agent) -> Agent {
    Agent {
        id: agent.id.to_string(),
        name: agent.name,
        created_at: agent.created_at.to_string(),
        updated_at: agent.updated_at.to_string(),
    }
}

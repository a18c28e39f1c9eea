//! The yardstick: an axum route that answers what GET of one agent answers, and does nothing else for it.
//!
//! It has a path parameter and writes its JSON anew each time, as any such route must. It has no key to check, no database, no middleware.

use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use contract::agents::{Agent, AgentAnswer};
use contract::builds::Build;
use serde_json::value::RawValue;

use crate::seed;

/// The one route.
pub(crate) fn router() -> anyhow::Result<Router> {
    let config = RawValue::from_string(seed::config()?)?;
    let answer = async move |Path(id): Path<String>| Json(one(id, config));
    Ok(Router::new().route("/v1/agents/{agent_id}", get(answer)))
}

fn one(id: String, config: Box<RawValue>) -> AgentAnswer {
    let time = || "2026-11-23T14:05:17.000Z".to_owned();
    let build = Build {
        id: id.clone(),
        agent_id: id.clone(),
        name: "v1".to_owned(),
        config,
        revision_number: 1,
        created_at: time(),
        updated_at: time(),
    };
    let agent = Agent { id, name: seed::NAME.to_owned(), created_at: time(), updated_at: time() };
    AgentAnswer { agent, build: Some(build) }
}

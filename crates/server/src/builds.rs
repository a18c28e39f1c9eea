//! Builds: adding one, reading one, listing an agent's.
//!
//! What a config may say is decided by the domain. Here its text becomes a [`Draft`]: the normalised config to serve, and what was
//! submitted to keep beside it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use contract::agents::AgentRef;
use contract::builds::{Build, BuildAnswer, BuildPage, CreateBuild, NewBuildAnswer};
use contract::pages::PageQuery;
use domain::builds::{self as rules, Defaults, REDACTED, Secrets};
use domain::shape::Cursor;
use domain::{AgentId, BuildId, TeamId, Timestamp};
use serde_json::Value;
use serde_json::value::RawValue;
use storage::builds::{self, NewBuild};
use storage::master_keys::Keyring;
use storage::{StoreError, Tx};

use crate::auth::{Caller, MayManage, MayRead};
use crate::body::Body;
use crate::change::{Change, Done};
use crate::errors::ApiError;
use crate::path::Id;
use crate::query::{Nothing, Query};
use crate::runs::WARNING;
use crate::{App, Shared};

/// Lists the places where a submitted config was changed to be served (contract C1).
const NORMALIZED: HeaderName = HeaderName::from_static("x-errand-normalized");

/// `build.create`: numbered within its agent in the transaction that stores it.
pub(crate) async fn create(
    change: Change<MayManage>,
    _: Query<Nothing>,
    State(shared): State<Arc<Shared>>,
    Body(body, asked): Body<CreateBuild>,
) -> Result<Response, ApiError> {
    let (app, team) = (&shared.app, change.caller.team);
    let agent: AgentId =
        body.agent_id.parse().map_err(|error| ApiError::InvalidRequest(format!("/agent_id: {error}")))?;
    let config = Submitted::read(&body.config, "/config")?;
    let previous = if config.refers_back() {
        app.db
            .read::<_, ApiError, _>(async |tx| Ok(builds::latest_secrets(tx, &app.keyring, team, agent).await?))
            .await?
    } else {
        None
    };
    let draft = Draft::read(body.name, "/name", &config, &app.defaults, previous.as_ref())?;
    let (notes, uses_servers) = (draft.notes(app), !draft.servers.is_empty());
    let now = app.ambient.now();
    let (id, keys) = (BuildId(app.ambient.id(now)), app.keyring.clone());
    let create = async move |tx: &mut Tx<'_>| {
        let new = draft.sealed(tx, &keys, (team, agent, id), now).await?;
        let stored = builds::insert(tx, team, new).await?.ok_or_else(|| ApiError::no_such("agent"))?;
        let id = stored.id;
        let answer = NewBuildAnswer { build: built(stored)?, agent: AgentRef { id: agent.to_string() } };
        Done::new(StatusCode::CREATED, &answer, "build.create", id)?.with(notes)
    };
    let answer = shared.change(change, asked, None, create).await?;
    if uses_servers {
        (app.build_made)(team, id);
    }
    Ok(answer)
}

/// `build.get`.
pub(crate) async fn get(
    caller: Caller<MayRead>,
    Id(id): Id<BuildId>,
    _: Query<Nothing>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<BuildAnswer>, ApiError> {
    let found = shared.app.db.read::<_, ApiError, _>(async |tx| Ok(builds::get(tx, caller.team, id).await?)).await?;
    let build = built(found.ok_or_else(|| ApiError::no_such("build"))?)?;
    Ok(Json(BuildAnswer { build }))
}

/// `build.list`: the highest revision first.
pub(crate) async fn list(
    caller: Caller<MayRead>,
    Id(agent): Id<AgentId>,
    Query(page): Query<PageQuery>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<BuildPage>, ApiError> {
    let PageQuery { limit, offset } = page;
    let found =
        shared.read_page(page, async move |tx| Ok(builds::page(tx, caller.team, agent, limit, offset).await?)).await?;
    let (rows, total) = found.ok_or_else(|| ApiError::no_such("agent"))?;
    let builds = rows.into_iter().map(built).collect::<Result<_, _>>()?;
    Ok(Json(BuildPage { builds, total, limit, offset }))
}

/// A stored Build as it is served: its config goes out as the text that is stored.
pub(crate) fn built(build: rules::Build) -> Result<Build, ApiError> {
    let created_at = build.created_at.to_string();
    Ok(Build {
        id: build.id.to_string(),
        agent_id: build.agent.to_string(),
        name: build.name,
        config: RawValue::from_string(build.config_json)
            .map_err(|error| ApiError::Internal(format!("builds.config: {error}")))?,
        revision_number: build.revision_number.into(),
        updated_at: created_at.clone(),
        created_at,
    })
}

/// A config as somebody sent it.
pub(crate) struct Submitted<'b> {
    text: &'b RawValue,
    value: Value,
    pointer: &'static str,
}

impl<'b> Submitted<'b> {
    /// Takes the config that stands at `pointer` of a body.
    pub(crate) fn read(text: &'b RawValue, pointer: &'static str) -> Result<Self, ApiError> {
        let value = serde_json::from_str(text.get());
        let value =
            value.map_err(|error| ApiError::InvalidRequest(format!("{pointer}: is not valid JSON: {error}")))?;
        Ok(Self { text, value, pointer })
    }

    /// Whether a header value of it means "the one you have" (contract A9).
    fn refers_back(&self) -> bool {
        let tools = self.value.pointer("/data/tools").and_then(Value::as_array);
        let headers = tools.into_iter().flatten().filter_map(|tool| tool.get("headers")?.as_object());
        headers.flat_map(serde_json::Map::values).any(|value| value == REDACTED)
    }

    /// What is kept of it: exactly the text, unless it holds secrets.
    fn kept(&self) -> String {
        let redacted = rules::redact_submitted(&self.value);
        if redacted == self.value { self.text.get().to_owned() } else { redacted.to_string() }
    }
}

/// A Build that was accepted and not yet stored.
pub(crate) struct Draft {
    name: String,
    config: String,
    submitted: String,
    secrets: Secrets,
    notes: Vec<&'static str>,
    /// The URLs of the servers whose tools its config names.
    pub(crate) servers: Vec<String>,
}

impl Draft {
    /// Reads a Build whose name stands at `name_at` of the body. `previous` are the secrets that its config may refer back to.
    pub(crate) fn read(
        name: String,
        name_at: &str,
        config: &Submitted<'_>,
        defaults: &Defaults,
        previous: Option<&Secrets>,
    ) -> Result<Self, ApiError> {
        let name = rules::name(&Cursor::new(&Value::String(name), name_at))?;
        let normalised = rules::normalise(&config.value, config.pointer, defaults, previous)?;
        let served = serde_json::to_string(&normalised.config);
        Ok(Self {
            name,
            config: served.map_err(|error| ApiError::Internal(format!("a normalised config: {error}")))?,
            submitted: config.kept(),
            servers: normalised.config.servers().into_iter().map(|server| server.server_url).collect(),
            secrets: normalised.secrets,
            notes: normalised.notes,
        })
    }

    /// The headers that say what was changed, and which server can never be called as things are.
    pub(crate) fn notes(&self, app: &App) -> Vec<(HeaderName, HeaderValue)> {
        let changed = (!self.notes.is_empty()).then(|| (NORMALIZED, self.notes.join(", ")));
        let ours = |url: &&String| url.starts_with("errand://");
        let refused = self.servers.iter().filter(|url| !ours(url)).find_map(|url| {
            let error = app.egress.policy().check(url).err()?;
            Some((WARNING, format!("server_url \"{}\": {}", url.escape_default(), error.for_user())))
        });
        let texts = changed.into_iter().chain(refused);
        texts.filter_map(|(name, text)| Some((name, HeaderValue::from_str(&text).ok()?))).collect()
    }

    /// The Build to store, its secrets sealed.
    pub(crate) async fn sealed(
        self,
        tx: &mut Tx<'_>,
        keys: &Keyring,
        (team, agent, id): (TeamId, AgentId, BuildId),
        created_at: Timestamp,
    ) -> Result<NewBuild, StoreError> {
        let Self { name, config, submitted, secrets, .. } = self;
        let sealed = builds::sealed(tx, keys, (team, id), &secrets).await?;
        Ok(NewBuild { id, agent, name, config, submitted, sealed, created_at })
    }
}

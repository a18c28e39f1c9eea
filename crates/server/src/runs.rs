//! Runs (Jobs): starting, reading and stopping them; listing is in `runs/list.rs`.
//!
//! Nothing here moves a run: a start is a row, a stop is an entry of its inbox, and the bell tells whoever works. What a run says is in
//! `messages.rs` and `events.rs`, what it asks in `human_requests.rs`.

mod list;

pub(crate) use list::list;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use contract::runs::{CreateRun, Run, RunAnswer, RunDetail, StopAnswer};
use domain::runs::{Event, Said, Status};
use domain::{AgentId, BuildId, RunId, TeamId, Timestamp};
use egress::Url;
use storage::runs::{self, NewRun, RunRow};
use storage::{Tx, agents, human_requests, work};

use crate::auth::{Caller, MayRead, MayRun};
use crate::body::{Body, Ignored};
use crate::change::{Change, Done};
use crate::errors::ApiError;
use crate::human_requests::pending;
use crate::path::Id;
use crate::query::{Nothing, Query};
use crate::sandboxes;
use crate::{App, Shared};

/// Where runs that are started here say they come from.
const SOURCE: &str = "api";
/// The longest `webhook_url`, in bytes.
pub(crate) const WEBHOOK_MAX: usize = 2_048;
/// Says what of a request was taken and will not do what it says.
pub(crate) const WARNING: HeaderName = HeaderName::from_static("x-errand-warning");
/// What keeps a run where it is, if this version cannot read what was written of it.
const NEEDS_NEWER: &str = "The run needs a newer version of Errand than this server's: one worked on it and wrote what this version cannot read. \
    Nothing moves or stops it until a server of the newer version runs on this database.";
/// The longest title, in characters.
const TITLE_MAX: usize = 80;

/// `run.start`: accepts a run on the agent's latest Build and answers before anything of it is done. An empty `message` is none.
///
/// A `webhook_url` that the server may not call is taken all the same, since the operator may open the way later; a header says so.
pub(crate) async fn start(
    change: Change<MayRun>,
    _: Query<Nothing>,
    State(shared): State<Arc<Shared>>,
    Body(body, asked): Body<CreateRun>,
) -> Result<Response, ApiError> {
    let app = &shared.app;
    let now = app.ambient.now();
    let id = RunId(app.ambient.id(now));
    let (webhook, warning) = body.webhook_url.map(|url| webhook(app, url)).transpose()?.unzip();
    let warning = warning.flatten().and_then(|why| HeaderValue::from_str(&format!("webhook_url: {why}")).ok());
    let wanted = Wanted {
        team: change.caller.team,
        agent: body.agent_id.parse().map_err(|error| ApiError::InvalidRequest(format!("/agent_id: {error}")))?,
        id,
        message: body.message.filter(|text| !text.is_empty()).map(|text| Said { id: app.ambient.id(now), text }),
        webhook,
        now,
    };
    let fresh = sandboxes::fresh(app.ambient.as_ref(), change.caller.team, now);
    let given = body.sandbox_id;
    let started = async move |tx: &mut Tx<'_>| {
        let found = agents::get_with_build(tx, wanted.team, wanted.agent).await?;
        let (agent, build) = found.ok_or_else(|| ApiError::no_such("agent"))?;
        let sandbox = if let Some(id) = given {
            sandboxes::live(tx, wanted.team, &id, now).await?
        } else {
            storage::sandboxes::insert(tx, &fresh).await?;
            fresh
        };
        let build = build.ok_or(ApiError::AgentHasNoBuild)?;
        let run = shown(&wanted.insert(tx, &agent.name, build.id, sandbox.id).await?);
        let done = Done::new(StatusCode::CREATED, &RunAnswer { run }, "run.start", id)?;
        done.with(warning.map(|warning| (WARNING, warning)))
    };
    shared.change(change, asked, Some(id), started).await
}

/// A warning if nothing will come of what is asked of a run, nor of what its status promises, before a newer version of Errand is there.
pub(crate) async fn held_up(tx: &mut Tx<'_>, run: &RunRow) -> Result<Option<[(HeaderName, HeaderValue); 1]>, ApiError> {
    let moves = run.completed_at.is_none() && run.status != Status::Waiting;
    let held_up = moves && work::needs_newer(tx, run.id).await?;
    Ok(held_up.then(|| [(WARNING, HeaderValue::from_static(NEEDS_NEWER))]))
}

/// `run.get`: with the question it waits for.
pub(crate) async fn get(
    caller: Caller<MayRead>,
    Id(id): Id<RunId>,
    _: Query<Nothing>,
    State(shared): State<Arc<Shared>>,
) -> Result<impl IntoResponse, ApiError> {
    let found = shared.app.db.read::<_, ApiError, _>(async |tx| {
        let run = find(tx, caller.team, id).await?;
        // A run that does not wait any more may still have a request that its worker has not closed yet.
        let asked =
            if run.status == Status::Waiting { human_requests::pending(tx, caller.team, id).await? } else { None };
        let warning = held_up(tx, &run).await?;
        Ok((run, asked, warning))
    });
    let (run, asked, warning) = found.await?;
    Ok((warning, Json(RunDetail { run: shown(&run), pending_human_request: asked.map(pending) })))
}

/// `run.stop`: success also when there is nothing left to stop, but not where it has to wait for a newer version of Errand.
pub(crate) async fn stop(
    change: Change<MayRun>,
    Id(id): Id<RunId>,
    _: Query<Nothing>,
    State(shared): State<Arc<Shared>>,
    Ignored(asked): Ignored,
) -> Result<Response, ApiError> {
    let (team, now) = (change.caller.team, shared.app.ambient.now());
    let stop = async move |tx: &mut Tx<'_>| {
        let run = find(tx, team, id).await?;
        let warning = held_up(tx, &run).await?;
        let message = if run.completed_at.is_none() {
            let event = Event::Interrupted { by: "stop_request".to_owned() };
            runs::tell(tx, team, id, &event, now).await?;
            match &warning {
                None => "The run is being stopped.".to_owned(),
                Some(_) => "The stop is noted, but the run needs a newer version of Errand than this server's, which alone can stop it.".to_owned(),
            }
        } else {
            format!("The run is {} already: there was nothing to stop.", run.status.word())
        };
        let answer = StopAnswer { success: warning.is_none(), message: Some(message) };
        Done::new(StatusCode::OK, &answer, "run.stop", id)?.after(&shown(&run))?.with(warning.into_iter().flatten())
    };
    shared.change(change, asked, Some(id), stop).await
}

/// The team's run, or the 404 that says nothing about whose it is.
pub(crate) async fn find(tx: &mut Tx<'_>, team: TeamId, id: RunId) -> Result<RunRow, ApiError> {
    runs::get(tx, team, id).await?.ok_or_else(|| ApiError::no_such("run"))
}

/// A run that is asked for, before it is known what it runs on.
struct Wanted {
    team: TeamId,
    agent: AgentId,
    id: RunId,
    message: Option<Said>,
    webhook: Option<(String, String)>,
    now: Timestamp,
}

impl Wanted {
    async fn insert(
        self,
        tx: &mut Tx<'_>,
        agent_name: &str,
        build: BuildId,
        sandbox: String,
    ) -> Result<RunRow, ApiError> {
        let new = NewRun {
            id: self.id,
            agent: self.agent,
            build,
            sandbox,
            title: title(self.message.as_ref(), agent_name),
            source: SOURCE,
            webhook: self.webhook,
            message: self.message,
            created_at: self.now,
        };
        Ok(runs::insert(tx, self.team, new).await?)
    }
}

/// One line that tells a run from others: how its message begins, or whose run it is.
fn title(message: Option<&Said>, agent_name: &str) -> String {
    let lines = message.into_iter().flat_map(|said| said.text.lines()).map(str::trim);
    let line = lines.into_iter().find(|line| !line.is_empty()).unwrap_or(agent_name);
    line.chars().take(TITLE_MAX).collect()
}

/// A URL to call back, with its origin; and, if as things are it will never be called, why.
fn webhook(app: &App, text: String) -> Result<((String, String), Option<String>), ApiError> {
    // `Url` repairs much; what others would not read as a URL at all is none.
    let plain = text.parse::<Uri>().is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    let fits = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    let url = Url::parse(&text).ok().filter(|url| plain && text.len() <= WEBHOOK_MAX && fits(url));
    let Some(url) = url else {
        let expected = format!("expected an absolute http or https URL of at most {WEBHOOK_MAX} bytes");
        return Err(ApiError::InvalidRequest(format!("/webhook_url: {expected}")));
    };
    // It could never be called, and would be kept and shown as it is.
    if text.parse::<Uri>().is_ok_and(|uri| uri.authority().is_some_and(|whole| whole.as_str().contains('@'))) {
        let expected =
            "expected a URL without user name and password. Deliveries are signed, which a receiver can check";
        return Err(ApiError::InvalidRequest(format!("/webhook_url: {expected}.")));
    }
    let warning = app.egress.policy().check(&text).err().map(|error| error.for_user());
    Ok(((text, url.origin().ascii_serialization()), warning))
}

fn shown(run: &RunRow) -> Run {
    Run {
        id: run.id.to_string(),
        agent_id: run.agent.to_string(),
        build_id: run.build.to_string(),
        status: run.status.word().to_owned(),
        source: Some(run.source.clone()),
        sandbox_id: Some(run.sandbox.clone()),
        started_at: run.started_at.map(|at| at.to_string()),
        completed_at: run.completed_at.map(|at| at.to_string()),
        created_at: run.created_at.to_string(),
        updated_at: run.updated_at.to_string(),
        human_in_the_loop_enabled: true,
    }
}

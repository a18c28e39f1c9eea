//! The models of this world behind one trait: Anthropic Messages, OpenAI Responses, OpenAI Chat Completions (and every server that speaks
//! it), Gemini.
//!
//! | A name such as | goes to | in the language |
//! |---|---|---|
//! | `claude-…` | Anthropic | Messages |
//! | `gpt-…`, `o3…` | OpenAI | Responses |
//! | `gemini-…` | Gemini | `streamGenerateContent` |
//! | anything else | the compatible server, or OpenAI's base URL without one | Chat Completions |
//!
//! Here: [`Providers`], the order of fallbacks. Not here: retries and waiting, which the run's journal counts.
//! Next: `providers/route.rs` for the choice, `providers/call.rs` for one call, one module per language for its JSON,
//! `providers/sampling.rs` for the settings that a model takes, `providers/failure.rs` for what may go wrong.

mod call;
mod carry;
mod chat;
mod draft;
mod failure;
mod gemini;
pub(crate) mod http;
mod json;
mod messages;
mod pictures;
mod responses;
mod retry_after;
mod route;
mod sampling;
mod span;
mod sse;
mod talk;

use domain::builds::Sampling;
use domain::runs::ModelFailure;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tracing::Instrument as _;

use self::http::Clients;
pub use self::http::NoClient;
use self::route::{Route, StandIn};
use crate::Meters;
use crate::models::{Answer, Model, TurnRequest};
use crate::settings::{Endpoint, ModelSettings, Origin};

/// Every model that the operator's settings can reach.
#[derive(Debug)]
pub struct Providers {
    settings: ModelSettings,
    stand_in: Option<StandIn>,
    clients: Clients,
    meters: Meters,
}

impl Providers {
    /// The models of `settings`; nothing is called yet.
    pub fn new(settings: ModelSettings) -> Result<Self, NoClient> {
        Ok(Self { settings, stand_in: None, clients: Clients::new()?, meters: Meters::default() })
    }

    /// Lets `model` of the server at `base_url` (with `/v1`) answer every name that has no provider of its own.
    #[must_use]
    pub fn with_stand_in(mut self, base_url: &str, model: &str) -> Self {
        let base_url = base_url.trim_end_matches('/').to_owned();
        let endpoint = Endpoint { base_url, key: None, wire: None, origin: Origin::Found };
        self.stand_in = Some(StandIn { endpoint, model: model.to_owned() });
        self
    }

    /// Counts calls in `meters`.
    #[must_use]
    pub fn with_meters(self, meters: Meters) -> Self {
        Self { meters, ..self }
    }

    /// Whether anything can be called at all.
    pub fn is_empty(&self) -> bool {
        self.settings.services.is_empty() && self.stand_in.is_none()
    }

    /// One line for the operator: who is there and where. Never a key.
    pub fn describe(&self) -> String {
        let known = self.settings.services.iter().map(|(service, endpoint)| {
            let key = if endpoint.key.is_some() { "" } else { ", without a key" };
            format!("{service} at {}{key}", shown(&endpoint.base_url))
        });
        let found = self.stand_in.iter().map(|stand_in| {
            format!("\"{}\" at {} for every other name", stand_in.model, shown(&stand_in.endpoint.base_url))
        });
        let all: Vec<_> = known.chain(found).collect();
        if all.is_empty() { "no model".to_owned() } else { all.join("; ") }
    }

    /// What an answer says that came in these chunks from whoever serves the model of `request`. Nobody is asked; where a chunk ends means
    /// nothing.
    ///
    /// # Errors
    /// As for a turn that is answered so.
    pub fn read<'c>(
        &self,
        request: &TurnRequest<'_>,
        chunks: impl IntoIterator<Item = &'c [u8]>,
    ) -> Result<Answer, ModelFailure> {
        call::read(self.settings.defaults.max_answer_bytes, &self.route(request.model)?, request, chunks)
    }

    async fn ask(&self, request: TurnRequest<'_>) -> Result<Answer, ModelFailure> {
        let mut failed = match self.ask_one(&request).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        for model in route::fallbacks(&self.settings, request.model) {
            match self.ask_one(&TurnRequest { model, ..request }).await {
                Ok(answer) => {
                    // Somebody else is paid now: the operator should know.
                    tracing::warn!(code = failed.code, "{model} answers as a fallback: {}", failed.message);
                    return Ok(answer);
                }
                Err(failure) => {
                    tracing::warn!(code = failure.code, "fallback failed as well: {}", failure.message);
                    // The run rests and tries again if anybody may answer then.
                    if failure.retryable && !failed.retryable {
                        failed = failure;
                    }
                }
            }
        }
        Err(failed)
    }

    async fn ask_one(&self, request: &TurnRequest<'_>) -> Result<Answer, ModelFailure> {
        let route = self.route(request.model)?;
        let called = call::call(&self.clients, &self.settings.defaults, &route, request);
        let span = span::chat(&route, request);
        let came = called.instrument(span.clone()).await;
        span::note(&span, &came);
        self.meters.called(route.service.word(), &route.model, &came);
        came
    }

    fn route(&self, model: &str) -> Result<Route<'_>, ModelFailure> {
        route::route(&self.settings, self.stand_in.as_ref(), model)
    }
}

impl Model for Providers {
    fn turn<'a>(&'a self, request: TurnRequest<'a>) -> BoxFuture<'a, Result<Answer, ModelFailure>> {
        self.ask(request).boxed()
    }

    fn notes(&self, model: &str, sampling: &Sampling) -> Vec<String> {
        // Without a route the first turn fails and says so.
        self.route(model).map_or_else(|_| Vec::new(), |route| sampling::unused(&route, sampling))
    }
}

/// A base URL without a name and password that someone may have put into it.
fn shown(base_url: &str) -> String {
    match (base_url.split_once("://"), base_url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => base_url.to_owned(),
    }
}

//! From a model's name to the service, the language and the address that answer it.
//!
//! Here: [`Route`] and the rules of choosing one. The table of names itself is [`domain::models`]; the operator's rows come from
//! [`crate::settings`]. Not here: any call.

use domain::models::{Provider, Remaps, Resolved, resolve};
use domain::runs::ModelFailure;
use serde::{Deserialize, Serialize};

use super::failure;
use crate::settings::{Endpoint, ModelRow, ModelSettings, OpenAiWire, Service};

/// How one turn reaches its model.
#[derive(Debug, Clone)]
pub(super) struct Route<'a> {
    pub(super) service: Service,
    pub(super) wire: Wire,
    pub(super) endpoint: &'a Endpoint,
    /// The name to send.
    pub(super) model: String,
    /// Whether the name asked for the context of a million tokens.
    pub(super) long_context: bool,
    pub(super) price: Option<Price>,
}

/// The languages we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wire {
    /// Anthropic Messages.
    Messages,
    /// OpenAI Responses.
    Responses,
    /// OpenAI Chat Completions.
    Chat,
    /// Gemini `streamGenerateContent`.
    Gemini,
}

/// US dollars per million tokens, which is the same as millionths of a dollar per token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Price {
    pub(super) input: f64,
    pub(super) output: f64,
    pub(super) cached: f64,
}

/// A model found on this machine that answers every name nobody else serves.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StandIn {
    pub(super) endpoint: Endpoint,
    pub(super) model: String,
}

/// The way to `name`, or the permanent failure that says how to make one.
pub(super) fn route<'a>(
    settings: &'a ModelSettings,
    stand_in: Option<&'a StandIn>,
    name: &str,
) -> Result<Route<'a>, ModelFailure> {
    let resolved = resolve(name, &remaps(settings));
    let rows = Rows { asked: row(settings, name), real: settings.models.get(&resolved.model) };
    let price = price(&rows);
    let wanted = rows.get(|row| row.provider);
    let service = wanted.unwrap_or_else(|| own_service(settings, resolved.provider));
    if let Some(endpoint) = settings.services.get(&service) {
        let wire = wire(service, rows.get(|row| row.wire).or(endpoint.wire), resolved.provider);
        let Resolved { model, long_context, .. } = resolved;
        return Ok(Route { service, wire, endpoint, model, long_context, price });
    }
    match stand_in {
        // A row that names a provider means that provider.
        Some(StandIn { endpoint, model }) if wanted.is_none() => Ok(Route {
            service: Service::Compatible,
            wire: Wire::Chat,
            endpoint,
            model: model.clone(),
            long_context: false,
            price,
        }),
        _ => Err(failure::no_model(name, &resolved.model, service)),
    }
}

/// The names to try when `name` fails, in the operator's order.
pub(super) fn fallbacks<'a>(settings: &'a ModelSettings, name: &str) -> &'a [String] {
    row(settings, name).map_or(&[], |row| row.fallbacks.as_slice())
}

/// The row of a name, or that of the name without its long-context mark.
fn row<'a>(settings: &'a ModelSettings, name: &str) -> Option<&'a ModelRow> {
    settings.models.get(name).or_else(|| settings.models.get(name.strip_suffix("[1m]")?))
}

fn remaps(settings: &ModelSettings) -> Remaps {
    settings.models.iter().filter_map(|(name, row)| Some((name.clone(), row.instead.clone()?))).collect()
}

/// What the operator says about the name that was asked for comes before what is said about the real model.
struct Rows<'a> {
    asked: Option<&'a ModelRow>,
    real: Option<&'a ModelRow>,
}

impl Rows<'_> {
    fn get<T>(&self, field: impl Fn(&ModelRow) -> Option<T>) -> Option<T> {
        self.asked.and_then(&field).or_else(|| self.real.and_then(&field))
    }
}

fn price(rows: &Rows<'_>) -> Option<Price> {
    let input = rows.get(|row| row.input_price);
    let output = rows.get(|row| row.output_price);
    (input.is_some() || output.is_some()).then(|| {
        let input = input.unwrap_or(0.0);
        Price { input, output: output.unwrap_or(0.0), cached: rows.get(|row| row.cached_price).unwrap_or(input) }
    })
}

/// Names that no vendor claims go to the compatible server; without one to OpenAI, whose base URL may well be such a server.
fn own_service(settings: &ModelSettings, provider: Provider) -> Service {
    match provider {
        Provider::Anthropic => Service::Anthropic,
        Provider::Gemini => Service::Gemini,
        Provider::OpenAiResponses => Service::OpenAi,
        Provider::OpenAiCompatible => {
            let only_openai = !settings.services.contains_key(&Service::Compatible)
                && settings.services.contains_key(&Service::OpenAi);
            if only_openai { Service::OpenAi } else { Service::Compatible }
        }
    }
}

fn wire(service: Service, told: Option<OpenAiWire>, provider: Provider) -> Wire {
    match (service, told) {
        (Service::Anthropic, _) => Wire::Messages,
        (Service::Gemini, _) => Wire::Gemini,
        (_, Some(OpenAiWire::Responses)) => Wire::Responses,
        (Service::OpenAi, None) if provider == Provider::OpenAiResponses => Wire::Responses,
        (Service::OpenAi | Service::Compatible, _) => Wire::Chat,
    }
}

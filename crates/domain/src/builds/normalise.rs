//! From submitted JSON to a typed config: what is accepted, what is repaired, what is refused.
//!
//! Here: [`normalise`], a pure function of its arguments that gives its own output back unchanged.
//! It repairs only what the v1 API is known to have accepted (contract C1, A6, A7); anything else
//! that could not be served again is a [`Flaw`] (A5).
//! Not here: the parts of a config (`input.rs`, `tools.rs`, `options.rs`).

use std::ops::Bound;

use serde_json::Value;

use super::secrets::Vault;
use super::{
    AGENT_MODELS, AgentModel, BROWSING_MODELS, BROWSING_PROVIDERS, BrowserProvider, Browsing, Config, ConfigV1,
    ConfigV2, Input, Models, Options, Secrets, TextFormat, TextSettings, Tool,
};
use crate::shape::{Cursor, Flaw, Object};

/// A config that was accepted, and what was done to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalised {
    /// The config to store and serve; it holds no secrets.
    pub config: Config,
    /// The paths, from the config's root, where a value was replaced or filled in with a meaning the
    /// sender did not write. Dropped nulls and arrays that default to `[]` mean the same as before and
    /// are not listed. For the header `x-errand-normalized`.
    pub notes: Vec<&'static str>,
    /// Header values taken out of the config.
    pub secrets: Secrets,
}

/// What is filled in where a config leaves a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    browsing: Browsing,
}

impl Defaults {
    /// Takes the browsing pair from the operator's settings; a flaw unless the contract allows it.
    pub fn new(provider: &str, model: &str) -> Result<Self, Flaw> {
        let value = serde_json::json!({"provider": provider, "model": model});
        let browsing = Cursor::new(&value, "/browsing").open_object()?;
        browsing.required("provider")?.one_of(&BROWSING_PROVIDERS)?;
        browsing.required("model")?.one_of(&BROWSING_MODELS)?;
        Ok(Self { browsing: Browsing { provider: provider.to_owned(), model: model.to_owned() } })
    }
}

impl Default for Defaults {
    /// The pair that public clients of the v1 API send.
    fn default() -> Self {
        let browsing = Browsing { provider: "anthropic".to_owned(), model: "claude-sonnet-4-5".to_owned() };
        Self { browsing }
    }
}

/// Reads a submitted config that stands at `base_pointer` of the request body.
///
/// `previous` are the secrets of the Assignment's latest Build, from which a redacted header value
/// is taken again. The first thing wrong is returned as a [`Flaw`], which never shows a header value.
pub fn normalise(
    submitted: &Value,
    base_pointer: &str,
    defaults: &Defaults,
    previous: Option<&Secrets>,
) -> Result<Normalised, Flaw> {
    let config = Cursor::new(submitted, base_pointer).object(&["version", "data"])?;
    let mut notes = Vec::new();
    let mut vault = Vault::new(previous);
    let config = match read_version(&config, &mut notes)? {
        "v1" => Config::V1(read_v1(&config.required("data")?, &mut vault)?),
        _ => Config::V2(read_v2(&config.required("data")?, defaults, &mut notes)?),
    };
    Ok(Normalised { config, notes, secrets: vault.into_secrets() })
}

/// The version as given or, when absent, as the kind of model setting tells it (contract A6).
fn read_version(config: &Object<'_>, notes: &mut Vec<&'static str>) -> Result<&'static str, Flaw> {
    if let Some(at) = config.optional("version") {
        return at.one_of(&["v1", "v2"]);
    }
    let data = config.required("data")?.open_object()?;
    notes.push("version");
    if data.has("models") {
        Ok("v2")
    } else if data.has("model") {
        Ok("v1")
    } else {
        let expected = "\"v1\" or \"v2\", since data has neither model nor models to tell it by";
        Err(Flaw::new(config.pointer_to("version"), expected))
    }
}

fn read_v1(at: &Cursor<'_>, vault: &mut Vault<'_>) -> Result<ConfigV1, Flaw> {
    let data = at.object(&[
        "model",
        "input",
        "temperature",
        "max_output_tokens",
        "top_p",
        "store",
        "tools",
        "text",
        "files",
        "skills",
    ])?;
    let positive = (Bound::Excluded(0.0), Bound::Unbounded);
    Ok(ConfigV1 {
        model: data.required("model")?.string()?.to_owned(),
        input: Input::read(&data.required("input")?)?,
        temperature: data.read("temperature", |at| at.number_in(0.0..=2.0))?,
        max_output_tokens: data.read("max_output_tokens", |at| at.number_in(positive))?,
        top_p: data.read("top_p", |at| at.number_in(0.0..=1.0))?,
        store: data.read("store", Cursor::boolean)?,
        tools: data.read("tools", |at| at.array()?.map(|item| Tool::read(&item, vault)).collect())?,
        text: data.read("text", read_text)?,
        files: read_ids(&data, "files")?,
        skills: read_ids(&data, "skills")?,
    })
}

fn read_v2(at: &Cursor<'_>, defaults: &Defaults, notes: &mut Vec<&'static str>) -> Result<ConfigV2, Flaw> {
    let data = at.object(&["models", "input", "files", "skills", "plugins", "options"])?;
    let models = data.required("models")?.object(&["agent", "browsing"])?;
    let agent = models.required("agent")?.object(&["model"])?;
    let model = agent.required("model")?.one_of(&AGENT_MODELS)?.to_owned();
    let browsing = models.read("browsing", read_browsing)?;
    let mut options = data.read("options", Options::read)?;
    let infrastructure = browsing.as_ref().and_then(|pair| BrowserProvider::named(&pair.provider));
    if let Some(provider) = infrastructure {
        move_browser_provider(provider, &mut options, notes);
    }
    Ok(ConfigV2 {
        models: Models {
            agent: AgentModel { model },
            browsing: browsing.filter(is_allowed).unwrap_or_else(|| {
                notes.push("data.models.browsing");
                defaults.browsing.clone()
            }),
        },
        input: Input::read(&data.required("input")?)?,
        files: read_ids(&data, "files")?,
        skills: read_ids(&data, "skills")?,
        plugins: read_ids(&data, "plugins")?,
        options,
    })
}

/// Any pair of strings: those outside the contract's lists are replaced, not refused (C1).
fn read_browsing(at: &Cursor<'_>) -> Result<Browsing, Flaw> {
    let browsing = at.object(&["provider", "model"])?;
    Ok(Browsing {
        provider: browsing.required("provider")?.string()?.to_owned(),
        model: browsing.required("model")?.string()?.to_owned(),
    })
}

fn is_allowed(pair: &Browsing) -> bool {
    BROWSING_PROVIDERS.contains(&pair.provider.as_str()) && BROWSING_MODELS.contains(&pair.model.as_str())
}

/// Old scripts name the browser's host where its model belongs; the option is its place now, unless
/// the sender already filled it (C1).
fn move_browser_provider(provider: BrowserProvider, options: &mut Option<Options>, notes: &mut Vec<&'static str>) {
    let chosen = &mut options.get_or_insert_default().browser_provider;
    if chosen.is_none() {
        *chosen = Some(provider);
        notes.push("data.options.browserProvider");
    }
}

fn read_text(at: &Cursor<'_>) -> Result<TextSettings, Flaw> {
    let formats = [("text", TextFormat::Text), ("json_object", TextFormat::JsonObject)];
    let format =
        at.object(&["format"])?.read("format", |at| at.object(&["type"])?.required("type")?.choice(&formats))?;
    Ok(TextSettings { format })
}

/// A list of strings that is empty when absent or null (contract A10).
fn read_ids(data: &Object<'_>, key: &str) -> Result<Vec<String>, Flaw> {
    Ok(data.read(key, Cursor::strings)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;

//! What the operator says about models: the parts `[providers]`, `[models]` and `[models_default]` of `errand.toml`, and the variables
//! that the vendors' own SDKs read.
//!
//! Here: reading both into [`ModelSettings`]. The file wins over the environment, value by value.
//! Next: `settings/service.rs` for one provider's address and key. Not here: choosing a provider for a name ([`crate::providers`]), looking for a local server ([`crate::discover`]), reading the file.

mod service;

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use self::service::ProviderRow;

/// Everything the operator settled about models.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelSettings {
    /// The services that can be reached, and how.
    pub services: BTreeMap<Service, Endpoint>,
    /// `[models."NAME"]`, by name.
    pub models: BTreeMap<String, ModelRow>,
    /// `[models_default]`.
    pub defaults: ModelDefaults,
}

/// Somebody who serves models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Anthropic, or what stands at its base URL.
    Anthropic,
    /// OpenAI, or what stands at its base URL.
    OpenAi,
    /// Google's Gemini API.
    Gemini,
    /// A server of the operator's own that speaks OpenAI's language: Ollama, vLLM, llama.cpp, LM Studio and the like.
    Compatible,
}

/// Which of OpenAI's two languages is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OpenAiWire {
    /// `POST {base}/responses`.
    Responses,
    /// `POST {base}/chat/completions`.
    Chat,
}

/// Where a service is and how it lets us in.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// As the vendor's SDK takes it: Anthropic and Gemini without a version, OpenAI's and compatible ones with `/v1`. No slash at the end.
    pub base_url: String,
    /// The API key; local servers often want none.
    pub key: Option<Key>,
    /// The language, where the operator fixed it.
    pub wire: Option<OpenAiWire>,
    /// Where this came from, for the line that says which model was taken.
    pub origin: Origin,
}

/// Who told us about an [`Endpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `errand.toml`.
    File,
    /// Environment variables.
    Environment,
    /// A look at the usual ports of this machine.
    Found,
}

/// An API key. Shows itself to nobody; [`Key::expose`] is for the request header.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

/// What the operator says about one model name.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRow {
    /// The name to use instead; it goes through the table of names again, once.
    #[serde(rename = "use")]
    pub instead: Option<String>,
    /// Who serves it, against the table of names.
    pub provider: Option<Service>,
    /// OpenAI's language for it.
    pub wire: Option<OpenAiWire>,
    /// Names to try at once, in this order, when this one fails.
    #[serde(default)]
    pub fallbacks: Vec<String>,
    /// US dollars per million prompt tokens.
    pub input_price: Option<f64>,
    /// US dollars per million answer tokens, reasoning included.
    pub output_price: Option<f64>,
    /// US dollars per million prompt tokens read from the provider's cache; without it they cost as much as others.
    pub cached_price: Option<f64>,
}

/// Bounds of every turn that `errand.toml` does not set by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelDefaults {
    /// Tokens an answer may have when the Build does not say. Unset: Anthropic gets the documented maximum of the model (its API wants a
    /// number), the others decide for themselves.
    pub max_output_tokens: Option<u32>,
    /// Seconds without a byte before a provider counts as hung. Reasoning models and long prompts on a CPU are silent for minutes.
    pub idle_timeout_secs: u64,
    /// Seconds a whole turn may take: a provider that sends a token now and then never goes idle.
    pub turn_timeout_secs: u64,
    /// Bytes of events one turn may send. No honest answer comes near; an endless one must not fill the memory.
    pub max_answer_bytes: u64,
}

impl Default for ModelDefaults {
    fn default() -> Self {
        Self {
            max_output_tokens: None,
            idle_timeout_secs: 600,
            turn_timeout_secs: 20 * 60,
            max_answer_bytes: 16 * 1024 * 1024,
        }
    }
}

/// A setting that cannot be used, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {key}: {problem}")]
pub struct SettingsError {
    /// The file as it was named to us.
    pub file: String,
    /// Dotted path of the key, such as `providers.openai.wire`.
    pub key: String,
    /// What is wrong and what is allowed.
    pub problem: String,
}

/// `[providers]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ProviderRows {
    anthropic: Option<ProviderRow>,
    openai: Option<ProviderRow>,
    gemini: Option<ProviderRow>,
    compatible: Option<ProviderRow>,
}

impl ModelSettings {
    /// Reads the model parts of `table` (a whole `errand.toml`; other parts are none of our business) and fills up from the environment,
    /// which comes as a function. `file` is for error messages only.
    pub fn read(table: &toml::Table, file: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let error = |key: String, problem: String| SettingsError { file: file.to_owned(), key, problem };
        let rows: ProviderRows = part(table, "providers", file)?;
        let rows = [
            (Service::Anthropic, rows.anthropic),
            (Service::OpenAi, rows.openai),
            (Service::Gemini, rows.gemini),
            (Service::Compatible, rows.compatible),
        ];
        let mut services = BTreeMap::new();
        for (service, row) in rows {
            if service.has_one_wire() && row.as_ref().is_some_and(|row| row.wire.is_some()) {
                return Err(error(
                    format!("providers.{service}.wire"),
                    "only openai and compatible have a choice of wire".to_owned(),
                ));
            }
            let endpoint = service
                .endpoint(row, env)
                .map_err(|(key, problem)| error(format!("providers.{service}.{key}"), problem))?;
            services.extend(endpoint.map(|endpoint| (service, endpoint)));
        }
        let read =
            Self { services, models: part(table, "models", file)?, defaults: part(table, "models_default", file)? };
        match read.flaw() {
            Some((key, problem)) => Err(error(key, problem.to_owned())),
            None => Ok(read),
        }
    }
}

impl ModelSettings {
    /// A setting with which no turn could succeed, or no bill be right.
    fn flaw(&self) -> Option<(String, &'static str)> {
        let bounds = [
            ("idle_timeout_secs", self.defaults.idle_timeout_secs),
            ("turn_timeout_secs", self.defaults.turn_timeout_secs),
            ("max_answer_bytes", self.defaults.max_answer_bytes),
            ("max_output_tokens", self.defaults.max_output_tokens.map_or(1, u64::from)),
        ];
        if let Some((key, _)) = bounds.iter().find(|(_, bound)| *bound == 0) {
            return Some((format!("models_default.{key}"), "expected at least 1"));
        }
        self.models.iter().find_map(|(name, row)| {
            let prices = [row.input_price, row.output_price, row.cached_price];
            let wrong = prices.into_iter().flatten().any(|price| !price.is_finite() || price < 0.0);
            if wrong {
                Some((format!("models.{name}"), "expected prices of 0 or more"))
            } else if row.fallbacks.contains(name) {
                Some((format!("models.{name}.fallbacks"), "expected other names than its own"))
            } else {
                None
            }
        })
    }
}

/// One top-level part of the file, or its default when it is not there.
fn part<T: DeserializeOwned + Default>(table: &toml::Table, name: &str, file: &str) -> Result<T, SettingsError> {
    let Some(value) = table.get(name) else { return Ok(T::default()) };
    serde_path_to_error::deserialize(value.clone()).map_err(|flaw| SettingsError {
        file: file.to_owned(),
        key: format!("{name}.{}", flaw.path()),
        problem: flaw.inner().to_string().trim().replace('\n', " "),
    })
}

impl Service {
    /// What it is called in settings, messages and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
            Self::Gemini => "gemini",
            Self::Compatible => "compatible",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Key {
    /// Wraps a key.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

//! The config of a Build after normalising, field by field as the v1 API serves it.
//!
//! Here: the two versions of the config and the names the contract closes them to. Serialising gives
//! the served JSON; deserialising is for text that [`super::normalise`] accepted and storage kept.
//! Not here: reading what people submit (`normalise.rs`), what fields mean to a run (`serving.rs`).

use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::{Input, Options, Tool};

/// The model names a v2 config may have for the agent, in the contract's order.
pub const AGENT_MODELS: [&str; 24] = [
    "claude-sonnet-4-20250514",
    "claude-sonnet-4-20250514[1m]",
    "claude-sonnet-4-5-20250929",
    "claude-sonnet-4-5-20250929[1m]",
    "claude-opus-4-1-20250805",
    "claude-opus-4-5-20251101",
    "claude-sonnet-4-6",
    "claude-sonnet-4-6[1m]",
    "claude-opus-4-6",
    "claude-opus-4-6[1m]",
    "claude-opus-4-7",
    "claude-opus-4-7[1m]",
    "d1-max",
    "duvo-1-max",
    "duvo-1-max-sonnet-1m",
    "duvo-1-max-sonnet-4.5",
    "duvo-1-max-sonnet-4.5-1m",
    "duvo-1-max-opus",
    "duvo-1-max-opus-4.5",
    "gpt-4.1",
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-5",
    "gpt-5.1",
];

/// The providers a v2 config may name for browsing.
pub const BROWSING_PROVIDERS: [&str; 2] = ["google", "anthropic"];

/// The models a v2 config may name for browsing; any of them goes with any provider (contract A12).
pub const BROWSING_MODELS: [&str; 6] = [
    "gemini-2.5-pro",
    "gemini-2.5-flash",
    "gemini-3-pro-preview",
    "claude-haiku-4-5",
    "claude-sonnet-4-5",
    "claude-opus-4-1",
];

/// A normalised config: `{"version": …, "data": …}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "version", content = "data")]
pub enum Config {
    /// One freely named model, sampling settings and MCP tools.
    #[serde(rename = "v1")]
    V1(ConfigV1),
    /// A pair of models from closed lists, plugins and options.
    #[serde(rename = "v2")]
    V2(ConfigV2),
}

/// The data of a v1 config. Numbers are kept as they were written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigV1 {
    /// Any model name.
    pub model: String,
    /// The SOP, or a conversation that holds it.
    pub input: Input,
    /// Randomness, 0 to 2; providers with a smaller range clamp it when called (contract A39).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Number>,
    /// Most tokens of one answer, above 0 and perhaps not whole (contract A40).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<Number>,
    /// Nucleus sampling, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<Number>,
    /// Whether the provider may keep the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<bool>,
    /// Remote tools, header values redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<Tool>>,
    /// The form of the final answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextSettings>,
    /// Ids of team files.
    pub files: Vec<String>,
    /// Ids of skills.
    pub skills: Vec<String>,
}

/// `text` of a v1 config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextSettings {
    /// Plain text when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<TextFormat>,
}

/// The form of the final answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TextFormat {
    /// Plain text.
    Text,
    /// One JSON object.
    JsonObject,
}

/// The data of a v2 config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigV2 {
    /// Which models work.
    pub models: Models,
    /// The SOP, or a conversation that holds it.
    pub input: Input,
    /// Ids of team files.
    pub files: Vec<String>,
    /// Ids of skills.
    pub skills: Vec<String>,
    /// Built-in names or repository URLs.
    pub plugins: Vec<String>,
    /// Further settings; an open object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Options>,
}

/// `models` of a v2 config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Models {
    /// The model of the main loop.
    pub agent: AgentModel,
    /// The model that would drive a browser.
    pub browsing: Browsing,
}

/// `models.agent` of a v2 config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentModel {
    /// One of [`AGENT_MODELS`].
    pub model: String,
}

/// `models.browsing` of a v2 config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Browsing {
    /// One of [`BROWSING_PROVIDERS`].
    pub provider: String,
    /// One of [`BROWSING_MODELS`].
    pub model: String,
}

//! The config of a build as the API serves it: the shape behind the text that [`crate::builds`]
//! passes along.
//!
//! Nothing here stands between a request and the database. What a submitted config may look like
//! before it is normalised, and what it means, is the domain's business; these types describe the
//! result, for the API's document and for clients that want more than JSON text.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

mod inputs;
mod tools;

pub use inputs::{Content, Detail, Input, InputMessage, MessageType, Part, Role};
pub use tools::{AllowedTools, Always, ApprovalByTool, Never, RequireApproval, Tool, ToolNames, ToolType};

/// The model names that `models.agent.model` of a v2 config may have.
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
/// The providers that `models.browsing` of a v2 config may name.
pub const BROWSING_PROVIDERS: [&str; 2] = ["google", "anthropic"];
/// The models that `models.browsing` of a v2 config may name.
pub const BROWSING_MODELS: [&str; 6] = [
    "gemini-2.5-pro",
    "gemini-2.5-flash",
    "gemini-3-pro-preview",
    "claude-haiku-4-5",
    "claude-sonnet-4-5",
    "claude-opus-4-1",
];

/// What an agent is to do and with what, in one of two versions. The schema lets optional keys be null; Errand leaves them out instead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "version", content = "data")]
#[schemars(deny_unknown_fields)]
pub enum Config {
    /// One model of any name, sampling settings, MCP tools.
    #[serde(rename = "v1")]
    V1(ConfigV1),
    /// Models from closed lists, plugins, options.
    #[serde(rename = "v2")]
    V2(ConfigV2),
}

/// `data` of a config of version `v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ConfigV1 {
    /// Any model name; the server's settings say who serves it.
    pub model: String,
    /// What to do: one text, or the messages that open the conversation.
    pub input: Input,
    /// Randomness, 0 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<f64>", extend("minimum" = 0, "maximum" = 2))]
    pub temperature: Option<Number>,
    /// The most tokens of one answer of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<f64>", extend("exclusiveMinimum" = 0))]
    pub max_output_tokens: Option<Number>,
    /// Nucleus sampling, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<f64>", extend("minimum" = 0, "maximum" = 1))]
    pub top_p: Option<Number>,
    /// Whether the model's provider may keep its answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<bool>,
    /// MCP servers whose tools the agent may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<Tool>>,
    /// How the final answer is to be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextSettings>,
    /// Ids of team files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = []))]
    pub files: Option<Vec<String>>,
    /// Ids of skills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = []))]
    pub skills: Option<Vec<String>>,
}

/// How the final answer is to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TextSettings {
    /// Plain text when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<TextFormat>,
}

/// The form of the final answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(deny_unknown_fields)]
pub enum TextFormat {
    /// Plain text.
    Text,
    /// One JSON object.
    JsonObject,
}

/// `data` of a config of version `v2`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ConfigV2 {
    /// Which models work.
    pub models: Models,
    /// What to do: one text, or the messages that open the conversation.
    pub input: Input,
    /// Ids of team files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = []))]
    pub files: Option<Vec<String>>,
    /// Ids of skills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = []))]
    pub skills: Option<Vec<String>>,
    /// Names of built-in plugins, or addresses of repositories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = []))]
    pub plugins: Option<Vec<String>>,
    /// Further settings; keys that are not listed are kept as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Options")]
    pub options: Option<Options>,
}

/// Which models work for a v2 config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Models {
    /// The one that does the work.
    pub agent: AgentModel,
    /// The one that drives a browser.
    pub browsing: Browsing,
}

/// The model that does the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AgentModel {
    /// A name of this list; the server's settings say which real model it stands for.
    #[schemars(extend("enum" = AGENT_MODELS))]
    pub model: String,
}

/// The model that drives a browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Browsing {
    /// Whose model it is.
    #[schemars(extend("enum" = BROWSING_PROVIDERS))]
    pub provider: String,
    /// Its name.
    #[schemars(extend("enum" = BROWSING_MODELS))]
    pub model: String,
}

/// Further settings of a v2 config, an open object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Options {
    /// Whose browsers are used.
    #[serde(rename = "browserProvider", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BrowserProvider")]
    pub browser_provider: Option<BrowserProvider>,
    /// The schema by which runs are evaluated.
    #[serde(rename = "evaluationSchemaId", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub evaluation_schema_id: Option<String>,
    /// What a benchmark expects of a run.
    #[serde(rename = "benchmarkExpectedOutcomes", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<ExpectedOutcome>")]
    pub benchmark_expected_outcomes: Option<Vec<ExpectedOutcome>>,
    /// Every other key.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// Browser services that a config can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BrowserProvider {
    /// `browserbase`
    Browserbase,
    /// `browser-use`
    BrowserUse,
}

/// One outcome that a benchmark expects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ExpectedOutcome {
    /// What should happen.
    pub description: String,
    /// How to tell that it did.
    pub criteria: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_served_reads_and_writes_unchanged() {
        for config in [
            json!({"version": "v1", "data": {
                "model": "any", "temperature": 1, "max_output_tokens": 1.5, "store": false, "files": [], "skills": [],
                "input": [{"role": "user", "type": "message", "content": [
                    {"type": "input_text", "text": "Look"},
                    {"type": "input_image", "detail": "low", "url": "https://h/i.png"},
                    {"type": "input_file", "file_id": "f"}
                ]}],
                "text": {"format": {"type": "json_object"}},
                "tools": [
                    {"type": "mcp", "server_label": "a", "server_url": "u", "require_approval": "never", "headers": {"k": "v"}},
                    {"type": "mcp", "server_label": "b", "server_url": "u", "allowed_tools": ["x"],
                        "require_approval": {"always": {"tool_names": ["x"]}}},
                    {"type": "mcp", "server_label": "c", "server_url": "u", "allowed_tools": {"tool_names": ["x"]}}
                ]
            }}),
            json!({"version": "v2", "data": {
                "models": {"agent": {"model": "gpt-5"}, "browsing": {"provider": "google", "model": "gemini-2.5-pro"}},
                "input": "Do it.", "files": ["f"], "skills": [], "plugins": [],
                "options": {"browserProvider": "browser-use", "mine": null}
            }}),
        ] {
            let read: Config = serde_json::from_value(config.clone()).expect("a config");
            assert_eq!(serde_json::to_value(read).expect("plain"), config);
        }
    }
}

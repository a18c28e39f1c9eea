//! `tools` of a v1 config: MCP servers, and what of them may be used how.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// An MCP server whose tools the agent may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Tool {
    /// The only kind of tool there is.
    #[serde(rename = "type")]
    pub kind: ToolType,
    /// What the config calls the server.
    pub server_label: String,
    /// Where the server is.
    pub server_url: String,
    /// Which of its tools may be used; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_tools: Option<AllowedTools>,
    /// Headers for the server. They are secrets: each value is shown as `[redacted]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, String>>,
    /// Which calls a person has to approve; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_approval: Option<RequireApproval>,
}

/// The kind of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ToolType {
    /// An MCP server.
    Mcp,
}

/// Which tools of a server may be used, in one of two spellings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AllowedTools {
    /// Their names.
    Names(Vec<String>),
    /// Their names in an object.
    Filter(ToolNames),
}

/// An object that may list tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ToolNames {
    /// Their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_names: Option<Vec<String>>,
}

/// Which calls a person has to approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RequireApproval {
    /// Every call.
    Always(#[schemars(schema_with = "always")] Always),
    /// No call.
    Never(#[schemars(schema_with = "never")] Never),
    /// It depends on the tool.
    ByTool(ApprovalByTool),
}

/// The word `always`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Always {
    /// Every call.
    Always,
}

/// The word `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Never {
    /// No call.
    Never,
}

/// Which tools need approval and which do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ApprovalByTool {
    /// Calls of these need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub always: Option<ToolNames>,
    /// Calls of these do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub never: Option<ToolNames>,
}

// The published schema lists the two words as two choices, not as one enum.
fn always(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "const": "always"})
}

fn never(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "const": "never"})
}

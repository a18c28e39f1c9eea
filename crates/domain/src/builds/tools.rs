//! `tools` of a v1 config: remote MCP servers.
//!
//! Here: their shape and how it is read. Not here: keeping their header values (`secrets.rs`), calling them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::secrets::Vault;
use crate::shape::{Cursor, Flaw};

/// One tool; the contract knows a single type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Tool {
    /// A remote MCP server.
    Mcp(McpTool),
}

/// A remote MCP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpTool {
    /// What the config calls it.
    pub server_label: String,
    /// Where it is; any string, since the contract asks for no more.
    pub server_url: String,
    /// Which of its tools may be used; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_tools: Option<AllowedTools>,
    /// Names of the headers sent to it, each with [`super::REDACTED`] as value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, String>>,
    /// Which calls a person must approve first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_approval: Option<RequireApproval>,
}

/// Two spellings of a list of allowed tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AllowedTools {
    /// The bare list.
    Names(Vec<String>),
    /// The list in an object.
    Filter(ToolNames),
}

/// An object that may list tool names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolNames {
    /// The names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_names: Option<Vec<String>>,
}

/// Which calls need a person's approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RequireApproval {
    /// The same for every tool.
    Mode(ApprovalMode),
    /// By the tool's name.
    ByTool {
        /// These need it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        always: Option<ToolNames>,
        /// These do not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        never: Option<ToolNames>,
    },
}

/// One rule of approval for all tools of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalMode {
    /// Every call needs it.
    Always,
    /// No call needs it.
    Never,
}

impl McpTool {
    /// Whether a Job may use the server's tool of this name.
    pub fn allows(&self, tool: &str) -> bool {
        match &self.allowed_tools {
            None => true,
            Some(AllowedTools::Names(names)) => names.iter().any(|name| name == tool),
            Some(AllowedTools::Filter(filter)) => filter.names(tool).unwrap_or(true),
        }
    }

    /// Whether a person must approve each call of the server's tool of this name. What says nothing about it wants it, as the Responses API does that
    /// this config is like.
    pub fn asks(&self, tool: &str) -> bool {
        match &self.require_approval {
            None => true,
            Some(RequireApproval::Mode(mode)) => *mode == ApprovalMode::Always,
            Some(RequireApproval::ByTool { always, never }) => {
                let named = |list: &Option<ToolNames>| list.as_ref().and_then(|list| list.names(tool)).unwrap_or(false);
                named(always) || !named(never)
            }
        }
    }
}

/// Whether a URL has a user name or a password in it.
fn names_somebody(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#', '\\']).next().is_some_and(|place| place.contains('@'))
}

impl Tool {
    pub(super) fn read(at: &Cursor<'_>, vault: &mut Vault<'_>) -> Result<Self, Flaw> {
        let tool =
            at.object(&["type", "server_label", "server_url", "allowed_tools", "headers", "require_approval"])?;
        tool.required("type")?.one_of(&["mcp"])?;
        let server_label = tool.required("server_label")?.string()?;
        let server_url = tool.required("server_url")?;
        // It could never be called, and would be kept and shown as it is.
        if names_somebody(server_url.string()?) {
            return Err(Flaw::new(
                server_url.pointer(),
                "a URL without user name and password; give `headers`, whose values are kept sealed",
            ));
        }
        let server_url = server_url.string()?;
        Ok(Self::Mcp(McpTool {
            server_label: server_label.to_owned(),
            server_url: server_url.to_owned(),
            allowed_tools: tool.read("allowed_tools", AllowedTools::read)?,
            headers: tool.read("headers", |at| vault.take(server_label, server_url, at))?,
            require_approval: tool.read("require_approval", RequireApproval::read)?,
        }))
    }
}

impl AllowedTools {
    fn read(at: &Cursor<'_>) -> Result<Self, Flaw> {
        if at.value().is_array() {
            at.strings().map(Self::Names)
        } else if at.value().is_object() {
            ToolNames::read(at).map(Self::Filter)
        } else {
            Err(at.flaw("an array of tool names or an object with tool_names"))
        }
    }
}

impl ToolNames {
    /// Whether it names the tool; `None`: it lists nothing.
    fn names(&self, tool: &str) -> Option<bool> {
        self.tool_names.as_ref().map(|names| names.iter().any(|name| name == tool))
    }

    fn read(at: &Cursor<'_>) -> Result<Self, Flaw> {
        Ok(Self { tool_names: at.object(&["tool_names"])?.read("tool_names", Cursor::strings)? })
    }
}

impl RequireApproval {
    fn read(at: &Cursor<'_>) -> Result<Self, Flaw> {
        if !at.value().is_object() {
            let modes = [("always", ApprovalMode::Always), ("never", ApprovalMode::Never)];
            let expected = "\"always\", \"never\" or an object with always and never";
            return at.choice(&modes).map(Self::Mode).map_err(|_| at.flaw(expected));
        }
        let by_tool = at.object(&["always", "never"])?;
        Ok(Self::ByTool {
            always: by_tool.read("always", ToolNames::read)?,
            never: by_tool.read("never", ToolNames::read)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: &Value) -> Result<Value, Flaw> {
        let tool = Tool::read(&Cursor::new(value, "/t"), &mut Vault::new(None))?;
        let served = serde_json::to_value(&tool).unwrap();
        assert_eq!(serde_json::from_value::<Tool>(served.clone()).unwrap(), tool);
        Ok(served)
    }

    fn tool(key: &str, value: &Value) -> Value {
        json!({"type": "mcp", "server_label": "crm", "server_url": "https://crm.example", key: value})
    }

    #[test]
    fn every_spelling_comes_out_as_it_went_in() {
        for (key, value) in [
            ("allowed_tools", json!(["a", "b"])),
            ("allowed_tools", json!([])),
            ("allowed_tools", json!({"tool_names": ["a"]})),
            ("require_approval", json!("always")),
            ("require_approval", json!("never")),
            ("require_approval", json!({"always": {"tool_names": ["a"]}, "never": {}})),
        ] {
            assert_eq!(read(&tool(key, &value)).unwrap(), tool(key, &value));
        }
    }

    #[test]
    fn a_call_is_allowed_and_approved_by_what_the_lists_say() {
        let read = |key: &str, value: &Value| {
            let Tool::Mcp(tool) = Tool::read(&Cursor::new(&tool(key, value), "/t"), &mut Vault::new(None)).unwrap();
            tool
        };
        for (list, pay, look) in [
            (json!(null), true, true),
            (json!({}), true, true),
            (json!({"tool_names": null}), true, true),
            (json!([]), false, false),
            (json!({"tool_names": []}), false, false),
            (json!(["pay"]), true, false),
            (json!({"tool_names": ["look", "Pay"]}), false, true),
        ] {
            let tool = read("allowed_tools", &list);
            assert_eq!((tool.allows("pay"), tool.allows("look")), (pay, look), "{list}");
        }
        for (rule, pay, look) in [
            (json!(null), true, true),
            (json!("always"), true, true),
            (json!("never"), false, false),
            (json!({}), true, true),
            (json!({"never": {}}), true, true),
            (json!({"never": {"tool_names": ["look"]}}), true, false),
            (json!({"always": {"tool_names": ["pay"]}}), true, true),
            (json!({"always": {"tool_names": ["pay"]}, "never": {"tool_names": ["pay", "look"]}}), true, false),
        ] {
            let tool = read("require_approval", &rule);
            assert_eq!((tool.asks("pay"), tool.asks("look")), (pay, look), "{rule}");
        }
    }

    #[test]
    fn nulls_are_left_out_at_every_depth() {
        for (key, value, left) in [
            ("allowed_tools", json!({"tool_names": null}), json!({})),
            ("require_approval", json!({"always": null, "never": {"tool_names": null}}), json!({"never": {}})),
            ("headers", json!({}), json!({})),
        ] {
            assert_eq!(read(&tool(key, &value)).unwrap()[key], left);
            assert!(read(&tool(key, &Value::Null)).unwrap().get(key).is_none());
        }
    }

    #[test]
    fn flaws_name_the_exact_place() {
        for (key, value, pointer) in [
            ("type", json!("function"), "/t/type"),
            ("server_url", json!(null), "/t/server_url"),
            ("headerz", json!({}), "/t/headerz"),
            ("allowed_tools", json!("all"), "/t/allowed_tools"),
            ("allowed_tools", json!(["a", 1]), "/t/allowed_tools/1"),
            ("require_approval", json!("sometimes"), "/t/require_approval"),
            ("require_approval", json!({"always": []}), "/t/require_approval/always"),
        ] {
            assert_eq!(read(&tool(key, &value)).unwrap_err().pointer, pointer);
        }
    }
}

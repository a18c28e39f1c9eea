//! Reads a tool's arguments, and says of a bad one which it is and what was expected.

use domain::sandboxes::SandboxPath;
use domain::turns::ToolCall;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The arguments as the tool's own closed struct.
pub(super) fn parse<T: DeserializeOwned>(call: &ToolCall) -> Result<T, String> {
    serde_path_to_error::deserialize(Value::Object(call.arguments.clone())).map_err(|error| {
        let at = error.path().to_string();
        // At the top level serde itself names the argument that is missing or unknown.
        if at == "." { error.into_inner().to_string() } else { format!("argument {at:?}: {}", error.into_inner()) }
    })
}

/// A path that names a file.
pub(super) fn file(path: &str) -> Result<SandboxPath, String> {
    SandboxPath::parse_file(path).map_err(at_path)
}

/// A path that names a folder; without one, the root.
pub(super) fn folder(path: Option<&str>) -> Result<SandboxPath, String> {
    SandboxPath::parse(path.unwrap_or_default()).map_err(at_path)
}

fn at_path(wrong: impl std::fmt::Display) -> String {
    format!("argument \"path\": {wrong}")
}

//! `write_file`: makes or replaces a text file. Safe to repeat, since the same call leaves the same file.

use domain::turns::{Outcome, ToolCall, ToolSpec};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, arguments, blocking};
use crate::workspace::Workspace;

pub(super) const NAME: &str = "write_file";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    path: String,
    content: String,
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: NAME.into(),
        description: "Create a text file in your workspace, or replace all of an existing one. Missing folders are made. Use it for the \
            results that people should get; to change a few places of a file, use edit_file. At most 10 MiB.".into(),
        parameters: json!({
            "type": "object",
            "properties": {
                "path": { "type": "string", "description": "The file, such as /workspace/out/report.csv." },
                "content": { "type": "string", "description": "All of the file's new text, exactly." },
            },
            "required": ["path", "content"],
            "additionalProperties": false,
        }),
    }
}

/// Returns `{"path", "size_bytes"}`.
pub(super) async fn run(workspace: Workspace, call: &ToolCall) -> Answer {
    let Arguments { path, content } = arguments::parse(call)?;
    let path = arguments::file(&path)?;
    let written = json!({ "path": path.to_string(), "size_bytes": content.len() });
    blocking(move || workspace.write(&path, content.as_bytes()).map_err(|error| error.to_string())).await?;
    Ok(Outcome::Ok(written))
}

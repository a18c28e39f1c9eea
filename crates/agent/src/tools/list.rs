//! `list_files`: what a folder of the sandbox holds.

use domain::sandboxes::FileInfo;
use domain::turns::{Outcome, ToolCall, ToolSpec};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, arguments, blocking};
use crate::workspace::{LIST_MAX, Workspace};

pub(super) const NAME: &str = "list_files";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    path: Option<String>,
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: NAME.into(),
        description: "List the files and folders directly in one folder of your workspace, by name, with sizes in bytes. Use it to see \
            what you were given before you read anything; list a subfolder by its own path. At most 1000 entries.".into(),
        parameters: json!({
            "type": "object",
            "properties": { "path": {
                "type": "string",
                "description": "The folder, such as /workspace/in. Without it: /workspace.",
            } },
            "additionalProperties": false,
        }),
    }
}

/// Returns `{"path", "entries": [{"name", "type": "file" | "dir", "size_bytes"}]}`, and `"truncated": true` when it is so long that there may be more.
pub(super) async fn run(workspace: Workspace, call: &ToolCall) -> Answer {
    let Arguments { path } = arguments::parse(call)?;
    let path = arguments::folder(path.as_deref())?;
    let shown = path.to_string();
    let found = blocking(move || workspace.list(&path).map_err(|error| error.to_string())).await?;
    let mut listing = json!({ "path": shown, "entries": found.iter().map(entry).collect::<Vec<_>>() });
    if found.len() == LIST_MAX {
        listing["truncated"] = Value::Bool(true);
    }
    Ok(Outcome::Ok(listing))
}

fn entry(file: &FileInfo) -> Value {
    json!({ "name": file.name, "type": if file.is_dir { "dir" } else { "file" }, "size_bytes": file.size })
}

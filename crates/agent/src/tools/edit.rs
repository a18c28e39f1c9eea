//! `edit_file`: replaces text in a file. Never repeated by itself after a crash: once done, the old text is gone.

use domain::sandboxes::{FILE_MAX, FileError, SandboxPath};
use domain::turns::{Outcome, ToolCall, ToolSpec};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, arguments, blocking};
use crate::workspace::Workspace;

pub(super) const NAME: &str = "edit_file";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    path: String,
    old: String,
    new: String,
    replace_all: Option<bool>,
}

/// What stops an edit, in words.
struct Refused(String);

impl From<FileError> for Refused {
    fn from(error: FileError) -> Self {
        Self(error.to_string())
    }
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: NAME.into(),
        description: "Replace a piece of text in a text file of your workspace. Read the file first: \"old\" must be in it exactly, \
            spaces and line ends included, and exactly once unless replace_all is true; give enough of the text around it to make it \
            unique. For a new file use write_file.".into(),
        parameters: json!({
            "type": "object",
            "properties": {
                "path": { "type": "string", "description": "The file, such as /workspace/out/report.md." },
                "old": { "type": "string", "description": "The text to replace, exactly as the file has it. Not empty." },
                "new": { "type": "string", "description": "What to put in its place; empty to delete it." },
                "replace_all": { "type": "boolean", "description": "Replace every occurrence. Default: false." },
            },
            "required": ["path", "old", "new"],
            "additionalProperties": false,
        }),
    }
}

/// Returns `{"path", "replaced": n}`.
pub(super) async fn run(workspace: Workspace, call: &ToolCall) -> Answer {
    let Arguments { path, old, new, replace_all } = arguments::parse(call)?;
    let path = arguments::file(&path)?;
    if old.is_empty() || old == new {
        return Err("argument \"old\": expected a text that is not empty and not the same as \"new\"".into());
    }
    let shown = path.to_string();
    let replaced = blocking(move || {
        let mut replaced = 0;
        let change = |bytes| {
            let text = String::from_utf8(bytes).map_err(|_| Refused(format!("{path} is not a text file")))?;
            replaced = occurrences(&text, &old, replace_all == Some(true)).map_err(Refused)?;
            check_size(&path, text.len() - replaced * old.len(), replaced, new.len()).map_err(Refused)?;
            Ok(text.replace(&old, &new).into_bytes())
        };
        workspace.edit(&path, change).map_err(|Refused(why)| why)?;
        Ok(replaced)
    })
    .await?;
    Ok(Outcome::Ok(json!({ "path": shown, "replaced": replaced })))
}

/// Measured before it is made: a long text in place of every letter would not fit into memory.
fn check_size(path: &SandboxPath, kept: usize, replaced: usize, new: usize) -> Result<(), String> {
    match kept.saturating_add(replaced.saturating_mul(new)) {
        ..=FILE_MAX => Ok(()),
        size => Err(format!("{path} would have {size} bytes after this; a file may have at most {FILE_MAX}")),
    }
}

fn occurrences(text: &str, old: &str, all: bool) -> Result<usize, String> {
    match text.matches(old).count() {
        0 => {
            Err("argument \"old\": the file does not contain this text; read it again and copy the text exactly".into())
        }
        count if count > 1 && !all => Err(format!(
            "argument \"old\": the file contains this text {count} times; give more of the text around the one you mean, or set replace_all"
        )),
        count => Ok(count),
    }
}

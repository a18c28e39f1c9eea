//! `sandbox.…`: files for runs. Answered in `server/src/sandboxes.rs`.

use contract::sandboxes::{FilePage, SandboxAnswer, UploadedFile, WORKSPACE};
use serde_json::json;

use super::parameters::query;
use super::{Chapter, Content, Operation, Parameter};

pub(crate) fn create() -> Operation {
    const TEXT: &str = "Makes an empty sandbox. It takes no body.\n\n\
        A sandbox that no run was started on ends at its `expires_at`. One that a run was started on stays with its files, so that results \
        can be fetched and the next run can go on with them.";
    Operation::of::<SandboxAnswer>("sandbox.create", Chapter::Sandboxes, "Create a sandbox", TEXT)
        .creates()
        .lists(&[401, 500])
        .example(
            "",
            "",
            r#"{
  "sandbox_id": "sbx_5d41402abc4b2a76b9719d911017c592",
  "expires_at": "2026-11-24T14:00:00.000Z"
}"#,
        )
}

pub(crate) fn list() -> Operation {
    const TEXT: &str = "What lies directly in one folder of a sandbox.";
    Operation::of::<FilePage>("sandbox.list_files", Chapter::Sandboxes, "List files", TEXT)
        .asks(folder)
        .lists(&[401, 404, 500])
        .gives(&["not_found"])
        .example(
            "path=/workspace",
            "",
            r#"{
  "files": [
    {
      "name": "november.csv",
      "path": "/workspace/november.csv",
      "type": "file",
      "size_bytes": 29
    }
  ]
}"#,
        )
}

pub(crate) fn upload() -> Operation {
    const TEXT: &str = "Puts a file of up to 10 MiB into a sandbox; a file of that name is replaced. The published API does not say what \
        an upload looks like, so two customs are taken: a form with one file and perhaps a field `path`, or the file itself as the body, \
        with `path` in the query string. A form without a `path` puts the file into `/workspace` under its own name.";
    Operation::of::<UploadedFile>("sandbox.upload", Chapter::Sandboxes, "Upload a file", TEXT)
        .asks(place)
        .takes_a_file()
        .creates()
        .lists(&[400, 401, 403, 404, 413, 500])
        .gives(&["not_found", "payload_too_large", "sandbox_full", "team_full"])
        .example(
            "path=/workspace/november.csv",
            "date,amount\n2026-11-03,80.00\n",
            r#"{
  "path": "/workspace/november.csv",
  "size_bytes": 29
}"#,
        )
}

pub(crate) fn download() -> Operation {
    const TEXT: &str = "The bytes of one file. `content-type` goes by the ending of its name, and no browser takes it for a page. One of more \
        than 10 MiB, which only an upload URL or a run can have put there, is a 413.";
    Operation::with("sandbox.download", Chapter::Sandboxes, "Download a file", TEXT, Content::File)
        .ours()
        .tells(&["content-disposition"])
        .asks(file)
        .gives(&["not_found", "payload_too_large"])
        .example("path=/workspace/november.csv", "", "date,amount\n2026-11-03,80.00\n")
}

fn folder() -> Vec<Parameter> {
    let schema = json!({"type": "string", "default": WORKSPACE});
    vec![query(
        "path",
        schema,
        WORKSPACE.into(),
        "The folder, an absolute path: at most 32 names of at most 255 bytes each.",
    )]
}

/// Where an upload goes. The published API has no such parameter.
fn place() -> Vec<Parameter> {
    const TEXT: &str =
        "Where to put the file: at most 32 names of at most 255 bytes each. Needed if the file itself is the body.";
    let path = query("path", json!({"type": "string"}), "/workspace/november.csv".into(), TEXT);
    vec![Parameter { extension: true, ..path }]
}

fn file() -> Vec<Parameter> {
    let path =
        query("path", json!({"type": "string"}), "/workspace/november.csv".into(), "The file, an absolute path.");
    vec![Parameter { required: true, ..path }]
}

//! `file.…`: files of the team. Answered in `server/src/files.rs`.

use contract::files::{FileRemoved, TeamFileAnswer, TeamFilePage};
use serde_json::json;

use super::parameters::{page, query};
use super::{Chapter, Content, Operation, Parameter};

pub(crate) fn list() -> Operation {
    const TEXT: &str = "The files of the team, by name.";
    Operation::of::<TeamFilePage>("file.list", Chapter::Files, "List files of the team", TEXT)
        .asks(page)
        .ours()
        .example(
            "limit=20",
            "",
            r#"{
  "files": [
    {
      "id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4ef1",
      "name": "rates.csv",
      "size_bytes": 9,
      "sha256": "56ee2ef67a6e2f26dbab08dc831259680c94c64b3aa808ab4c08cb9ff378f13f",
      "created_at": "2026-11-23T14:00:00.000Z",
      "updated_at": "2026-11-23T14:00:00.000Z"
    }
  ],
  "total": 1,
  "limit": 20,
  "offset": 0
}"#,
        )
}

pub(crate) fn push() -> Operation {
    const TEXT: &str = "Keeps a file of up to 10 MiB for the team, as a form or as it is, like an upload into a sandbox. One of the same name is \
        replaced and keeps its id. A build that names it in `files`, by id or by name, has it put into the workspace of each of its runs, \
        as `/workspace/files/NAME`, as it is when the run begins.";
    Operation::of::<TeamFileAnswer>("file.push", Chapter::Files, "Keep a file for the team", TEXT)
        .asks(called)
        .takes_a_file()
        .creates()
        .ours()
        .gives(&["payload_too_large", "team_full"])
        .example(
            "path=rates.csv",
            "EUR,1.08\n",
            r#"{
  "file": {
    "id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4ef1",
    "name": "rates.csv",
    "size_bytes": 9,
    "sha256": "56ee2ef67a6e2f26dbab08dc831259680c94c64b3aa808ab4c08cb9ff378f13f",
    "created_at": "2026-11-23T14:00:00.000Z",
    "updated_at": "2026-11-23T14:00:00.000Z"
  }
}"#,
        )
}

pub(crate) fn download() -> Operation {
    const TEXT: &str = "The bytes of a file of the team, by its id or its name. `content-type` goes by the ending of its name, and no browser \
        takes it for a page.";
    Operation::with("file.download", Chapter::Files, "Download a file of the team", TEXT, Content::File)
        .ours()
        .tells(&["content-disposition"])
        .gives(&["not_found"])
        .example("", "", "EUR,1.08\n")
}

pub(crate) fn remove() -> Operation {
    const TEXT: &str = "Removes a file of the team. Runs that have it in their workspace keep it; one that begins with a build that names it \
        fails with `file_missing`.";
    Operation::of::<FileRemoved>("file.remove", Chapter::Files, "Remove a file of the team", TEXT)
        .ours()
        .gives(&["not_found"])
        .example("", "", r#"{"removed": true}"#)
}

fn called() -> Vec<Parameter> {
    const TEXT: &str = "What to call it: a relative path of at most 31 names of at most 255 bytes each. Needed if the file itself is the body.";
    vec![query("path", json!({"type": "string"}), "rates.csv".into(), TEXT)]
}

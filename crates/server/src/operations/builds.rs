//! `build.…`: snapshots of an agent's config. Answered in `server/src/builds.rs`.

use contract::builds::{BuildAnswer, BuildPage, CreateBuild, NewBuildAnswer};

use super::agents::OF_CONFIGS;
use super::parameters::page;
use super::{Chapter, Operation};

pub(crate) fn list() -> Operation {
    const TEXT: &str = "All builds of an agent, the highest revision number first.";
    Operation::of::<BuildPage>("build.list", Chapter::Builds, "List the builds of an agent", TEXT)
        .asks(page)
        .lists(&[400, 401, 404, 500])
        .gives(&["not_found"])
        .example(
            "limit=20",
            "",
            r#"{
  "builds": [
    {
      "id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e02",
      "agent_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e01",
      "name": "first",
      "config": {
        "version": "v1",
        "data": {
          "model": "claude-sonnet-4-6",
          "input": "Sort the invoices in /workspace by month. Ask before you pay.",
          "files": [],
          "skills": []
        }
      },
      "revision_number": 1,
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

pub(crate) fn create() -> Operation {
    const TEXT: &str = "Adds a build to an agent. It gets the next revision number and is what runs take from now on; runs that have begun \
        keep the build they have.\n\n\
        The config is read as when an agent is created. A header value of an MCP tool that is `[redacted]` keeps the value that the build \
        before had, as long as `server_label` and the origin of `server_url` are the same.";
    Operation::of::<NewBuildAnswer>("build.create", Chapter::Builds, "Add a build", TEXT)
        .takes::<CreateBuild>()
        .creates()
        .tells(OF_CONFIGS)
        .lists(&[400, 401, 404, 500])
        .gives(&["not_found"])
        .example(
            "",
            r#"{
  "agent_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e01",
  "name": "with a second model",
  "config": {
    "version": "v2",
    "data": {
      "models": {
        "agent": {"model": "claude-opus-4-7"},
        "browsing": {"provider": "anthropic", "model": "claude-sonnet-4-5"}
      },
      "input": "Sort the invoices in /workspace by month and by sender."
    }
  }
}"#,
            r#"{
  "build": {
    "id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e05",
    "agent_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e01",
    "name": "with a second model",
    "config": {
      "version": "v2",
      "data": {
        "models": {
          "agent": {"model": "claude-opus-4-7"},
          "browsing": {"provider": "anthropic", "model": "claude-sonnet-4-5"}
        },
        "input": "Sort the invoices in /workspace by month and by sender.",
        "files": [],
        "skills": [],
        "plugins": []
      }
    },
    "revision_number": 2,
    "created_at": "2026-11-23T14:00:00.000Z",
    "updated_at": "2026-11-23T14:00:00.000Z"
  },
  "agent": {"id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e01"}
}"#,
        )
}

pub(crate) fn get() -> Operation {
    const TEXT: &str = "One build. It never changes.";
    Operation::of::<BuildAnswer>("build.get", Chapter::Builds, "Read a build", TEXT)
        .lists(&[400, 401, 404, 500])
        .gives(&["not_found"])
        .example(
            "",
            "",
            r#"{
  "build": {
    "id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e02",
    "agent_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e01",
    "name": "first",
    "config": {
      "version": "v1",
      "data": {
        "model": "claude-sonnet-4-6",
        "input": "Sort the invoices in /workspace by month. Ask before you pay.",
        "files": [],
        "skills": []
      }
    },
    "revision_number": 1,
    "created_at": "2026-11-23T14:00:00.000Z",
    "updated_at": "2026-11-23T14:00:00.000Z"
  }
}"#,
        )
}

//! `agent.…`: named workers. Answered in `server/src/agents.rs`.

use contract::agents::{AgentAnswer, AgentPage, CreateAgent};

use super::parameters::page;
use super::{Chapter, Operation};

/// The headers that say what was changed of a config, and what of it will not work.
pub(super) const OF_CONFIGS: &[&str] = &["x-errand-normalized", "x-errand-warning"];

pub(crate) fn list() -> Operation {
    const TEXT: &str = "The agents of the key's team, the newest first.";
    Operation::of::<AgentPage>("agent.list", Chapter::Agents, "List agents", TEXT)
        .asks(page)
        .lists(&[401, 500])
        .example(
            "limit=20",
            "",
            r#"{
  "agents": [
    {
      "id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e01",
      "name": "Invoice sorter",
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
    const TEXT: &str = "Makes an agent and, if `build` is given, its first build, both or neither. \
        Names need not be unique and have at most 1,000 characters.\n\n\
        A config is read strictly and normalised before it is stored; `x-errand-normalized` lists what got another meaning than was \
        written. A config that cannot be served back is refused, with the place and what was expected there. The shape that is served is \
        the schema `Config`. Header values of MCP tools are secrets and shown as `[redacted]`.";
    Operation::of::<AgentAnswer>("agent.create", Chapter::Agents, "Create an agent", TEXT)
        .takes::<CreateAgent>()
        .creates()
        .tells(OF_CONFIGS)
        .lists(&[400, 401, 500])
        .example(
            "",
            r#"{
  "name": "Invoice sorter",
  "build": {
    "name": "first",
    "config": {
      "version": "v1",
      "data": {
        "model": "claude-sonnet-4-6",
        "input": "Sort the invoices in /workspace by month. Ask before you pay."
      }
    }
  }
}"#,
            CREATED,
        )
}

pub(crate) fn get() -> Operation {
    const TEXT: &str = "One agent, with the build that a run started now would take: the one with the highest revision number. \
        An agent without a build has no key `build`.";
    Operation::of::<AgentAnswer>("agent.get", Chapter::Agents, "Read an agent", TEXT)
        .lists(&[400, 401, 404, 500])
        .gives(&["not_found"])
        .example("", "", CREATED)
}

const CREATED: &str = r#"{
  "agent": {
    "id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e01",
    "name": "Invoice sorter",
    "created_at": "2026-11-23T14:00:00.000Z",
    "updated_at": "2026-11-23T14:00:00.000Z"
  },
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
}"#;

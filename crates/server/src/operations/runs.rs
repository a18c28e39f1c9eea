//! `run.…`: executions of builds. Answered in `server/src/runs.rs`.

use contract::pages::{SEVERITIES, STATUS_FILTERS, TEXT_MAX};
use contract::runs::{CreateRun, RunAnswer, RunDetail, RunPage, StopAnswer};
use serde_json::json;

use super::parameters::{query, run_page, text_of};
use super::{Chapter, Operation, Parameter};

pub(crate) fn start() -> Operation {
    const TEXT: &str = "Accepts a run on the agent's newest build and answers at once; nothing of it is done yet. A run without a \
        `sandbox_id` gets a sandbox of its own, so that the files it writes can be fetched.\n\n\
        `message` is what the run is told beside its build's config. An agent without a build cannot run: `agent_has_no_build`. \
        What happens to the run is sent to `webhook_url`: see the webhooks. One that the server may not call as things are is taken all the same; \
        `x-errand-warning` says why.";
    Operation::of::<RunAnswer>("run.start", Chapter::Runs, "Start a run", TEXT)
        .takes::<CreateRun>()
        .creates()
        .tells(&["x-errand-warning"])
        .lists(&[400, 401, 403, 404, 500])
        .gives(&["not_found", "agent_has_no_build"])
        .example(
            "",
            r#"{
  "agent_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e01",
  "message": "Sort the invoices of November.",
  "sandbox_id": "sbx_5d41402abc4b2a76b9719d911017c592",
  "webhook_url": "https://example.com/hook"
}"#,
            r#"{
  "run": {
    "id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e03",
    "agent_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e01",
    "build_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e02",
    "status": "pending",
    "source": "api",
    "sandbox_id": "sbx_5d41402abc4b2a76b9719d911017c592",
    "started_at": null,
    "completed_at": null,
    "created_at": "2026-11-23T14:00:00.000Z",
    "updated_at": "2026-11-23T14:00:00.000Z",
    "human_in_the_loop_enabled": true
  }
}"#,
        )
}

pub(crate) fn list() -> Operation {
    const TEXT: &str = "The runs of the key's team, the newest first. This list came later to the published API than the rest, and \
        unlike the others it does not repeat `limit` and `offset`.\n\n\
        Errand has no users, case queues, digests or evaluations: to ask for the runs of one is to ask for none, and `has_issues=false` \
        is to ask for all.";
    Operation::of::<RunPage>("run.list", Chapter::Runs, "List runs", TEXT)
        .asks(|| run_page().into_iter().chain(filters()).collect())
        .lists(&[400, 401, 500])
        .example(
            "status=pending&sort_order=desc",
            "",
            r#"{
  "data": [
    {
      "id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e03",
      "created_at": "2026-11-23T14:00:00.000Z",
      "updated_at": "2026-11-23T14:00:00.000Z",
      "started_at": null,
      "completed_at": null,
      "status": "pending",
      "source": "api",
      "title": "Sort the invoices of November.",
      "run_number": 1,
      "agent_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e01",
      "agent_name": "Invoice sorter",
      "build_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e02",
      "user_id": null,
      "case_queue_item_id": null,
      "case_queue_id": null,
      "case_queue_name": null,
      "case_title": null,
      "postponed_to": null,
      "submitted_prompt_count": 1
    }
  ],
  "total": 1
}"#,
        )
}

fn filters() -> [Parameter; 12] {
    let uuid = || json!({"type": "string", "format": "uuid"});
    let one_of = |words: &[&str]| json!({"type": "string", "enum": words});
    let by_default = |words: &[&str], word: &str| json!({"type": "string", "enum": words, "default": word});
    let id = || json!("0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e01");
    [
        query("sort_by", by_default(&["created_at"], "created_at"), "created_at".into(), "What to sort by."),
        query("sort_order", by_default(&["asc", "desc"], "desc"), "desc".into(), "The newest or the oldest first."),
        query(
            "status",
            one_of(&STATUS_FILTERS),
            "waiting".into(),
            "Only runs that are in this status. `stopped` means interrupted, `needs_attention` failed or waiting.",
        ),
        query("agent_id", uuid(), id(), "Only runs of this agent."),
        query("user_id", uuid(), id(), "Finds nothing: runs here have no user."),
        query("case_queue_id", uuid(), id(), "Finds nothing: there are no case queues."),
        query("source", text_of(TEXT_MAX), "api".into(), "Only runs that were started from here."),
        query("search", text_of(TEXT_MAX), "invoices".into(), "Only runs whose title has this text."),
        query("has_issues", one_of(&["true", "false"]), "false".into(), "`true` finds nothing, `false` everything."),
        query("issue_severity", one_of(&SEVERITIES), "low".into(), "Finds nothing: there are no evaluations."),
        query(
            "since",
            json!({"type": "string", "format": "date-time"}),
            "2026-11-01T00:00:00Z".into(),
            "Only runs created at this time or later.",
        ),
        query("digest_id", uuid(), id(), "Finds nothing: there are no digests."),
    ]
}

pub(crate) fn get() -> Operation {
    const TEXT: &str = "One run, and what it asks of a person if it is `waiting`.\n\n\
        `pending` → `starting` → `running` → `completed`, `failed` or `interrupted`; `waiting` while a person is asked. It is `pending` \
        again while a failed call of the model rests, and after a message, until a worker takes it. Everything a run has said is in its \
        transcript before its status is one of the last three.";
    Operation::of::<RunDetail>("run.get", Chapter::Runs, "Read a run", TEXT)
        .tells(&["x-errand-warning"])
        .lists(&[400, 401, 403, 404, 500])
        .gives(&["not_found"])
        .example(
            "",
            "",
            r#"{
  "run": {
    "id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e03",
    "agent_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e01",
    "build_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e02",
    "status": "waiting",
    "source": "api",
    "sandbox_id": "sbx_5d41402abc4b2a76b9719d911017c592",
    "started_at": "2026-11-23T14:00:00.000Z",
    "completed_at": null,
    "created_at": "2026-11-23T14:00:00.000Z",
    "updated_at": "2026-11-23T14:00:00.000Z",
    "human_in_the_loop_enabled": true
  },
  "pending_human_request": {
    "id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e04",
    "title": "Pay 80 EUR to Acme?",
    "description": "Invoice 7 is due tomorrow.",
    "created_at": "2026-11-23T14:00:00.000Z",
    "type": "approval"
  }
}"#,
        )
}

pub(crate) fn stop() -> Operation {
    const TEXT: &str = "Stops a run: it becomes `interrupted` as soon as its worker sees it. To stop a run that has ended is a success \
        that changes nothing. It takes no body.";
    Operation::of::<StopAnswer>("run.stop", Chapter::Runs, "Stop a run", TEXT)
        .tells(&["x-errand-warning"])
        .lists(&[400, 401, 403, 404, 500, 502])
        .gives(&["not_found"])
        .example(
            "",
            "",
            r#"{
  "success": true,
  "message": "The run is being stopped."
}"#,
        )
}

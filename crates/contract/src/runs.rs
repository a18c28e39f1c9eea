//! Runs on the wire: starting one, one run, the list of runs, stopping.
//!
//! A status is text here; the states and their order belong to the domain. The filters of the list
//! are in [`crate::pages`], the transcript in [`crate::messages`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::human_requests::HumanRequest;
use crate::{fields, shapes};

/// Every status that a run in a list may have. `not_started` is the published schema's; no run here ever is.
pub const STATUSES: [&str; 8] =
    ["not_started", "pending", "starting", "running", "waiting", "completed", "failed", "interrupted"];

/// Body of `POST /v1/runs`. An optional key may be left out but not null.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRun {
    /// The agent whose newest build is executed.
    #[serde(deserialize_with = "fields::uuid")]
    #[schemars(extend("format" = "uuid"))]
    pub agent_id: String,
    /// A first user message for this run only.
    #[serde(default, deserialize_with = "fields::given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub message: Option<String>,
    /// A sandbox made beforehand.
    #[serde(default, deserialize_with = "fields::given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub sandbox_id: Option<String>,
    /// Where to report what happens to the run: an absolute http or https URL.
    #[serde(default, deserialize_with = "fields::given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = "uri"))]
    pub webhook_url: Option<String>,
}

/// One execution of one build. Times are RFC 3339, UTC, milliseconds, `Z`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Run {
    /// The run's id.
    #[schemars(extend("format" = "uuid"))]
    pub id: String,
    /// The agent whose build it executes.
    #[schemars(extend("format" = "uuid"))]
    pub agent_id: String,
    /// The build that it is pinned to.
    #[schemars(extend("format" = "uuid"))]
    pub build_id: String,
    /// `pending`, `starting`, `running`, `waiting`, `completed`, `failed` or `interrupted`.
    pub status: String,
    /// What started the run; null when that is not known.
    pub source: Option<String>,
    /// Null when the run has no sandbox.
    pub sandbox_id: Option<String>,
    /// Null until a worker has taken the run.
    pub started_at: Option<String>,
    /// Null until the run has ended.
    pub completed_at: Option<String>,
    /// When the run was asked for.
    pub created_at: String,
    /// When anything about the run last changed.
    pub updated_at: String,
    /// Whether the run may put questions to people.
    pub human_in_the_loop_enabled: bool,
}

/// Answer of `POST /v1/runs` (201).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RunAnswer {
    /// The run just asked for.
    pub run: Run,
}

/// Answer of `GET /v1/runs/{run_id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RunDetail {
    /// The run. The schema lets it be null; from Errand it never is.
    #[schemars(with = "Option<Run>")]
    pub run: Run,
    /// What the run waits for a person to say; the key is absent when it waits for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_human_request: Option<HumanRequest>,
}

/// A row of `GET /v1/runs`. The case keys are required and null: Errand has no cases yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RunRow {
    /// The run's id.
    #[schemars(extend("format" = "uuid"))]
    pub id: String,
    /// When it was asked for.
    #[schemars(extend("format" = "date-time"))]
    pub created_at: String,
    /// When anything about it last changed.
    #[schemars(extend("format" = "date-time"))]
    pub updated_at: String,
    /// Null until a worker has taken the run.
    #[schemars(extend("format" = "date-time"))]
    pub started_at: Option<String>,
    /// Null until the run has ended.
    #[schemars(extend("format" = "date-time"))]
    pub completed_at: Option<String>,
    /// As in [`Run`]; `not_started` never comes from Errand.
    #[schemars(extend("enum" = STATUSES))]
    pub status: String,
    /// As in [`Run`].
    pub source: Option<String>,
    /// A line that tells this run from others.
    pub title: String,
    /// Counts the runs of the team from 1.
    #[schemars(with = "f64")]
    pub run_number: u64,
    /// The agent whose build it executes.
    #[schemars(extend("format" = "uuid"))]
    pub agent_id: String,
    /// The agent's name.
    pub agent_name: String,
    /// The build that it is pinned to.
    #[schemars(extend("format" = "uuid"))]
    pub build_id: String,
    /// The person who started the run; null when it was not a person.
    #[schemars(extend("format" = "uuid"))]
    pub user_id: Option<String>,
    /// The case that it works on.
    #[schemars(extend("format" = "uuid"))]
    pub case_queue_item_id: Option<String>,
    /// The queue of that case.
    #[schemars(extend("format" = "uuid"))]
    pub case_queue_id: Option<String>,
    /// Name of that queue.
    pub case_queue_name: Option<String>,
    /// Title of that case.
    pub case_title: Option<String>,
    /// Until when the case is put off.
    #[schemars(extend("format" = "date-time"))]
    pub postponed_to: Option<String>,
    /// How many messages people have sent to the run.
    #[schemars(schema_with = "shapes::count")]
    pub submitted_prompt_count: u64,
    /// Never sent by Errand, which has no evaluations to sum up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval_summaries: Option<EvalSummary>,
}

/// What evaluations found in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct EvalSummary {
    /// Criteria that were met.
    #[schemars(with = "f64")]
    pub passed: u64,
    /// All criteria.
    #[schemars(with = "f64")]
    pub total: u64,
    /// Whether there is a result.
    #[schemars(extend("enum" = ["ready", "unavailable", "in_progress"]))]
    pub status: String,
    /// How many issues of each severity.
    #[serde(rename = "severityCounts", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SeverityCounts")]
    pub severity_counts: Option<SeverityCounts>,
    /// The verdict in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub final_comment: Option<String>,
}

/// How many issues of each severity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SeverityCounts {
    /// The worst.
    #[schemars(schema_with = "shapes::count")]
    pub critical: u64,
    /// In between.
    #[schemars(schema_with = "shapes::count")]
    pub medium: u64,
    /// The least.
    #[schemars(schema_with = "shapes::count")]
    pub low: u64,
}

/// Answer of `GET /v1/runs`. This list, unlike the others, does not repeat limit and offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RunPage {
    /// At most as many rows as asked for.
    pub data: Vec<RunRow>,
    /// All runs that match the filters.
    #[schemars(with = "f64")]
    pub total: u64,
}

/// Answer of `POST /v1/runs/{run_id}/stop`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct StopAnswer {
    /// Whether the run is being stopped, or had nothing left to stop.
    pub success: bool,
    /// What was done, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub message: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strict_json::{Flaw, from_slice};

    const AGENT: &str = "0190a0c5-7e3f-7c1a-9d2b-000000000001";

    fn read(rest: &str) -> Result<CreateRun, Flaw> {
        from_slice(format!(r#"{{"agent_id":"{AGENT}"{rest}}}"#).as_bytes())
    }

    #[test]
    fn the_agent_alone_is_enough() {
        let run = read("").expect("valid");
        assert_eq!((run.message, run.sandbox_id, run.webhook_url), (None, None, None));
    }

    #[test]
    fn optional_keys_are_taken_but_not_as_null() {
        let run = read(r#","message":"","sandbox_id":"s","webhook_url":"https://h/x""#);
        assert_eq!(run.expect("an empty message is text").message.as_deref(), Some(""));

        for key in ["message", "sandbox_id", "webhook_url"] {
            let flaw = read(&format!(r#","{key}":null"#)).expect_err(key);
            assert_eq!(flaw.pointer(), Some(format!("/{key}").as_str()));
            assert!(flaw.sentence().contains("leave the key out"), "{flaw}");
        }
    }

    #[test]
    fn absent_answers_are_absent_keys_and_required_ones_are_null() {
        let answer = StopAnswer { success: true, message: None };
        assert_eq!(serde_json::to_string(&answer).expect("plain"), r#"{"success":true}"#);

        let run = Run {
            id: AGENT.to_owned(),
            agent_id: AGENT.to_owned(),
            build_id: AGENT.to_owned(),
            status: "pending".to_owned(),
            source: None,
            sandbox_id: None,
            started_at: None,
            completed_at: None,
            created_at: "t".to_owned(),
            updated_at: "t".to_owned(),
            human_in_the_loop_enabled: true,
        };
        let detail = RunDetail { run, pending_human_request: None };
        let sent = serde_json::to_value(&detail).expect("plain");
        assert!(sent.get("pending_human_request").is_none());
        assert!(sent["run"]["source"].is_null() && sent["run"].get("source").is_some());
    }
}

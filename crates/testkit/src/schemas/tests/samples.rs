//! One believable value of every wire type, with as many optional keys filled in as make sense.

use contract::agents::{Agent, AgentAnswer, AgentPage, AgentRef};
use contract::builds::{Build, BuildPage, NewBuildAnswer};
use contract::human_requests::{AnsweredRequest, Choice, HumanRequest, HumanRequestKind, Question, RespondAnswer};
use contract::messages::{Message, MessagePage, PostedMessage, PostedMessageAnswer, ToolCall, ToolResult};
use contract::runs::{Run, RunDetail, RunRow};
use contract::sandboxes::{FilePage, SandboxAnswer, SandboxFile, SandboxFileKind};
use serde_json::json;

pub(super) const ID: &str = "0190a0c5-7e3f-7c1a-9d2b-000000000001";
const TIME: &str = "2026-01-02T03:04:05.678Z";

pub(super) fn text(text: &str) -> String {
    text.to_owned()
}

#[expect(clippy::unnecessary_wraps, reason = "an optional field that is filled in")]
pub(super) fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

pub(super) fn agent() -> Agent {
    Agent { id: text(ID), name: text("A"), created_at: text(TIME), updated_at: text(TIME) }
}

pub(super) fn build() -> Build {
    let config = json!({"version": "v2", "data": {
        "models": {
            "agent": {"model": "claude-sonnet-4-6"},
            "browsing": {"provider": "anthropic", "model": "claude-sonnet-4-5"},
        },
        "input": "Do it.", "files": [], "skills": [], "plugins": [],
        "options": {"browserProvider": "browserbase"},
    }});
    Build {
        id: text(ID),
        agent_id: text(ID),
        name: text("v1"),
        config: serde_json::from_value(config).expect("JSON"),
        revision_number: 1,
        created_at: text(TIME),
        updated_at: text(TIME),
    }
}

pub(super) fn agent_answer() -> AgentAnswer {
    AgentAnswer { agent: agent(), build: Some(build()) }
}

pub(super) fn agent_page() -> AgentPage {
    AgentPage { agents: vec![agent()], total: 1, limit: 20, offset: 0 }
}

pub(super) fn build_page() -> BuildPage {
    BuildPage { builds: vec![build()], total: 1, limit: 20, offset: 0 }
}

pub(super) fn new_build_answer() -> NewBuildAnswer {
    NewBuildAnswer { build: build(), agent: AgentRef { id: text(ID) } }
}

pub(super) fn run() -> Run {
    Run {
        id: text(ID),
        agent_id: text(ID),
        build_id: text(ID),
        status: text("pending"),
        source: None,
        sandbox_id: some("s"),
        started_at: None,
        completed_at: some(TIME),
        created_at: text(TIME),
        updated_at: text(TIME),
        human_in_the_loop_enabled: true,
    }
}

pub(super) fn run_row() -> RunRow {
    RunRow {
        id: text(ID),
        created_at: text(TIME),
        updated_at: text(TIME),
        started_at: some(TIME),
        completed_at: None,
        status: text("running"),
        source: some("api"),
        title: text("A #1"),
        run_number: 1,
        agent_id: text(ID),
        agent_name: text("A"),
        build_id: text(ID),
        user_id: None,
        case_queue_item_id: None,
        case_queue_id: None,
        case_queue_name: None,
        case_title: None,
        postponed_to: None,
        submitted_prompt_count: 0,
        eval_summaries: None,
    }
}

pub(super) fn waiting_run() -> RunDetail {
    let option = Choice { label: text("B"), description: some("the second") };
    let question = Question {
        question: text("Which?"),
        header: some("Choice"),
        options: Some(vec![option]),
        multi_select: Some(false),
    };
    let request = HumanRequest {
        id: text(ID),
        title: text("A question"),
        description: None,
        created_at: text(TIME),
        kind: HumanRequestKind::Question,
        questions: Some(vec![question]),
    };
    RunDetail { run: run(), pending_human_request: Some(request) }
}

pub(super) fn respond_answer() -> RespondAnswer {
    RespondAnswer {
        human_request: AnsweredRequest {
            id: text(ID),
            run_id: text(ID),
            title: text("A question"),
            description: None,
            response: some("B"),
            responded_at: some(TIME),
            created_at: text(TIME),
        },
    }
}

pub(super) fn message(tool_call: Option<ToolCall>, tool_result: Option<ToolResult>) -> Message {
    Message {
        id: text("1"),
        kind: text("text"),
        role: text("assistant"),
        timestamp: text(TIME),
        text_content: some("hello"),
        tool_call,
        tool_result,
    }
}

pub(super) fn message_page() -> MessagePage {
    let arguments = json!({"path": "/workspace"}).as_object().cloned();
    let call = ToolCall { id: text("c"), name: text("files.list"), arguments };
    let result = ToolResult { tool_call_id: text("c"), result: Some(json!([1])), error: some("e") };
    let messages = vec![message(Some(call), None), message(None, Some(result))];
    MessagePage { messages, total: 2, limit: 20, offset: 0 }
}

pub(super) fn posted_message() -> PostedMessageAnswer {
    PostedMessageAnswer {
        message: PostedMessage {
            id: text("1"),
            kind: text("text"),
            role: text("user"),
            timestamp: text(TIME),
            text_content: text("hello"),
        },
    }
}

pub(super) fn sandbox() -> SandboxAnswer {
    SandboxAnswer { sandbox_id: text("s"), expires_at: text(TIME) }
}

pub(super) fn files() -> FilePage {
    let file = |kind| SandboxFile { name: text("a"), path: text("/workspace/a"), kind, size_bytes: 0 };
    FilePage { files: vec![file(SandboxFileKind::File), file(SandboxFileKind::Dir)] }
}

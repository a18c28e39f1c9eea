//! The tools that every Job has: a to-do list, the files of its sandbox, and two words that `engine` hears itself
//! ([`ask_person`](domain::human_requests::ASK_PERSON) and [`finish`](domain::runs::FINISH), which never get here).
//!
//! One file a tool or family: its name, its specification, what it does. A tool call never fails the run: whatever is wrong with it goes
//! back to the model as words. What a tool returns is JSON, data for the model and never an instruction to it. Files are reached through
//! [`crate::workspace`] only; a tool that talks to a network does not belong here but beside the egress policy.

mod arguments;
mod edit;
pub mod guide;
mod images;
mod list;
pub mod pdf;
mod plan;
mod read;
mod talk;
mod text;
mod write;

use std::sync::LazyLock;

use domain::RunId;
use domain::turns::{Outcome, Replay, ToolCall, ToolSpec};
use futures_util::future::BoxFuture;

use crate::workspace::Workspace;
use pdf::PdfReader;

/// The tools of one run, over its sandbox.
#[derive(Debug, Clone)]
pub struct Toolbox {
    workspace: Workspace,
    pdf: PdfReader,
}

/// Tools that are not everybody's: what an operator or a test adds to the built-in ones.
pub trait MoreTools: Send + Sync + 'static {
    /// As models see them.
    fn specs(&self) -> Vec<ToolSpec>;

    /// What may be done after a crash with a call of this name; `None`: there is no such tool here.
    fn replay(&self, name: &str) -> Option<Replay>;

    /// Does what the call asks. Errors are an [`Outcome::Error`] that says what to do instead. Dropping the future abandons the call.
    fn call<'a>(&'a self, run: RunId, call: &'a ToolCall) -> BoxFuture<'a, Outcome>;
}

/// What a tool gives back, or what the model should know instead.
type Answer = Result<Outcome, String>;

/// The tools as models see them. `json_object` is the Build's `text.format`: `finish` then takes an object.
pub fn specs(json_object: bool) -> &'static [ToolSpec] {
    static TEXT: LazyLock<Vec<ToolSpec>> = LazyLock::new(|| all(false));
    static JSON: LazyLock<Vec<ToolSpec>> = LazyLock::new(|| all(true));
    if json_object { &JSON } else { &TEXT }
}

/// What may be done after a crash with a call that was in flight. Nobody vouches for a tool that is not ours.
pub fn replay(name: &str) -> Replay {
    match name {
        plan::NAME | list::NAME | read::NAME | write::NAME | talk::ASK_PERSON | talk::FINISH => Replay::Safe,
        // An edit that did take effect would not find its old text again.
        _ => Replay::Never,
    }
}

/// Whether a call of this name uses files.
pub fn uses_files(name: &str) -> bool {
    matches!(name, list::NAME | read::NAME | write::NAME | edit::NAME)
}

impl Toolbox {
    /// The tools over these files; PDFs are read by `pdf`, in a process of their own.
    pub fn new(workspace: Workspace, pdf: PdfReader) -> Self {
        Self { workspace, pdf }
    }

    /// Does what the call asks. Errors are an [`Outcome::Error`] that says what to do instead.
    ///
    /// Dropping the future abandons the call: a write that has begun still ends whole, a PDF reader is killed.
    pub async fn call(&self, call: &ToolCall) -> Outcome {
        let done = match call.name.as_str() {
            plan::NAME => plan::run(call),
            list::NAME => list::run(self.workspace.clone(), call).await,
            read::NAME => read::run(self.workspace.clone(), &self.pdf, call).await,
            write::NAME => write::run(self.workspace.clone(), call).await,
            edit::NAME => edit::run(self.workspace.clone(), call).await,
            talk::ASK_PERSON | talk::FINISH => {
                Err("this one is for the run itself and cannot be called as a tool".into())
            }
            _ => Err(format!("there is no such tool; there are {}", names())),
        };
        done.unwrap_or_else(|wrong| Outcome::Error(format!("{}: {wrong}", call.name)))
    }
}

fn all(json_object: bool) -> Vec<ToolSpec> {
    vec![
        plan::spec(),
        list::spec(),
        read::spec(),
        write::spec(),
        edit::spec(),
        talk::ask_person(),
        talk::finish(json_object),
    ]
}

fn names() -> String {
    specs(false).iter().map(|spec| &*spec.name).collect::<Vec<_>>().join(", ")
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|stopped| {
        tracing::error!(error = %stopped, "a tool broke");
        Err("broke inside the server, which is a bug there; try another way".into())
    })
}

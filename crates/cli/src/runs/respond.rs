//! `errand runs respond`: a person's answer to what a Job asks.

use std::collections::BTreeMap;

use anyhow::Context;
use clap::Args;
use contract::human_requests::{self, RespondAnswer};
use contract::messages::MessagePage;
use contract::runs::{RunDetail, RunPage};
use serde_json::{Map, Value, json};

use crate::client::{Api, Output};
use crate::paint;

/// What is asked is in `errand runs get`.
#[derive(Args)]
pub(crate) struct Respond {
    /// The Job's id.
    #[arg(required_unless_present = "held")]
    run: Option<String>,
    /// The request's id; without it, the one that the Job waits for.
    request: Option<String>,
    /// All Jobs that a restore holds, and no others: each asks whether to go on.
    #[arg(long, requires = "answering", conflicts_with_all = ["run", "answers"])]
    held: bool,
    /// Yes, to an approval.
    #[arg(long, group = "answering")]
    approve: bool,
    /// With --approve of a tool call: what it is to be made with, in place of what was shown; a JSON object.
    #[arg(long, requires = "approve", value_name = "JSON", value_parser = object)]
    arguments: Option<Map<String, Value>>,
    /// No, to an approval.
    #[arg(long, group = "answering")]
    deny: bool,
    /// An answer to a question; KEY is its text, its header or its number, from 0. Once for each question.
    #[arg(long = "answer", group = "answering", value_name = "KEY=VALUE", value_parser = pair, required_unless_present_any = ["approve", "deny"])]
    answers: Vec<(String, String)>,
    #[command(flatten)]
    output: Output,
}

impl Respond {
    /// Sends it.
    pub(super) async fn run(self, api: &Api) -> anyhow::Result<()> {
        let Some(run) = self.run else { return all_held(api, self.approve, self.output).await };
        let request = match self.request {
            Some(request) => request,
            None => pending(api, &run).await?,
        };
        let body = match (self.approve, self.deny) {
            (false, false) => human_requests::Respond::answers(by_key(self.answers)?),
            (approved, _) => {
                human_requests::Respond { arguments: self.arguments, ..human_requests::Respond::decision(approved) }
            }
        };
        let answer = api.post(&["runs", &run, "human-requests", &request, "respond"], &body).await?;
        self.output.print(&answer, |told: RespondAnswer| {
            format!("answered: {}\n", paint::line(told.human_request.response.as_deref().unwrap_or_default(), 200))
        })
    }
}

/// Gives every Job that a restore holds the same answer.
async fn all_held(api: &Api, approved: bool, output: Output) -> anyhow::Result<()> {
    let mut waiting = Vec::new();
    loop {
        // The oldest first: those that begin to wait meanwhile shift none.
        let words =
            [("status", "waiting"), ("sort_order", "asc"), ("limit", "100")].map(|(key, word)| (key, word.to_owned()));
        let query: Vec<_> = words.into_iter().chain([("offset", waiting.len().to_string())]).collect();
        let found: RunPage = api.get(&["runs"], &query).await?.read()?;
        if found.data.is_empty() {
            break;
        }
        waiting.extend(found.data.into_iter().map(|run| run.id));
    }
    let mut answered = Vec::new();
    for run in waiting {
        if !is_held(api, &run).await? {
            continue;
        }
        // Somebody else may have answered meanwhile.
        let Some(request) = detail(api, &run).await?.pending_human_request else { continue };
        let body = human_requests::Respond::decision(approved);
        api.post(&["runs", &run, "human-requests", &request.id, "respond"], &body).await?;
        answered.push(run);
    }
    let word = if approved { "approved" } else { "denied" };
    let lines = answered.iter().map(|run| format!("{word} {run}"));
    paint::print(&if output.is_json() {
        format!("{}\n", json!({ "approved": approved, "runs": answered }))
    } else {
        paint::lines(lines.chain([format!("{} held Jobs {word}", answered.len())]))
    })?;
    Ok(())
}

/// Whether the last thing in its transcript is a question of the system's: what a model asks is the assistant's, whatever its words are.
async fn is_held(api: &Api, run: &str) -> anyhow::Result<bool> {
    let page = async |offset: u64| {
        let query = [("limit", "1".to_owned()), ("offset", offset.to_string())];
        api.get(&["runs", run, "messages"], &query).await?.read::<MessagePage>()
    };
    let last = page(page(0).await?.total.saturating_sub(1)).await?;
    Ok(last.messages.last().is_some_and(|last| last.kind == "human_request" && last.role == "system"))
}

async fn detail(api: &Api, run: &str) -> anyhow::Result<RunDetail> {
    api.get(&["runs", run], &[]).await?.read()
}

async fn pending(api: &Api, run: &str) -> anyhow::Result<String> {
    let detail = detail(api, run).await?;
    let request = detail.pending_human_request.map(|request| request.id);
    request.with_context(|| format!("the Job is {} and waits for nobody's answer", detail.run.status))
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("expected a JSON object: {error}"))
}

fn by_key(answers: Vec<(String, String)>) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for (key, value) in answers {
        if found.insert(key.clone(), value).is_some() {
            anyhow::bail!("{key:?} is answered twice");
        }
    }
    Ok(found)
}

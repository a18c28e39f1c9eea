//! `errand runs respond`: a person's answer to what a Job asks.

use std::collections::BTreeMap;

use anyhow::Context;
use clap::Args;
use contract::human_requests::{self, RespondAnswer};
use contract::runs::RunDetail;
use serde_json::{Map, Value};

use crate::client::{Api, Output};
use crate::paint;

/// What is asked is in `errand runs get`.
#[derive(Args)]
pub(crate) struct Respond {
    /// The Job's id.
    run: String,
    /// The request's id; without it, the one that the Job waits for.
    request: Option<String>,
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
        let request = match self.request {
            Some(request) => request,
            None => pending(api, &self.run).await?,
        };
        let body = match (self.approve, self.deny) {
            (false, false) => human_requests::Respond::answers(by_key(self.answers)?),
            (approved, _) => {
                human_requests::Respond { arguments: self.arguments, ..human_requests::Respond::decision(approved) }
            }
        };
        let answer = api.post(&["runs", &self.run, "human-requests", &request, "respond"], &body).await?;
        self.output.print(&answer, |told: RespondAnswer| {
            format!("answered: {}\n", paint::line(told.human_request.response.as_deref().unwrap_or_default(), 200))
        })
    }
}

async fn pending(api: &Api, run: &str) -> anyhow::Result<String> {
    let detail: RunDetail = api.get(&["runs", run], &[]).await?.read()?;
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

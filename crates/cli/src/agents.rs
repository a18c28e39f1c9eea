//! `errand agents`: Assignments over the API.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use contract::agents::{AgentAnswer, AgentPage, CreateAgent};
use contract::builds::NewBuild;
use serde_json::value::RawValue;

use crate::client::{Api, Output, Page};
use crate::table;

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Action {
    /// Newest first.
    List {
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        output: Output,
    },
    /// One Assignment with its latest Build.
    Get {
        /// Its id.
        agent: String,
        #[command(flatten)]
        output: Output,
    },
    /// A new Assignment, with its first Build if there is a config.
    Create {
        /// What to call it.
        #[arg(long)]
        name: String,
        /// What to call its first Build.
        #[arg(long, default_value = "v1", requires = "config")]
        build_name: String,
        /// The first Build's config, a JSON file; - for standard input.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        output: Output,
    },
}

impl Action {
    /// Does it.
    pub(crate) async fn run(self, api: &Api) -> anyhow::Result<ExitCode> {
        match self {
            Self::List { page, output } => {
                let answer = api.get(&["agents"], &page.query()).await?;
                output.print(&answer, |found: AgentPage| {
                    let more = table::more(found.agents.len(), page.skipped(), found.total);
                    let rows = found.agents.into_iter().map(|agent| [agent.id, agent.name, agent.created_at]);
                    table::rows(["ID", "NAME", "CREATED"], rows) + &more
                })?;
            }
            Self::Get { agent, output } => output.print(&api.get(&["agents", &agent], &[]).await?, one)?,
            Self::Create { name, build_name, config, output } => {
                let build = match config {
                    Some(file) => Some(NewBuild { name: build_name, config: read_config(&file)? }),
                    None => None,
                };
                output.print(&api.post(&["agents"], &CreateAgent { name, build }).await?, one)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn one(found: AgentAnswer) -> String {
    let mut fields = vec![("id", found.agent.id), ("name", found.agent.name), ("created", found.agent.created_at)];
    match found.build {
        Some(build) => {
            fields.push(("latest build", format!("{} ({})", build.revision_number, build.name)));
            fields.push(("build id", build.id));
        }
        None => fields.push(("latest build", "none yet; `errand builds create` makes one".to_owned())),
    }
    table::fields(&fields)
}

/// The text of a config, exactly as it is in the file. What it may say is the server's to judge.
pub(crate) fn read_config(file: &Path) -> anyhow::Result<Box<RawValue>> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("standard input")?;
    } else {
        text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    }
    RawValue::from_string(text).with_context(|| format!("{}: not JSON", file.display()))
}

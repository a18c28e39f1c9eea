//! `errand builds`: the Builds of an Assignment over the API.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use contract::builds::{Build, BuildAnswer, BuildPage, CreateBuild, NewBuildAnswer};
use serde_json::Value;

use crate::agents::read_config;
use crate::client::{Api, Output, Page};
use crate::{paint, table};

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Action {
    /// Latest first.
    List {
        /// The Assignment's id.
        agent: String,
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        output: Output,
    },
    /// One Build with its config.
    Get {
        /// Its id.
        build: String,
        #[command(flatten)]
        output: Output,
    },
    /// A new Build, which the next Jobs will run.
    Create {
        /// The Assignment's id.
        agent: String,
        /// What to call it.
        #[arg(long)]
        name: String,
        /// Its config, a JSON file; - for standard input.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        #[command(flatten)]
        output: Output,
    },
}

impl Action {
    /// Does it.
    pub(crate) async fn run(self, api: &Api) -> anyhow::Result<ExitCode> {
        match self {
            Self::List { agent, page, output } => {
                let answer = api.get(&["agents", &agent, "builds"], &page.query()).await?;
                output.print(&answer, |found: BuildPage| {
                    let more = table::more(found.builds.len(), page.skipped(), found.total);
                    let rows = found.builds.into_iter().map(|build| {
                        [
                            build.revision_number.to_string(),
                            build.id.clone(),
                            model(&build),
                            build.name,
                            build.created_at,
                        ]
                    });
                    table::rows(["NUMBER", "ID", "MODEL", "NAME", "CREATED"], rows) + &more
                })?;
            }
            Self::Get { build, output } => {
                output.print(&api.get(&["builds", &build], &[]).await?, |found: BuildAnswer| one(&found.build))?;
            }
            Self::Create { agent, name, config, output } => {
                let build = CreateBuild { agent_id: agent, name, config: read_config(&config)? };
                output.print(&api.post(&["builds"], &build).await?, |made: NewBuildAnswer| one(&made.build))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn one(build: &Build) -> String {
    let fields = [
        ("id", build.id.clone()),
        ("number", build.revision_number.to_string()),
        ("name", build.name.clone()),
        ("agent", build.agent_id.clone()),
        ("created", build.created_at.clone()),
    ];
    let config = serde_json::to_string_pretty(&config(build)).unwrap_or_default();
    format!("{}config\n{}\n", table::fields(&fields), paint::plain(&config))
}

fn model(build: &Build) -> String {
    let config = config(build);
    let named = config.pointer("/data/models/agent/model").or_else(|| config.pointer("/data/model"));
    named.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn config(build: &Build) -> Value {
    serde_json::from_str(build.config.get()).unwrap_or_default()
}

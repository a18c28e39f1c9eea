//! `errand files`: files of the team over the API.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use contract::files::{FileRemoved, TeamFileAnswer, TeamFilePage};

use crate::client::{Api, Output, keep};
use crate::{paint, table};

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Action {
    /// Keeps a file for the team, at most 10 MiB. One of its name is replaced.
    Push {
        /// The file here.
        file: PathBuf,
        /// What to call it there; without it, its own name.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// The files of the team, by name.
    List {
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// How many to leave out before them.
        #[arg(long, default_value_t = 0)]
        offset: u64,
        #[command(flatten)]
        output: Output,
    },
    /// Fetches one.
    Pull {
        /// Its id or its name.
        file: String,
        /// The file here; without it, standard output.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Removes one.
    Rm {
        /// Its id or its name.
        file: String,
        #[command(flatten)]
        output: Output,
    },
}

impl Action {
    /// Does it.
    pub(crate) async fn run(self, api: &Api) -> anyhow::Result<ExitCode> {
        match self {
            Self::Push { file, name, output } => {
                let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
                let own = || file.file_name().and_then(|name| name.to_str()).map(str::to_owned);
                let name = name.or_else(own);
                let name = name.with_context(|| format!("{}: say with --name what to call it", file.display()))?;
                output.print(&api.push(&name, bytes).await?, |sent: TeamFileAnswer| {
                    let (id, size) = (sent.file.id, sent.file.size_bytes.to_string());
                    table::fields(&[("id", id), ("name", paint::plain(&sent.file.name)), ("bytes", size)])
                })?;
            }
            Self::List { limit, offset, output } => {
                let query = [("limit", limit.to_string()), ("offset", offset.to_string())];
                output.print(&api.get(&["files"], &query).await?, listed)?;
            }
            Self::Pull { file, output } => {
                keep(&api.download(&["files", &file, "content"], &[]).await?, output.as_deref())?;
            }
            Self::Rm { file, output } => {
                output.print(&api.delete(&["files", &file]).await?, |_: FileRemoved| "removed\n".to_owned())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn listed(page: TeamFilePage) -> String {
    let rows = page.files.into_iter().map(|file| [file.id, file.size_bytes.to_string(), file.updated_at, file.name]);
    table::rows(["ID", "BYTES", "SENT", "NAME"], rows)
}

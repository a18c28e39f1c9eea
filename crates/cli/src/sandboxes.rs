//! `errand sandboxes`: file areas for Jobs over the API.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use contract::sandboxes::{FilePage, NewUploadUrl, SandboxAnswer, SandboxFileKind, UploadUrl, UploadedFile, WORKSPACE};

use crate::client::{Api, Output, keep};
use crate::{paint, table};

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Action {
    /// A new, empty one.
    Create {
        #[command(flatten)]
        output: Output,
    },
    /// What a folder of it holds.
    Files {
        /// The sandbox's id.
        sandbox: String,
        /// The folder.
        #[arg(long, default_value = WORKSPACE)]
        path: String,
        #[command(flatten)]
        output: Output,
    },
    /// Puts a file into it, at most 10 MiB.
    Upload {
        /// The sandbox's id.
        sandbox: String,
        /// The file here.
        file: PathBuf,
        /// The file there; without it, its own name in /workspace.
        #[arg(long)]
        path: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// A URL by which one file can be sent without a key, also a large one: `curl --upload-file FILE URL`.
    UploadUrl {
        /// The sandbox's id.
        sandbox: String,
        /// The file there.
        path: String,
        #[command(flatten)]
        output: Output,
    },
    /// Fetches a file out of it.
    Download {
        /// The sandbox's id.
        sandbox: String,
        /// The file there.
        path: String,
        /// The file here; without it, standard output.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

impl Action {
    /// Does it.
    pub(crate) async fn run(self, api: &Api) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create { output } => {
                output.print(&api.post_nothing(&["sandboxes"]).await?, |made: SandboxAnswer| {
                    table::fields(&[("id", made.sandbox_id), ("expires", made.expires_at)])
                })?;
            }
            Self::Files { sandbox, path, output } => {
                let answer = api.get(&["sandboxes", &sandbox, "files"], &[("path", path)]).await?;
                output.print(&answer, files)?;
            }
            Self::Upload { sandbox, file, path, output } => {
                let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
                let path = path.map_or_else(|| own_name(&file), Ok)?;
                output.print(&api.upload(&sandbox, &path, bytes).await?, |sent: UploadedFile| {
                    format!("{} ({} bytes)\n", paint::plain(&sent.path), sent.size_bytes)
                })?;
            }
            Self::UploadUrl { sandbox, path, output } => {
                let answer = api.post(&["sandboxes", &sandbox, "upload-urls"], &NewUploadUrl { path }).await?;
                output.print(&answer, |made: UploadUrl| format!("{}\n", paint::plain(&made.upload_url)))?;
            }
            Self::Download { sandbox, path, output } => {
                keep(
                    &api.download(&["sandboxes", &sandbox, "files", "content"], &[("path", path)]).await?,
                    output.as_deref(),
                )?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn files(found: FilePage) -> String {
    let rows = found.files.into_iter().map(|file| match file.kind {
        SandboxFileKind::Dir => ["-".to_owned(), format!("{}/", file.path)],
        SandboxFileKind::File => [file.size_bytes.to_string(), file.path],
    });
    table::rows(["BYTES", "PATH"], rows)
}

fn own_name(file: &Path) -> anyhow::Result<String> {
    let name = file.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("{}: say with --path what to call it there", file.display()))?;
    Ok(format!("{WORKSPACE}/{name}"))
}

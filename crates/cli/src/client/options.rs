//! What all client commands share: which server, which key, what to do there; which part of a list, how to show the answer.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;

use super::{Answer, Api, Failure};
use crate::paint;

/// A noun of the API: something to do with it, on some server. The actions are in the file of the noun.
#[derive(Args)]
pub(crate) struct Noun<Action: Subcommand> {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    action: Action,
}

/// Where the server is, and the key.
#[derive(Debug, Clone, Args)]
struct Target {
    /// The server, with or without /v1 at the end.
    #[arg(long, global = true, env = "ERRAND_BASE_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    base_url: String,
    /// The API key. Better given as the variable: other users of a machine can see command lines.
    #[arg(long, global = true, env = "ERRAND_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: Option<String>,
}

/// How a command shows its answer.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Output {
    /// Print the server's JSON unchanged.
    #[arg(long)]
    json: bool,
}

/// Which part of a list.
#[derive(Debug, Clone, Args)]
pub(crate) struct Page {
    /// At most this many rows (the server's own number: 20).
    #[arg(long)]
    limit: Option<u32>,
    /// Skip this many rows.
    #[arg(long)]
    offset: Option<u64>,
}

impl<Action: Subcommand> Noun<Action> {
    /// Opens the door and acts.
    ///
    /// # Errors
    /// [`Failure::NoKey`]; a URL that is none; whatever goes wrong behind the door.
    pub(crate) async fn run(
        self,
        act: impl AsyncFnOnce(Action, &Api) -> anyhow::Result<ExitCode>,
    ) -> anyhow::Result<ExitCode> {
        let Target { base_url, api_key } = self.target;
        let key = api_key.as_deref().unwrap_or_default().trim();
        if key.is_empty() {
            return Err(Failure::NoKey.into());
        }
        act(self.action, &Api::new(&base_url, key)?).await
    }
}

impl Output {
    /// Prints the answer: as it is, or as `show` puts it for people.
    pub(crate) fn print<T: DeserializeOwned>(
        self,
        answer: &Answer,
        show: impl FnOnce(T) -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            paint::print(&format!("{}\n", answer.0.trim_end()))?;
        } else {
            paint::print(&show(answer.read()?))?;
        }
        Ok(())
    }

    /// Whether JSON is wanted.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }
}

impl Page {
    /// As query parameters.
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        let limit = self.limit.map(|limit| ("limit", limit.to_string()));
        limit.into_iter().chain(self.offset.map(|offset| ("offset", offset.to_string()))).collect()
    }

    /// How many rows come before.
    pub(crate) fn skipped(&self) -> u64 {
        self.offset.unwrap_or(0)
    }
}

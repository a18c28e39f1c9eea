//! The flags that all client commands share: which server, which key, which part of a list, how to show the answer.

use clap::Args;
use serde::de::DeserializeOwned;

use super::{Answer, Api, Failure};
use crate::paint;

/// Where the server is, and the key.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
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

impl Target {
    /// Opens the door. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Failure::NoKey`]; a URL that is none.
    pub(crate) fn open(&self) -> anyhow::Result<Api> {
        let key = self.api_key.as_deref().unwrap_or_default().trim();
        if key.is_empty() {
            return Err(Failure::NoKey.into());
        }
        Api::new(&self.base_url, key)
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

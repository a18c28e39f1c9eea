//! What is logged: how much, and in which form, on standard error.
//!
//! Rooms log with `tracing`; which request, team and run a line is about is said by the spans around it, not by each line. No line of any level
//! holds a secret or what Jobs say. Foreign crates, which promise no such thing, are heard from warnings on only. `logs/levels.rs` reads how much,
//! `logs/json.rs` writes lines for machines.

mod json;
mod levels;

use std::io::{self, IsTerminal};
use std::sync::{Arc, OnceLock};

use clap::{Args, ValueEnum};
use serde::Deserialize;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt;

pub(crate) use self::levels::Levels;

/// What the command line and the environment say about the log.
#[derive(Args)]
pub(crate) struct Log {
    /// How much to log on standard error: off, error, warn, info, debug or trace; parts of it otherwise, as in info,access=debug [default: info]
    #[arg(long = "log", env = "ERRAND_LOG", value_name = "LEVEL")]
    level: Option<Levels>,
    /// How to write it [default: text]
    #[arg(long = "log-format", env = "ERRAND_LOG_FORMAT", value_enum, value_name = "FORMAT")]
    format: Option<Format>,
}

/// Section `[log]` of `errand.toml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// How much.
    pub(crate) level: Levels,
    /// In which form.
    pub(crate) format: Format,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What this node is called in its log, once that is known.
pub(crate) type NodeName = Arc<OnceLock<String>>;

/// Something else that is told of all that happens here, whatever is logged.
pub(crate) type Listener = Box<dyn Layer<Registry> + Send + Sync>;

impl Log {
    /// Logs from now on as the command line says, or else `settings`.
    pub(crate) fn start(&self, settings: &Settings, listener: Option<Listener>) -> NodeName {
        let levels = self.level.as_ref().unwrap_or(&settings.level).targets();
        let node = NodeName::default();
        let lines: Listener = match self.format.unwrap_or(settings.format) {
            Format::Json => json::Json::new(Arc::clone(&node)).with_filter(levels).boxed(),
            Format::Text => fmt::layer()
                .with_writer(io::stderr)
                // It would tell standard error that standard error cannot be written to, and panic: a full log must not end requests and Jobs.
                .log_internal_errors(false)
                .with_ansi(io::stderr().is_terminal())
                .with_filter(levels)
                .boxed(),
        };
        tracing_subscriber::registry().with(listener.into_iter().chain([lines]).collect::<Vec<_>>()).init();
        node
    }
}

//! How much is logged: a level for all, and others for parts.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use tracing_subscriber::filter::{LevelFilter, Targets};

/// What can have a level of its own: the rooms, and the lines about requests.
const PARTS: [&str; 6] = ["access", "agent", "engine", "errand", "server", "storage"];

/// A level, and the parts that have another.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Levels {
    all: LevelFilter,
    parts: Vec<(&'static str, LevelFilter)>,
}

impl Levels {
    /// Nothing at all.
    pub(crate) const OFF: Self = Self { all: LevelFilter::OFF, parts: Vec::new() };

    /// The same as a filter. What is not ours may at the most warn: nobody looked through what else it says. The client of MCP servers says nothing:
    /// to it a server that is away is an error of ours, and whoever asked it says what came of it.
    pub(super) fn targets(&self) -> Targets {
        Targets::new()
            .with_default(self.all.min(LevelFilter::WARN))
            .with_target("rmcp", LevelFilter::OFF)
            .with_targets(PARTS.map(|part| (part, self.all)))
            .with_targets(self.parts.iter().copied())
    }
}

impl Default for Levels {
    fn default() -> Self {
        Self { all: LevelFilter::INFO, parts: Vec::new() }
    }
}

impl FromStr for Levels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut levels = Self::default();
        for item in text.split(',').map(str::trim) {
            match item.split_once('=') {
                None => levels.all = level(item)?,
                Some((name, of)) => {
                    let part = PARTS.into_iter().find(|part| *part == name);
                    let part =
                        part.ok_or_else(|| format!("{name:?} is no part of the log; they are {}", PARTS.join(", ")))?;
                    levels.parts.push((part, level(of)?));
                }
            }
        }
        Ok(levels)
    }
}

impl TryFrom<String> for Levels {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.all)?;
        self.parts.iter().try_for_each(|(part, level)| write!(f, ",{part}={level}"))
    }
}

/// By its name only: the numbers that the library takes, too, say nothing to a reader.
fn level(name: &str) -> Result<LevelFilter, String> {
    let named = name.bytes().all(|byte| byte.is_ascii_alphabetic()).then(|| name.parse().ok()).flatten();
    named
        .filter(|_| !name.is_empty())
        .ok_or_else(|| format!("{name:?} is no level; they are off, error, warn, info, debug and trace"))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn parts_may_have_a_level_of_their_own_and_what_is_not_ours_is_kept_short() {
        let targets = "info,access=debug".parse::<Levels>().unwrap().targets();
        assert!(targets.would_enable("access", &Level::DEBUG) && !targets.would_enable("access", &Level::TRACE));
        assert!(
            targets.would_enable("engine::job", &Level::INFO) && !targets.would_enable("engine::job", &Level::DEBUG)
        );
        let everything = "trace".parse::<Levels>().unwrap().targets();
        assert!(everything.would_enable("server::edge", &Level::TRACE));
        assert!(everything.would_enable("reqwest::connect", &Level::WARN));
        assert!(!everything.would_enable("reqwest::connect", &Level::INFO));
        assert!(!"off".parse::<Levels>().unwrap().targets().would_enable("reqwest::connect", &Level::ERROR));
    }

    #[test]
    fn what_is_no_level_is_refused_in_words() {
        for (text, told) in [
            ("inf", "\"inf\" is no level"),
            ("", "\"\" is no level"),
            ("3", "\"3\" is no level"),
            ("info,", "\"\" is no level"),
            ("info,hyper=debug", "\"hyper\" is no part"),
            ("info,access=", "\"\" is no level"),
        ] {
            let refusal = text.parse::<Levels>().unwrap_err();
            assert!(refusal.contains(told), "{text}: {refusal}");
        }
    }
}

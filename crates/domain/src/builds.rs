//! Builds: the immutable, numbered snapshots of what an Assignment does.
//!
//! Here: the noun [`Build`], the rule for its name, and the doors to its config: [`normalise`] turns
//! what a person submitted into a typed [`Config`], whose methods then answer the questions of a run.
//! Not here: storing Builds, numbering them, or calling the models they name.
//! Next: `builds/normalise.rs` for the rules of acceptance, `builds/config.rs` for the shape,
//! `builds/serving.rs` for what a config means when a Job runs.

mod config;
mod input;
mod normalise;
mod options;
#[cfg(test)]
mod properties;
mod secrets;
mod serving;
mod tools;

pub use config::{
    AGENT_MODELS, AgentModel, BROWSING_MODELS, BROWSING_PROVIDERS, Browsing, Config, ConfigV1, ConfigV2, Models,
    TextFormat, TextSettings,
};
pub use input::{Content, Detail, Input, InputMessage, MessageType, Part, Role};
pub use normalise::{Defaults, Normalised, normalise};
pub use options::{BrowserProvider, ExpectedOutcome, Options};
pub use secrets::{REDACTED, Secrets, redact_submitted};
pub use serving::{Sampling, SeedTurn, Speaker};
pub use tools::{AllowedTools, ApprovalMode, McpTool, RequireApproval, Tool, ToolNames};

use crate::agents::NAME_MAX;
use crate::shape::{Cursor, Flaw};
use crate::{AgentId, BuildId, TeamId, Timestamp};

/// One Build. Nothing of it ever changes after it was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Its id.
    pub id: BuildId,
    /// The Assignment it belongs to.
    pub agent: AgentId,
    /// The team that owns the Assignment.
    pub team: TeamId,
    /// As it was given: not trimmed, not unique.
    pub name: String,
    /// 1, 2, 3 … within its Assignment, without gaps (contract A17).
    pub revision_number: u32,
    /// The normalised [`Config`] as JSON text, exactly as it is served; it holds no secrets.
    pub config_json: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Reads the name of a Build: 1 to [`NAME_MAX`] characters, kept verbatim, blanks too (contract A23).
pub fn name(at: &Cursor<'_>) -> Result<String, Flaw> {
    at.string_of(1..=NAME_MAX).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_kept_verbatim_within_its_length() {
        let read = |text: &str| name(&Cursor::new(&json!(text), "/build/name"));
        assert_eq!(read(" ").unwrap(), " ");
        assert_eq!(read(&"ä".repeat(1000)).unwrap().chars().count(), 1000);
        assert_eq!(read("").unwrap_err().pointer, "/build/name");
        assert!(read(&"x".repeat(1001)).is_err());
    }
}

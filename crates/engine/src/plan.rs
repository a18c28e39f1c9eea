//! What a Build demands of each model turn, read from its config once.

use agent::tools::guide::guide;
use domain::builds::{Build, Config, McpTool, Sampling, SeedTurn};
use domain::{AgentId, BuildId};
use storage::StoreError;

/// Told to a model whose Build names team files.
const GIVEN: &str = "Files that belong to this Assignment are in /workspace/files.";

/// A Build, ready to run.
pub(crate) struct Plan {
    pub(crate) agent: AgentId,
    pub(crate) build: BuildId,
    pub(crate) model: String,
    pub(crate) instructions: String,
    pub(crate) seed: Vec<SeedTurn>,
    pub(crate) sampling: Sampling,
    pub(crate) json_object: bool,
    /// MCP servers whose tools it offers, each `server_label` once.
    pub(crate) servers: Vec<McpTool>,
    /// Team files to put into the workspace.
    pub(crate) files: Vec<String>,
    /// What the config names and this version does not serve: said in the transcript, never ignored.
    pub(crate) unserved: Vec<String>,
}

impl Plan {
    /// Reads a stored Build.
    pub(crate) fn read(build: &Build) -> Result<Self, StoreError> {
        let config: Config =
            serde_json::from_str(&build.config_json).map_err(|error| storage::unreadable("builds.config", &error))?;
        let json_object = config.wants_json_object();
        let files = config.files();
        let given = if files.is_empty() { String::new() } else { format!("\n\n{GIVEN}") };
        Ok(Self {
            agent: build.agent,
            build: build.id,
            model: config.model_name().to_owned(),
            instructions: format!(
                "{}{given}\n\n# Your standard operating procedure\n\n{}",
                guide(json_object),
                config.instructions()
            ),
            files,
            servers: config.servers(),
            seed: config.seed_turns(),
            sampling: config.sampling(),
            json_object,
            unserved: config.unserved(),
        })
    }
}

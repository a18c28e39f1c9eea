//! Team files on the wire, an extension: kept for a team, and put into the workspace of each run whose build names them in `files`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One file of the team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TeamFile {
    /// UUID. Stays the same when the file is replaced.
    pub id: String,
    /// What it is called: a relative path. A run finds it in `/workspace/files/`.
    pub name: String,
    /// Bytes.
    pub size_bytes: u64,
    /// SHA-256 of the bytes, in lower-case hex.
    pub sha256: String,
    /// When it was first sent: RFC 3339, UTC, milliseconds, `Z`.
    pub created_at: String,
    /// When it was last sent: RFC 3339, UTC, milliseconds, `Z`.
    pub updated_at: String,
}

/// Answer of `POST /v1/files` (201).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TeamFileAnswer {
    /// As it is now.
    pub file: TeamFile,
}

/// Answer of `GET /v1/files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TeamFilePage {
    /// By name.
    pub files: Vec<TeamFile>,
    /// How many there are in all.
    pub total: u64,
    /// As asked.
    pub limit: u32,
    /// As asked.
    pub offset: u64,
}

/// Answer of `DELETE /v1/files/{file_id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct FileRemoved {
    /// Always `true`.
    pub removed: bool,
}

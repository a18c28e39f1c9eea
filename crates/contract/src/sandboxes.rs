//! Sandboxes on the wire: the file area prepared for a run, and the files in it.
//!
//! Uploads are bytes, not JSON, and so have no request shape here. Paths are absolute and start
//! with [`WORKSPACE`]; which of them are allowed is decided by the domain.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fields;

/// The directory that `GET /v1/sandboxes/{sandbox_id}/files` lists when no `path` is given.
pub const WORKSPACE: &str = "/workspace";

/// Answer of `POST /v1/sandboxes` (201).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SandboxAnswer {
    /// Names the sandbox. Its form means nothing.
    pub sandbox_id: String,
    /// RFC 3339, UTC, milliseconds, `Z`.
    pub expires_at: String,
}

/// Answer of `GET /v1/sandboxes/{sandbox_id}/files`; not paged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct FilePage {
    /// What is directly in the directory.
    pub files: Vec<SandboxFile>,
}

/// A file or a directory in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SandboxFile {
    /// The last part of `path`.
    pub name: String,
    /// Absolute, as the run sees it.
    pub path: String,
    /// Which of the two it is.
    #[serde(rename = "type")]
    pub kind: SandboxFileKind,
    /// Bytes; 0 for a directory.
    #[schemars(with = "f64")]
    pub size_bytes: u64,
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SandboxFileKind {
    /// Bytes.
    File,
    /// More files.
    Dir,
}

/// Answer of `POST /v1/sandboxes/{sandbox_id}/files` (201).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct UploadedFile {
    /// Absolute, where the bytes now are.
    pub path: String,
    /// How many bytes were stored.
    #[schemars(with = "f64")]
    pub size_bytes: u64,
}

/// Body of `POST /v1/sandboxes/{sandbox_id}/upload-urls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUploadUrl {
    /// The file to come, such as `/workspace/data.csv`.
    #[serde(deserialize_with = "fields::filled")]
    #[schemars(length(min = 1))]
    pub path: String,
}

/// Answer of `POST /v1/sandboxes/{sandbox_id}/upload-urls` (200).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct UploadUrl {
    /// `PUT` the file's bytes here. No API key is needed.
    #[schemars(extend("format" = "uri"))]
    pub upload_url: String,
    /// Absolute, where the bytes will be.
    pub path: String,
    /// For so long the URL is good.
    #[schemars(with = "f64")]
    pub expires_in_seconds: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_spelled_as_in_the_schema() {
        let file = |kind| SandboxFile { name: "a".to_owned(), path: format!("{WORKSPACE}/a"), kind, size_bytes: 0 };
        let sent =
            serde_json::to_value(FilePage { files: vec![file(SandboxFileKind::File), file(SandboxFileKind::Dir)] })
                .expect("plain");
        assert_eq!(sent["files"][0]["type"], "file");
        assert_eq!(sent["files"][1]["type"], "dir");
    }
}

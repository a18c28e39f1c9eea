//! What can be wrong with a file access, in sentences for the person or the model that asked. Never the server's own paths.

use std::fmt::Display;
use std::io;

/// Why a file was not listed, read or written. Paths are as the sandbox shows them.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// No such file, or a folder above it is missing.
    #[error("{0} does not exist")]
    NotFound(String),
    /// Something else than a regular file with one name.
    #[error("{path} is {found}, not a plain file")]
    NotAFile {
        /// The path asked for.
        path: String,
        /// What is there instead, with its article.
        found: &'static str,
    },
    /// A folder was expected here, or above the file.
    #[error("{path} is not reached: {name:?} is {found}, not a folder")]
    NotAFolder {
        /// The path asked for.
        path: String,
        /// The name on the way that is none.
        name: String,
        /// What is there instead, with its article.
        found: &'static str,
    },
    /// More bytes than one file may have.
    #[error("{path} has {size} bytes; a file here may have at most {max}")]
    TooLarge {
        /// The path asked for.
        path: String,
        /// Bytes it has or would have.
        size: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// The sandbox is full.
    #[error("the sandbox is full: {0}")]
    Quota(String),
    /// A path or a sandbox id that is refused as it stands.
    #[error("{0}")]
    BadPath(String),
    /// The file system failed.
    #[error("{path} could not be accessed: {source}")]
    Io {
        /// The path asked for.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

impl FileError {
    pub(super) fn io(path: &impl Display, source: io::Error) -> Self {
        Self::Io { path: path.to_string(), source }
    }
}

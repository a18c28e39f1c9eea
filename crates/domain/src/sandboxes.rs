//! Sandboxes: a private file area that a run works in, always shown as `/workspace`.
//!
//! Here are the rules of names and sizes; the files themselves are opened by descriptor in `agent`, beneath one folder.

use std::fmt;

use crate::{TeamId, Timestamp};

/// The folder every path begins with.
pub const ROOT: &str = "/workspace";

/// Largest file that is uploaded at once or written by a tool, in bytes (contract 2.11).
pub const FILE_MAX: usize = 10 * 1024 * 1024;

/// How long a sandbox without a run is kept: 24 hours (contract 2.11).
pub const LIFETIME_MS: u64 = 24 * 60 * 60 * 1000;

/// Longest name of one file or folder, in bytes: what Linux file systems take.
const NAME_MAX: usize = 255;

/// Deepest nesting below the root.
const DEPTH_MAX: usize = 32;

/// One sandbox. Its id is opaque text (contract 2.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// `sbx_` and 32 hex digits.
    pub id: String,
    /// The team it belongs to.
    pub team: TeamId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it may be reaped, unless a run still needs it.
    pub expires_at: Timestamp,
}

/// The files of all sandboxes, as whoever serves uploads and downloads sees them. Blocks: async callers wrap it. `agent` has the one that
/// opens real files; the rooms meet through this trait so that the edge need not know it.
pub trait Files: Send + Sync + 'static {
    /// What lies in a folder, by name; an unwritten sandbox is empty.
    ///
    /// # Errors
    /// [`FileError`].
    fn list(&self, sandbox: &str, folder: &SandboxPath) -> Result<Vec<FileInfo>, FileError>;

    /// The bytes of a file.
    ///
    /// # Errors
    /// [`FileError`].
    fn read(&self, sandbox: &str, file: &SandboxPath) -> Result<Vec<u8>, FileError>;

    /// Writes a whole file, durably, making its folders.
    ///
    /// # Errors
    /// [`FileError`].
    fn write(&self, sandbox: &str, file: &SandboxPath, bytes: &[u8]) -> Result<(), FileError>;

    /// Removes a file. One that does not exist is removed already.
    ///
    /// # Errors
    /// [`FileError`].
    fn remove(&self, sandbox: &str, file: &SandboxPath) -> Result<(), FileError>;

    /// How many bytes the files of a sandbox have.
    ///
    /// # Errors
    /// [`FileError`].
    fn used(&self, sandbox: &str) -> Result<u64, FileError>;

    /// How many bytes all files of a team may have; 0: any number.
    fn team_bytes(&self) -> u64;

    /// Begins to write a file of up to `most` bytes, which need not be in memory all at once.
    ///
    /// # Errors
    /// [`FileError`].
    fn begin(&self, sandbox: &str, file: &SandboxPath, most: u64) -> Result<Box<dyn Incoming>, FileError>;
}

/// A file on its way in. Nobody sees anything of it before [`Incoming::finish`]; dropped before that, it never was.
pub trait Incoming: Send + 'static {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`FileError`]; the file is then lost.
    fn push(&mut self, bytes: &[u8]) -> Result<(), FileError>;

    /// Puts the whole file under its name, durably, making its folders; how many bytes it has.
    ///
    /// # Errors
    /// [`FileError`].
    fn finish(self: Box<Self>) -> Result<u64, FileError>;
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInfo {
    /// The last name of the path.
    pub name: String,
    /// Absolute, such as `/workspace/in/a.csv`.
    pub path: String,
    /// A folder rather than a file.
    pub is_dir: bool,
    /// Bytes; 0 for a folder.
    pub size: u64,
}

/// Why a file was not listed, read or written, in sentences for the person or the model that asked. Paths are as the sandbox shows them,
/// never the server's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// The sandbox is full; why, and what would still fit.
    #[error("the sandbox is full: {0}")]
    Quota(String),
    /// A path or a sandbox id that is refused as it stands.
    #[error("{0}")]
    BadPath(String),
    /// The disk has no room left.
    #[error("{0} was not written: the server's disk is full")]
    DiskFull(String),
    /// Too many files are open in this process: worth another try.
    #[error("too many files are open at this moment: {0}")]
    Exhausted(String),
    /// The bucket that files are kept in does not answer, or not as it should: worth another try.
    #[error("{0} was not reached: the server's store of files does not answer at this moment; try again")]
    Unreachable(String),
    /// The file system failed; which path, and what the system said.
    #[error("{0}")]
    Io(String),
}

/// A checked path below the root: plain names only, so that joining it to a folder cannot leave the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxPath(Vec<String>);

impl SandboxPath {
    /// Reads `/workspace/a/b.csv`, `/workspace` or a path relative to it such as `a/b.csv`.
    ///
    /// # Errors
    /// A sentence that names the offending part.
    pub fn parse(text: &str) -> Result<Self, String> {
        let below = match text.strip_prefix(ROOT) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
            _ if text.starts_with('/') => return Err(format!("{text:?} is outside {ROOT}")),
            _ => text,
        };
        let names: Vec<&str> = below.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
        if names.len() > DEPTH_MAX {
            return Err(format!("the path is nested deeper than {DEPTH_MAX} folders"));
        }
        for name in &names {
            check_name(name)?;
        }
        Ok(Self(names.into_iter().map(str::to_owned).collect()))
    }

    /// As [`Self::parse`], for a path that must name a file.
    ///
    /// # Errors
    /// A sentence that names the offending part.
    pub fn parse_file(text: &str) -> Result<Self, String> {
        let path = Self::parse(text)?;
        if path.0.is_empty() || text.ends_with('/') {
            return Err(format!("{text:?} names a folder; expected a file such as {ROOT}/data.csv"));
        }
        Ok(path)
    }

    /// The root itself.
    pub fn root() -> Self {
        Self(Vec::new())
    }

    /// The names from the root down; empty for the root itself.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Relative to the root, for the file system: `a/b.csv`, or `.` for the root.
    pub fn relative(&self) -> String {
        if self.0.is_empty() { ".".into() } else { self.0.join("/") }
    }
}

impl fmt::Display for SandboxPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ROOT)?;
        self.0.iter().try_for_each(|name| write!(f, "/{name}"))
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if name == ".." {
        return Err("a path may not contain \"..\"".into());
    }
    if name.len() > NAME_MAX {
        return Err(format!("a name is longer than {NAME_MAX} bytes"));
    }
    match name.chars().find(|c| c.is_control() || *c == '\\' || is_bidi(*c)) {
        Some(bad) => Err(format!("{name:?} contains the character {bad:?}, which no file name may")),
        None => Ok(()),
    }
}

/// Characters that make a name look like another one.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_name_the_same_file() {
        for text in ["/workspace/in/a.csv", "in/a.csv", "./in//a.csv"] {
            assert_eq!(SandboxPath::parse_file(text).unwrap().to_string(), "/workspace/in/a.csv");
        }
        assert_eq!(SandboxPath::parse("/workspace").unwrap().relative(), ".");
    }

    #[test]
    fn nothing_leaves_the_root() {
        for text in [
            "../x",
            "/etc/passwd",
            "/workspace/../etc",
            "a/../../b",
            "/workspacex/a",
            "a\0b",
            "a\\b",
            "x\u{202e}y",
            "..",
            "a\nb",
        ] {
            assert!(SandboxPath::parse(text).is_err(), "{text:?}");
        }
        assert!(SandboxPath::parse(&"d/".repeat(33)).is_err());
        assert!(SandboxPath::parse(&"n".repeat(256)).is_err());
        for text in ["/workspace", "", "a/"] {
            assert!(SandboxPath::parse_file(text).is_err(), "{text:?}");
        }
    }
}

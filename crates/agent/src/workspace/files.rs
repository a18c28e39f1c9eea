//! The files of all sandboxes as the HTTP edge sees them: [`domain::sandboxes::Files`] over [`Workspaces`].

use domain::sandboxes::{self, FileInfo, Files, SandboxPath};

use super::{FileError, Workspaces};

impl Files for Workspaces {
    fn list(&self, sandbox: &str, folder: &SandboxPath) -> Result<Vec<FileInfo>, sandboxes::FileError> {
        Ok(self.open(sandbox).list(folder)?)
    }

    fn read(&self, sandbox: &str, file: &SandboxPath) -> Result<Vec<u8>, sandboxes::FileError> {
        Ok(self.open(sandbox).read(file)?)
    }

    fn write(&self, sandbox: &str, file: &SandboxPath, bytes: &[u8]) -> Result<(), sandboxes::FileError> {
        Ok(self.open(sandbox).write(file, bytes)?)
    }
}

impl From<FileError> for sandboxes::FileError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::NotFound(path) => Self::NotFound(path),
            FileError::NotAFile { path, .. } => Self::WrongKind { path, expected: "a plain file" },
            FileError::NotAFolder { path, .. } => {
                Self::WrongKind { path, expected: "only folders above the last name" }
            }
            FileError::TooLarge { path, max, .. } => Self::TooLarge { path, max },
            FileError::Quota(what) => Self::Quota(what),
            FileError::BadPath(what) => Self::NotFound(what),
            FileError::Io { path, source } => Self::Io(format!("{path}: {source}")),
        }
    }
}

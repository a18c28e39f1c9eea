//! The files of all sandboxes as the HTTP edge sees them: [`domain::sandboxes::Files`] over [`Workspaces`].

use domain::sandboxes::{FileError, FileInfo, Files, Incoming, SandboxPath};

use super::Workspaces;

impl Files for Workspaces {
    fn list(&self, sandbox: &str, folder: &SandboxPath) -> Result<Vec<FileInfo>, FileError> {
        self.open(sandbox).list(folder)
    }

    fn read(&self, sandbox: &str, file: &SandboxPath) -> Result<Vec<u8>, FileError> {
        self.open(sandbox).read(file)
    }

    fn write(&self, sandbox: &str, file: &SandboxPath, bytes: &[u8]) -> Result<(), FileError> {
        self.open(sandbox).write(file, bytes)
    }

    fn remove(&self, sandbox: &str, file: &SandboxPath) -> Result<(), FileError> {
        self.open(sandbox).remove(file)
    }

    fn used(&self, sandbox: &str) -> Result<u64, FileError> {
        self.open(sandbox).used()
    }

    fn team_bytes(&self) -> u64 {
        self.quota().team_bytes
    }

    fn begin(&self, sandbox: &str, file: &SandboxPath, most: u64) -> Result<Box<dyn Incoming>, FileError> {
        self.open(sandbox).begin(file, most)
    }
}

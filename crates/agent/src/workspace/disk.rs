//! Sandboxes on a disk, one folder each.
//!
//! What must not be here: any opening by a joined path. Every access starts at a folder's descriptor and takes one plain name at a time
//! ([`beneath`]), so neither `..` nor a link, not even one swapped in during the call, leads out of the sandbox. Next: `disk/claims.rs` for what keeps
//! a worker that lost its Job from writing, `disk/incoming.rs` for files that come piece by piece, `disk/count.rs` for how much is there.

pub(super) mod beneath;
mod claims;
mod count;
mod incoming;

use std::fmt::Display;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use domain::Timestamp;
use domain::sandboxes::{FILE_MAX, FileError, FileInfo, SandboxPath};
use uuid::Uuid;

use super::quota::Quota;
use super::{Area, Change, Claim, Place, Turns, check_size, split};
use claims::CLAIMS;
use incoming::Incoming;

/// Where new contents wait for their rename. No sandbox id holds a dot, so it cannot be one.
const INCOMING: &str = ".incoming";

/// The folder that holds all sandboxes.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    quota: Quota,
    turns: Turns,
    /// What this process is called in the names of its new contents, and how many there were.
    process: String,
    incoming: AtomicU64,
}

impl Disk {
    /// One that only this process writes to.
    pub(super) fn of_one_node(root: PathBuf, quota: Quota) -> Self {
        // What cannot be removed only takes space: writing never reuses a name that exists.
        for folder in [INCOMING, CLAIMS] {
            let _ = std::fs::remove_dir_all(root.join(folder));
        }
        Self::over(root, quota, std::process::id().to_string())
    }

    /// One that other nodes write to as well. What waits there may be theirs, whatever they are called: only its age tells that it was left.
    pub(super) fn shared(root: PathBuf, quota: Quota, process: Uuid) -> Self {
        Self::over(root, quota, process.simple().to_string())
    }

    fn over(root: PathBuf, quota: Quota, process: String) -> Self {
        Self { root, quota, turns: Turns::default(), process, incoming: AtomicU64::new(0) }
    }

    fn folder(&self) -> io::Result<Dir> {
        Dir::open_ambient_dir(&self.root, ambient_authority())
    }

    /// A name in the folder of incoming files that none has or had.
    fn temporary(&self) -> String {
        format!("{}-{}", self.process, self.incoming.fetch_add(1, Ordering::Relaxed))
    }

    fn make(&self, name: &str) -> io::Result<Dir> {
        std::fs::create_dir_all(&self.root)?;
        beneath::make_one(&self.folder()?, name)
    }

    fn home(&self, area: &Area) -> Result<Option<Dir>, FileError> {
        match self.folder().and_then(|root| beneath::enter(&root, &area.id)) {
            Ok(home) => Ok(Some(home)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(&"the sandbox", &error)),
        }
    }

    fn put(&self, area: &Area, path: &SandboxPath, bytes: &[u8]) -> Result<(), FileError> {
        check_size(path, bytes.len() as u64)?;
        self.place(area, path, bytes.len() as u64, |folder, name| {
            beneath::replace(&self.incoming(area)?, &self.temporary(), folder, name, bytes)
        })
    }

    /// Finds the place of a file of `size` bytes, making its folders, and has it put there. Only in one's turn.
    fn place(
        &self,
        area: &Area,
        path: &SandboxPath,
        size: u64,
        put: impl FnOnce(&Dir, &str) -> io::Result<()>,
    ) -> Result<(), FileError> {
        let (name, folders) = split(path)?;
        let failed = |error: io::Error| io_error(path, &error);
        let home = self.make(&area.id).map_err(failed)?;
        let (nearest, missing) = beneath::reach(home.try_clone().map_err(failed)?, folders, path)?;
        let replaced = if missing.is_empty() { beneath::size(&nearest, name, path)? } else { None };
        let new_names = missing.len() + usize::from(replaced.is_none());
        let was = replaced.unwrap_or(0);
        let used = self.quota.count(&home).map_err(failed)?;
        self.quota.check(used, new_names, was, size)?;
        if size > was {
            area.check_within(self.quota, used.bytes.saturating_sub(was), size)?;
        }
        let folder = beneath::make(nearest, missing, path)?;
        put(&folder, name).map_err(failed)
    }
}

impl Place for Disk {
    fn list(&self, area: &Area, path: &SandboxPath) -> Result<Vec<FileInfo>, FileError> {
        match self.home(area)? {
            Some(home) => beneath::list(&beneath::folder(home, path.names(), path)?, path),
            None if path.names().is_empty() => Ok(vec![]),
            None => Err(FileError::NotFound(path.to_string())),
        }
    }

    fn used(&self, area: &Area) -> Result<u64, FileError> {
        let Some(home) = self.home(area)? else { return Ok(0) };
        self.quota.count(&home).map(|used| used.bytes).map_err(|error| io_error(&"the sandbox", &error))
    }

    fn read(&self, area: &Area, path: &SandboxPath) -> Result<Vec<u8>, FileError> {
        let (name, folders) = split(path)?;
        let home = self.home(area)?.ok_or_else(|| FileError::NotFound(path.to_string()))?;
        let (file, size) = beneath::open(&beneath::folder(home, folders, path)?, name, path)?;
        check_size(path, size)?;
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(FILE_MAX));
        // The file may have grown since it was measured.
        let read = file.take(FILE_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|error| io_error(path, &error))?;
        check_size(path, read as u64)?;
        Ok(bytes)
    }

    fn write(&self, area: &Area, path: &SandboxPath, bytes: &[u8]) -> Result<(), FileError> {
        let _turn = self.turns.wait(area);
        self.put(area, path, bytes)
    }

    fn edit(&self, area: &Area, path: &SandboxPath, change: &mut Change<'_>) -> Result<(), FileError> {
        let _turn = self.turns.wait(area);
        change(self.read(area, path)?).map_or(Ok(()), |changed| self.put(area, path, &changed))
    }

    fn remove(&self, area: &Area, path: &SandboxPath) -> Result<(), FileError> {
        let (name, folders) = split(path)?;
        let _turn = self.turns.wait(area);
        let Some(home) = self.home(area)? else { return Ok(()) };
        match beneath::folder(home, folders, path) {
            Err(FileError::NotFound(_)) => Ok(()),
            folder => beneath::remove(&folder?, name).map_err(|error| io_error(path, &error)),
        }
    }

    fn begin(
        self: Arc<Self>,
        area: &Area,
        path: &SandboxPath,
        most: u64,
    ) -> Result<Box<dyn domain::sandboxes::Incoming>, FileError> {
        Ok(Box::new(Incoming::begin(self, area.clone(), path, most)?))
    }

    fn enter(&self, area: &Area, claim: &Claim) -> Result<(), FileError> {
        self.enter_claim(&area.id, claim).map_err(|error| io_error(&"the folder of what is being written", &error))
    }

    fn leave(&self, area: &Area, claim: &Claim) {
        // What cannot be removed only takes space, and goes with its sandbox.
        let _ = self.leave_claim(&area.id, claim);
    }

    fn remove_all(&self, area: &Area) -> Result<(), FileError> {
        let _turn = self.turns.wait(area);
        self.remove_claims(&area.id).map_err(|error| io_error(&"the sandbox", &error))?;
        match self.folder().and_then(|root| root.remove_dir_all(&area.id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(&"the sandbox", &error)),
            _ => Ok(()),
        }
    }

    fn sweep(&self, before: Timestamp) -> Result<u64, FileError> {
        self.sweep_incoming(before).map_err(|error| io_error(&"the folder of incoming files", &error))
    }
}

fn io_error(path: &impl Display, error: &io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FileError::DiskFull(path.to_string()),
        // EMFILE and ENFILE, everywhere that Rust runs on a Unix.
        _ if matches!(error.raw_os_error(), Some(23 | 24)) => FileError::Exhausted(format!("{path}: {error}")),
        _ => FileError::Io(format!("{path} could not be accessed: {error}")),
    }
}

//! The files of sandboxes, one folder each, shown to models and people as `/workspace`.
//!
//! What must not be here: any opening by a joined path. Every access starts at a folder's descriptor and takes one plain name at a time
//! ([`beneath`]), so neither `..` nor a link, not even one swapped in during the call, leads out of the sandbox. The rules of names are in
//! [`domain::sandboxes`], what a model may do with files in [`crate::tools`]. All functions block: async callers wrap them.

pub mod archive;
mod beneath;
mod claims;
mod files;
mod incoming;
mod quota;

use std::fmt::{Display, Write as _};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use domain::sandboxes::{FILE_MAX, FileError, FileInfo, SandboxPath};
use domain::turns::ImageRef;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};

use crate::models::Pictures;
use claims::{CLAIMS, Claim};
pub use quota::Quota;

/// Most entries that one listing returns.
pub const LIST_MAX: usize = 1_000;

/// Where new contents wait for their rename. No sandbox id holds a dot, so it cannot be one.
const INCOMING: &str = ".incoming";

/// Writers of one sandbox take turns; sandboxes share this many turns among them.
const TURNS: usize = 64;

/// The folder that holds all sandboxes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Workspaces {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    quota: Quota,
    turns: [Mutex<()>; TURNS],
    /// Where this process's new contents wait.
    incoming_folder: String,
    incoming: AtomicU64,
}

/// The files of one sandbox. Holds no descriptor between calls, so a waiting run costs nothing.
#[derive(Debug, Clone)]
pub struct Workspace {
    shared: Arc<Shared>,
    id: String,
    /// What it may hold at most because of what else its team has.
    within: Option<u64>,
    /// A worker writes by the right of its claim, people by their own.
    claim: Option<Claim>,
}

impl Workspaces {
    /// Sandboxes beneath `root` (made on the first write). Half-written files that a killed server left there are removed, so one server
    /// owns a root at a time.
    pub fn new(root: PathBuf) -> Self {
        Self::with_quota(root, Quota::default())
    }

    /// As [`Self::new`], with the operator's own quota for each sandbox.
    pub fn with_quota(root: PathBuf, quota: Quota) -> Self {
        // What cannot be removed only takes space: writing never reuses a name that exists.
        for folder in [INCOMING, CLAIMS] {
            let _ = std::fs::remove_dir_all(root.join(folder));
        }
        Self::over(root, quota, INCOMING.to_owned())
    }

    /// As [`Self::with_quota`], where other nodes write beneath the same root: nothing of theirs is touched. `node` is a plain name that no
    /// other node has, and that this one had before it was started again.
    pub fn shared(root: PathBuf, quota: Quota, node: &str) -> Self {
        let incoming = format!("{INCOMING}-{node}");
        let _ = std::fs::remove_dir_all(root.join(&incoming));
        Self::over(root, quota, incoming)
    }

    fn over(root: PathBuf, quota: Quota, incoming_folder: String) -> Self {
        let turns = std::array::from_fn(|_| Mutex::new(()));
        Self { shared: Arc::new(Shared { root, quota, turns, incoming_folder, incoming: AtomicU64::new(0) }) }
    }

    /// The files of a sandbox. Nothing is touched yet: a sandbox without a folder reads as empty, and an id that is no plain name
    /// (`[a-z0-9_]+`) fails on use.
    pub fn open(&self, sandbox_id: &str) -> Workspace {
        Workspace { shared: Arc::clone(&self.shared), id: sandbox_id.to_owned(), within: None, claim: None }
    }

    /// What sandboxes and teams may hold.
    pub fn quota(&self) -> Quota {
        self.shared.quota
    }

    /// Removes a sandbox with everything in it. One that does not exist is removed already.
    pub fn remove(&self, sandbox_id: &str) -> Result<(), FileError> {
        let sandbox = self.open(sandbox_id);
        let _turn = sandbox.turn();
        sandbox.checked_id()?;
        self.shared.remove_claims(sandbox_id).map_err(|error| io_error(&"the sandbox", &error))?;
        match self.shared.folder().and_then(|root| root.remove_dir_all(sandbox_id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(&"the sandbox", &error)),
            _ => Ok(()),
        }
    }
}

impl Workspace {
    /// The same files, of which there may be no more than so many bytes: the rest of what their team may have is taken up elsewhere.
    #[must_use]
    pub fn within(self, bytes: u64) -> Self {
        Self { within: Some(bytes), ..self }
    }

    /// The files and folders directly in a folder, by name, at most [`LIST_MAX`]. Links and devices are left out: nothing can be done
    /// with them.
    pub fn list(&self, path: &SandboxPath) -> Result<Vec<FileInfo>, FileError> {
        match self.home()? {
            Some(home) => beneath::list(&beneath::folder(home, path.names(), path)?, path),
            None if path.names().is_empty() => Ok(vec![]),
            None => Err(FileError::NotFound(path.to_string())),
        }
    }

    /// How many bytes its files have, by their apparent size. Of one with more entries than it may have, at least so many.
    pub fn used(&self) -> Result<u64, FileError> {
        let Some(home) = self.home()? else { return Ok(0) };
        self.shared.quota.used(&home).map_err(|error| io_error(&"the sandbox", &error))
    }

    /// A file's bytes, at most [`FILE_MAX`].
    pub fn read(&self, path: &SandboxPath) -> Result<Vec<u8>, FileError> {
        let (file, size) = self.file(path)?;
        check_size(path, size)?;
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(FILE_MAX));
        // The file may have grown since it was measured.
        let read = file.take(FILE_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|error| io_error(path, &error))?;
        check_size(path, read as u64)?;
        Ok(bytes)
    }

    /// Makes or replaces a file, and the folders above it. All or nothing, also when the machine dies: readers see the old bytes or the
    /// new ones, and when this returns the new ones are on disk.
    pub fn write(&self, path: &SandboxPath, bytes: &[u8]) -> Result<(), FileError> {
        let _turn = self.turn();
        self.put(path, bytes)
    }

    /// Removes a file or a link. One that does not exist is removed already.
    pub fn remove(&self, path: &SandboxPath) -> Result<(), FileError> {
        let (name, folders) = split(path)?;
        let _turn = self.turn();
        let Some(home) = self.home()? else { return Ok(()) };
        match beneath::folder(home, folders, path) {
            Err(FileError::NotFound(_)) => Ok(()),
            folder => beneath::remove(&folder?, name).map_err(|error| io_error(path, &error)),
        }
    }

    /// Replaces a file's bytes by what `change` makes of them, while other writers of this sandbox wait.
    pub fn edit<E: From<FileError>>(
        &self,
        path: &SandboxPath,
        change: impl FnOnce(Vec<u8>) -> Result<Vec<u8>, E>,
    ) -> Result<(), E> {
        let _turn = self.turn();
        let changed = change(self.read(path)?)?;
        Ok(self.put(path, &changed)?)
    }

    /// The open file and its size: a regular file with one name.
    pub(crate) fn file(&self, path: &SandboxPath) -> Result<(std::fs::File, u64), FileError> {
        let (name, folders) = split(path)?;
        let home = self.home()?.ok_or_else(|| FileError::NotFound(path.to_string()))?;
        beneath::open(&beneath::folder(home, folders, path)?, name, path)
    }

    fn put(&self, path: &SandboxPath, bytes: &[u8]) -> Result<(), FileError> {
        self.checked_id()?;
        check_size(path, bytes.len() as u64)?;
        self.place(path, bytes.len() as u64, |folder, name| {
            beneath::replace(&self.incoming()?, &self.shared.temporary(), folder, name, bytes)
        })
    }

    /// Finds the place of a file of `size` bytes, making its folders, and has it put there. Only in one's turn.
    fn place(
        &self,
        path: &SandboxPath,
        size: u64,
        put: impl FnOnce(&Dir, &str) -> io::Result<()>,
    ) -> Result<(), FileError> {
        let (name, folders) = split(path)?;
        let failed = |error: io::Error| io_error(path, &error);
        let home = self.shared.make(&self.id).map_err(failed)?;
        let (nearest, missing) = beneath::reach(home.try_clone().map_err(failed)?, folders, path)?;
        let replaced = if missing.is_empty() { beneath::size(&nearest, name, path)? } else { None };
        let new_names = missing.len() + usize::from(replaced.is_none());
        let (quota, was) = (self.shared.quota, replaced.unwrap_or(0));
        quota.check(&home, new_names, was, size).map_err(failed)??;
        if let Some(within) = self.within
            && size > was
            && quota.used(&home).map_err(failed)?.saturating_sub(was).saturating_add(size) > within
        {
            let text = format!(
                "its team's files may have {} bytes in all, of which {within} are left for this sandbox",
                quota.team_bytes
            );
            return Err(FileError::Quota(text));
        }
        let folder = beneath::make(nearest, missing, path)?;
        put(&folder, name).map_err(failed)
    }

    fn home(&self) -> Result<Option<Dir>, FileError> {
        self.checked_id()?;
        match self.shared.folder().and_then(|root| beneath::enter(&root, &self.id)) {
            Ok(home) => Ok(Some(home)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(&"the sandbox", &error)),
        }
    }

    fn checked_id(&self) -> Result<(), FileError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if !self.id.is_empty() && self.id.len() <= 128 && self.id.bytes().all(plain) {
            return Ok(());
        }
        Err(FileError::BadPath(format!("{:?} is not the id of a sandbox", self.id)))
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        let number = self.id.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        // The turn guards no value, so a writer that panicked left nothing broken behind it.
        self.shared.turns[number % TURNS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn folder(&self) -> io::Result<Dir> {
        Dir::open_ambient_dir(&self.root, ambient_authority())
    }

    /// A name in the folder of incoming files that none has or had.
    fn temporary(&self) -> String {
        format!("{}-{}", std::process::id(), self.incoming.fetch_add(1, Ordering::Relaxed))
    }

    fn make(&self, name: &str) -> io::Result<Dir> {
        std::fs::create_dir_all(&self.root)?;
        beneath::make_one(&self.folder()?, name)
    }
}

impl Pictures for Workspace {
    fn load(&self, image: &ImageRef) -> BoxFuture<'static, Option<Vec<u8>>> {
        let (workspace, image) = (self.clone(), image.clone());
        // Reading and hashing megabytes would hold up every other run of this thread.
        let loaded = tokio::task::spawn_blocking(move || {
            let bytes = workspace.read(&SandboxPath::parse_file(&image.path).ok()?).ok()?;
            (sha256_hex(&bytes) == image.sha256).then_some(bytes)
        });
        loaded.map(|loaded| loaded.ok().flatten()).boxed()
    }
}

/// What the system said, with the path as the sandbox shows it.
fn io_error(path: &impl Display, error: &io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FileError::DiskFull(path.to_string()),
        // EMFILE and ENFILE, everywhere that Rust runs on a Unix.
        _ if matches!(error.raw_os_error(), Some(23 | 24)) => FileError::Exhausted(format!("{path}: {error}")),
        _ => FileError::Io(format!("{path} could not be accessed: {error}")),
    }
}

/// SHA-256 in lower-case hex, as [`ImageRef`] keeps it.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn split(path: &SandboxPath) -> Result<(&str, &[String]), FileError> {
    match path.names().split_last() {
        Some((name, folders)) => Ok((name, folders)),
        None => Err(FileError::BadPath(format!("{path} is the folder of all files; name one of them"))),
    }
}

fn check_size(path: &SandboxPath, size: u64) -> Result<(), FileError> {
    let max = FILE_MAX as u64;
    if size > max { Err(FileError::TooLarge { path: path.to_string(), size, max }) } else { Ok(()) }
}

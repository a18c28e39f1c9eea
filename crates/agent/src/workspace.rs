//! The files of sandboxes, shown to models and people as `/workspace`.
//!
//! They are in one of two places, which the operator chooses: on a disk (`workspace/disk.rs`) or in a bucket of an S3-compatible store
//! (`workspace/objects.rs`). Here is what both have in common. The rules of names are in [`domain::sandboxes`], what a model may do with files in
//! [`crate::tools`]. All functions block: async callers wrap them.

pub mod archive;
mod disk;
mod files;
mod objects;
mod quota;

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::Timestamp;
use domain::sandboxes::{FILE_MAX, FileError, FileInfo, Incoming, SandboxPath};
use domain::turns::ImageRef;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::models::Pictures;
use disk::Disk;
pub use objects::{Bucket, BucketError, BucketSettings, Credentials};
pub use quota::Quota;

/// Most entries that one listing returns.
pub const LIST_MAX: usize = 1_000;

/// Writers of one sandbox take turns; sandboxes share this many turns among them.
const TURNS: usize = 64;

/// All sandboxes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Workspaces {
    place: Arc<dyn Place>,
    quota: Quota,
}

/// The files of one sandbox. Holds nothing open between calls, so a waiting run costs nothing.
#[derive(Debug, Clone)]
pub struct Workspace {
    place: Arc<dyn Place>,
    area: Area,
}

/// One sandbox, and by what right somebody writes in it.
#[derive(Debug, Clone)]
struct Area {
    id: String,
    /// What it may hold at most because of what else its team has.
    within: Option<u64>,
    /// A worker writes by the right of its claim, people by their own.
    claim: Option<Claim>,
}

/// The right of a worker that has claimed a Job. It is lost when another worker claims the Job and enters.
#[derive(Debug, Clone)]
struct Claim {
    job: String,
    /// Begins with the claim's number, by which an earlier one is told from a later one.
    token: String,
}

/// What is made of a file's bytes, if something is made of them.
type Change<'c> = dyn FnMut(Vec<u8>) -> Option<Vec<u8>> + 'c;

/// Where files are.
trait Place: Debug + Send + Sync + 'static {
    /// What lies directly in a folder, by name, at most [`LIST_MAX`].
    fn list(&self, area: &Area, path: &SandboxPath) -> Result<Vec<FileInfo>, FileError>;
    /// How many bytes its files have.
    fn used(&self, area: &Area) -> Result<u64, FileError>;
    fn read(&self, area: &Area, path: &SandboxPath) -> Result<Vec<u8>, FileError>;
    fn write(&self, area: &Area, path: &SandboxPath, bytes: &[u8]) -> Result<(), FileError>;
    /// Puts what `change` makes of a file in its place, if it makes something of it. It may be asked again, with what somebody else wrote meanwhile.
    fn edit(&self, area: &Area, path: &SandboxPath, change: &mut Change<'_>) -> Result<(), FileError>;
    fn remove(&self, area: &Area, path: &SandboxPath) -> Result<(), FileError>;
    fn begin(self: Arc<Self>, area: &Area, path: &SandboxPath, most: u64) -> Result<Box<dyn Incoming>, FileError>;
    /// Takes the files from every earlier claim of the Job. Fails if a later one has them. Only for an area that somebody has claimed.
    fn enter(&self, area: &Area, claim: &Claim) -> Result<(), FileError>;
    /// Gives up a claim.
    fn leave(&self, area: &Area, claim: &Claim);
    /// Removes a sandbox with everything in it.
    fn remove_all(&self, area: &Area) -> Result<(), FileError>;
    /// Removes what was left half-written and not touched since `before`; how many files that were.
    fn sweep(&self, before: Timestamp) -> Result<u64, FileError>;
}

impl Workspaces {
    /// Sandboxes beneath `root` (made on the first write). Half-written files that a killed server left there are removed, so one server
    /// owns a root at a time.
    pub fn new(root: PathBuf) -> Self {
        Self::with_quota(root, Quota::default())
    }

    /// As [`Self::new`], with the operator's own quota for each sandbox.
    pub fn with_quota(root: PathBuf, quota: Quota) -> Self {
        Self { place: Arc::new(Disk::of_one_node(root, quota)), quota }
    }

    /// As [`Self::with_quota`], where other nodes write beneath the same root: nothing of theirs is touched. `process` is what no other process is
    /// called, nor was this node before it was started again.
    pub fn shared(root: PathBuf, quota: Quota, process: Uuid) -> Self {
        Self { place: Arc::new(Disk::shared(root, quota, process)), quota }
    }

    /// Sandboxes in a bucket, for any number of nodes.
    pub fn in_bucket(bucket: Bucket, quota: Quota) -> Self {
        Self { place: Arc::new(objects::Objects::new(bucket, quota)), quota }
    }

    /// The files of a sandbox. Nothing is touched yet: a sandbox that nobody has written to reads as empty, and an id that is no plain name
    /// (`[a-z0-9_]+`) fails on use.
    pub fn open(&self, sandbox_id: &str) -> Workspace {
        let area = Area { id: sandbox_id.to_owned(), within: None, claim: None };
        Workspace { place: Arc::clone(&self.place), area }
    }

    /// The files of a Job's sandbox, for the worker that has this claim of it; a later claim of the Job has a higher `number`. It must
    /// [enter](Workspace::enter) before it writes.
    pub fn open_for(&self, sandbox_id: &str, job: Uuid, claim: Uuid, number: u64) -> Workspace {
        let claim = Claim { job: job.simple().to_string(), token: format!("{number:016x}-{}", claim.simple()) };
        let area = Area { id: sandbox_id.to_owned(), within: None, claim: Some(claim) };
        Workspace { place: Arc::clone(&self.place), area }
    }

    /// What sandboxes and teams may hold.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// Removes a sandbox with everything in it. One that does not exist is removed already.
    pub fn remove(&self, sandbox_id: &str) -> Result<(), FileError> {
        let sandbox = self.open(sandbox_id);
        sandbox.place.remove_all(sandbox.area()?)
    }

    /// Removes what was left half-written by any node and not touched since `before`; how many files that were.
    pub fn sweep(&self, before: Timestamp) -> Result<u64, FileError> {
        self.place.sweep(before)
    }
}

impl Workspace {
    /// The same files, of which there may be no more than so many bytes: the rest of what their team may have is taken up elsewhere.
    #[must_use]
    pub fn within(mut self, bytes: u64) -> Self {
        self.area.within = Some(bytes);
        self
    }

    /// The files and folders directly in a folder, by name, at most [`LIST_MAX`]. Links and devices are left out: nothing can be done
    /// with them.
    pub fn list(&self, path: &SandboxPath) -> Result<Vec<FileInfo>, FileError> {
        self.place.list(self.area()?, path)
    }

    /// How many bytes its files have, by their apparent size. Of one with more entries than it may have, at least so many.
    pub fn used(&self) -> Result<u64, FileError> {
        self.place.used(self.area()?)
    }

    /// A file's bytes, at most [`FILE_MAX`].
    pub fn read(&self, path: &SandboxPath) -> Result<Vec<u8>, FileError> {
        self.place.read(self.area()?, path)
    }

    /// Makes or replaces a file, and the folders above it. All or nothing, also when the machine dies: readers see the old bytes or the
    /// new ones, and when this returns the new ones are kept.
    pub fn write(&self, path: &SandboxPath, bytes: &[u8]) -> Result<(), FileError> {
        self.place.write(self.area()?, path, bytes)
    }

    /// Removes a file or a link. One that does not exist is removed already.
    pub fn remove(&self, path: &SandboxPath) -> Result<(), FileError> {
        self.place.remove(self.area()?, path)
    }

    /// Replaces a file's bytes by what `change` makes of them. Nothing that somebody else writes meanwhile is lost: other writers wait, or `change` is
    /// asked again with what they wrote.
    pub fn edit<E: From<FileError>>(
        &self,
        path: &SandboxPath,
        mut change: impl FnMut(Vec<u8>) -> Result<Vec<u8>, E>,
    ) -> Result<(), E> {
        let mut refused = None;
        self.place.edit(self.area()?, path, &mut |bytes| change(bytes).map_err(|why| refused = Some(why)).ok())?;
        refused.map_or(Ok(()), Err)
    }

    /// Begins to write a file of up to `most` bytes, piece by piece. Other writers do not wait for it.
    pub fn begin(&self, path: &SandboxPath, most: u64) -> Result<Box<dyn Incoming>, FileError> {
        Arc::clone(&self.place).begin(self.area()?, path, most)
    }

    /// Takes the files from every earlier claim of the Job, whose workers cannot write any more from now on. Where this fails, as it does if a later
    /// claim has them, this one cannot write either. Once a claim, before it is looked whether the lease still holds.
    pub fn enter(&self) -> Result<(), FileError> {
        let area = self.area()?;
        area.claim.as_ref().map_or(Ok(()), |claim| self.place.enter(area, claim))
    }

    /// Gives up the claim: nothing that is still being written under it arrives.
    pub fn leave(&self) {
        if let (Some(claim), Ok(area)) = (&self.area.claim, self.area()) {
            self.place.leave(area, claim);
        }
    }

    /// The sandbox, if its id could be one.
    fn area(&self) -> Result<&Area, FileError> {
        let id = &self.area.id;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if !id.is_empty() && id.len() <= 128 && id.bytes().all(plain) {
            return Ok(&self.area);
        }
        Err(FileError::BadPath(format!("{id:?} is not the id of a sandbox")))
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

/// Whose turn it is to write in a sandbox, within this process.
#[derive(Debug)]
struct Turns([Mutex<()>; TURNS]);

impl Default for Turns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(())))
    }
}

impl Turns {
    fn wait(&self, area: &Area) -> MutexGuard<'_, ()> {
        let number = area.id.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        // The turn guards no value, so a writer that panicked left nothing broken behind it.
        self.0[number % TURNS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// Whether the claim with this token came after it. One that was written down without a number is an earlier version's, and as good as any earlier one.
    fn is_before(&self, token: &str) -> bool {
        let number = |token: &str| u64::from_str_radix(token.split_once('-')?.0, 16).ok();
        number(token) > number(&self.token)
    }
}

impl Area {
    /// Whether there is room for a file of `size` bytes beside what the sandbox holds. `now`: bytes of all its files without the one that is replaced.
    fn check_within(&self, quota: Quota, now: u64, size: u64) -> Result<(), FileError> {
        match self.within {
            Some(within) if now.saturating_add(size) > within => Err(FileError::Quota(format!(
                "its team's files may have {} bytes in all, of which {within} are left for this sandbox",
                quota.team_bytes
            ))),
            _ => Ok(()),
        }
    }
}

/// What a worker hears that has no right to write any more.
const LOST: &str = "this worker has no place for new contents: none could be made (is the disk full?), or another one has the Job by now";

/// A file's name, and the folders above it.
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

/// What an incoming file may still take.
fn check_incoming(path: &SandboxPath, size: u64, most: u64, room: u64) -> Result<(), FileError> {
    if size > most {
        return Err(FileError::TooLarge { path: path.to_string(), size, max: most });
    }
    if size > room {
        return Err(FileError::Quota(format!("it has room for {room} more bytes")));
    }
    Ok(())
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut hex, byte| {
        use std::fmt::Write as _;
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

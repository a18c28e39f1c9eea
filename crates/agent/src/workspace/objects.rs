//! Sandboxes in a bucket of an S3-compatible store: an object each file, under `PREFIX/SANDBOX/PATH`.
//!
//! A bucket has no folders, no locks and no rename. A folder is there if something lies beneath it; what must not overwrite anything is put under the
//! condition that the object is still the one that was looked at (its `ETag`). A look at all objects of a sandbox, which goes before each write,
//! gives that, what the sandbox holds, and what is in the way. Next: `objects/bucket.rs` for the bucket itself, `objects/incoming.rs` for files that
//! come piece by piece.

mod bucket;
mod incoming;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use domain::Timestamp;
use domain::sandboxes::{FileError, FileInfo, SandboxPath};
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStoreExt as _, PutMode, PutPayload, UpdateVersion};
use tokio::runtime::Handle;

use super::quota::{Quota, Used};
use super::{Area, Change, Claim, LIST_MAX, LOST, Place, Turns, check_size, split};
pub use bucket::{Bucket, BucketError, BucketSettings, Credentials};
use incoming::Incoming;

/// How often a write begins again because somebody else wrote the same file in between.
const TRIES: u32 = 10;
/// How long the first of them waits for the next; each waits as much longer.
const PAUSE: Duration = Duration::from_millis(10);
/// The longest key that S3 takes, in bytes.
const KEY_MAX: usize = 1_024;
/// Where it is written who has a Job. No sandbox id holds a dot, so it cannot be one.
const CLAIMS: &str = ".claims";
/// What stands in place of a claim that was given up.
const GIVEN_UP: &str = "-";

#[derive(Debug)]
pub(super) struct Objects {
    bucket: Bucket,
    quota: Quota,
    turns: Turns,
    /// Where requests are made, while the thread that wants them waits.
    runtime: Handle,
}

/// What a look at a sandbox finds, with one path in mind.
#[derive(Default)]
struct Look {
    used: Used,
    /// The file at the path.
    here: Option<ObjectMeta>,
}

/// Whether a file was put.
enum Put {
    Done,
    /// Somebody else has changed it since it was looked at.
    Overtaken,
}

impl Objects {
    /// To be called where there is a runtime.
    pub(super) fn new(bucket: Bucket, quota: Quota) -> Self {
        Self { bucket, quota, turns: Turns::default(), runtime: Handle::current() }
    }

    /// A path's key.
    fn key(&self, area: &Area, path: &SandboxPath) -> Result<Path, FileError> {
        let key = self.bucket.key(std::iter::once(area.id.as_str()).chain(path.names().iter().map(String::as_str)));
        if key.as_ref().len() > KEY_MAX {
            let long =
                format!("{path} is too long: written out as a key of the bucket it has more than {KEY_MAX} bytes");
            return Err(FileError::BadPath(long));
        }
        Ok(key)
    }

    /// Everything in a sandbox. Refuses a path that cannot be a file's: one that is a folder, or has a file for a folder above it.
    fn look(&self, area: &Area, path: &SandboxPath) -> Result<Look, FileError> {
        let (target, home) = (self.key(area, path)?, self.bucket.key([area.id.as_str()]));
        let mut objects = self.bucket.store.list(Some(&home));
        let looked = async {
            let mut look = Look::default();
            while let Some(object) = objects.try_next().await.map_err(|error| failed(path, &error))? {
                look.used.entries = look.used.entries.saturating_add(1);
                look.used.bytes = look.used.bytes.saturating_add(object.size);
                if object.location == target {
                    look.here = Some(object);
                } else if target.prefix_matches(&object.location) {
                    return Err(below_a_file(path, depth(&object.location).saturating_sub(depth(&home))));
                } else if object.location.prefix_matches(&target) {
                    return Err(FileError::NotAFile { path: path.to_string(), found: "a folder" });
                }
            }
            Ok(look)
        };
        self.runtime.block_on(looked)
    }

    /// Looks, and whether a file of `size` bytes may be put there.
    fn room_for(&self, area: &Area, path: &SandboxPath, size: u64) -> Result<Look, FileError> {
        let look = self.look(area, path)?;
        let was = look.here.as_ref().map_or(0, |object| object.size);
        self.quota.check(look.used, usize::from(look.here.is_none()), was, size)?;
        if size > was {
            area.check_within(self.quota, look.used.bytes.saturating_sub(was), size)?;
        }
        Ok(look)
    }

    /// Puts a file in place of what was found there. A worker's only if it has its Job still.
    fn put(&self, area: &Area, path: &SandboxPath, bytes: &[u8], mode: PutMode) -> Result<Put, FileError> {
        let key = self.key(area, path)?;
        self.check_claim(area, path)?;
        let put = self.bucket.store.put_opts(&key, PutPayload::from(bytes.to_vec()), mode.into());
        match self.runtime.block_on(put) {
            Ok(_) => Ok(Put::Done),
            Err(error) if is_overtaken(&error) => Ok(Put::Overtaken),
            Err(error) => Err(failed(path, &error)),
        }
    }

    /// Writes until nobody comes in between. `attempt` makes one attempt.
    fn insist(
        &self,
        area: &Area,
        path: &SandboxPath,
        mut attempt: impl FnMut() -> Result<Put, FileError>,
    ) -> Result<(), FileError> {
        let _turn = self.turns.wait(area);
        for number in 1..=TRIES {
            match attempt()? {
                Put::Done => return Ok(()),
                Put::Overtaken => thread::sleep(PAUSE * number),
            }
        }
        Err(FileError::Io(format!("{path} could not be written: others write it again and again at this moment")))
    }

    fn fetch(&self, area: &Area, path: &SandboxPath) -> Result<(Vec<u8>, UpdateVersion), FileError> {
        split(path)?;
        let key = self.key(area, path)?;
        let fetched = async {
            let got = self.bucket.store.get(&key).await?;
            let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
            if let Err(large) = check_size(path, got.meta.size) {
                return Ok(Err(large));
            }
            Ok(Ok((got.bytes().await?.to_vec(), version)))
        };
        match self.runtime.block_on(fetched) {
            Ok(fetched) => fetched,
            Err(Error::NotFound { .. }) => {
                // What is there instead tells more.
                self.look(area, path)?;
                Err(FileError::NotFound(path.to_string()))
            }
            Err(error) => Err(failed(path, &error)),
        }
    }

    fn claim_key(&self, area: &Area, claim: &Claim) -> Path {
        self.bucket.key([CLAIMS, &area.id, &claim.job])
    }

    /// Whose claim it is as far as files are concerned, as it is written at the claims' key.
    fn claimant(&self, key: &Path) -> Result<(String, UpdateVersion), Error> {
        self.runtime.block_on(async {
            let got = self.bucket.store.get(key).await?;
            let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
            // Whatever else stands there is nobody's token.
            Ok((String::from_utf8_lossy(&got.bytes().await?).into_owned(), version))
        })
    }

    /// Whether a worker has its Job still, as far as files are concerned.
    fn check_claim(&self, area: &Area, path: &SandboxPath) -> Result<(), FileError> {
        let Some(claim) = &area.claim else { return Ok(()) };
        match self.claimant(&self.claim_key(area, claim)) {
            Ok((token, _)) if token == claim.token => Ok(()),
            Ok(_) | Err(Error::NotFound { .. }) => Err(FileError::Io(format!("{path} could not be accessed: {LOST}"))),
            Err(error) => Err(failed(path, &error)),
        }
    }

    /// Removes everything beneath a key.
    fn remove_beneath(&self, key: &Path) -> Result<(), Error> {
        let keys = self.bucket.store.list(Some(key)).map_ok(|object| object.location).boxed();
        let removed = self.bucket.store.delete_stream(keys).try_for_each(|_| async { Ok(()) });
        self.runtime.block_on(removed)
    }
}

impl Place for Objects {
    fn list(&self, area: &Area, path: &SandboxPath) -> Result<Vec<FileInfo>, FileError> {
        let key = self.key(area, path)?;
        let found = self.runtime.block_on(self.bucket.store.list_with_delimiter(Some(&key)));
        let found = found.map_err(|error| failed(path, &error))?;
        if found.objects.is_empty() && found.common_prefixes.is_empty() && !path.names().is_empty() {
            return Err(match self.look(area, path) {
                Ok(Look { here: Some(_), .. }) => below_a_file(path, path.names().len()),
                Ok(_) => FileError::NotFound(path.to_string()),
                Err(error) => error,
            });
        }
        let folders = found.common_prefixes.iter().map(|key| (key, true, 0));
        let files = found.objects.iter().map(|object| (&object.location, false, object.size));
        let mut listed = BTreeMap::new();
        for (key, is_dir, size) in files.chain(folders) {
            let Some(name) = name(key) else { continue };
            let shown = format!("{path}/{name}");
            // What others put there may have a name that a path could not say.
            if SandboxPath::parse(&shown).is_err() {
                continue;
            }
            listed.insert(name.clone(), FileInfo { name, path: shown, is_dir, size });
            if listed.len() > LIST_MAX {
                listed.pop_last();
            }
        }
        Ok(listed.into_values().collect())
    }

    fn used(&self, area: &Area) -> Result<u64, FileError> {
        let home = self.bucket.key([area.id.as_str()]);
        let sizes = self.bucket.store.list(Some(&home)).map_ok(|object| object.size);
        let sum = sizes.try_fold(0_u64, async |sum, size| Ok(sum.saturating_add(size)));
        self.runtime.block_on(sum).map_err(|error| failed(&SandboxPath::root(), &error))
    }

    fn read(&self, area: &Area, path: &SandboxPath) -> Result<Vec<u8>, FileError> {
        self.fetch(area, path).map(|(bytes, _)| bytes)
    }

    fn write(&self, area: &Area, path: &SandboxPath, bytes: &[u8]) -> Result<(), FileError> {
        split(path)?;
        check_size(path, bytes.len() as u64)?;
        self.insist(area, path, || {
            let look = self.room_for(area, path, bytes.len() as u64)?;
            let mode = match look.here {
                // People replace what they like.
                _ if area.claim.is_none() => PutMode::Overwrite,
                Some(object) => PutMode::Update(UpdateVersion { e_tag: object.e_tag, version: object.version }),
                None => PutMode::Create,
            };
            self.put(area, path, bytes, mode)
        })
    }

    fn edit(&self, area: &Area, path: &SandboxPath, change: &mut Change<'_>) -> Result<(), FileError> {
        let mut tried = None;
        self.insist(area, path, || {
            let (bytes, version) = self.fetch(area, path)?;
            // A put whose answer was lost is made again by itself, and is then in its own way.
            if tried.as_ref() == Some(&bytes) {
                return Ok(Put::Done);
            }
            let Some(changed) = change(bytes) else { return Ok(Put::Done) };
            check_size(path, changed.len() as u64)?;
            self.room_for(area, path, changed.len() as u64)?;
            let put = self.put(area, path, &changed, PutMode::Update(version));
            tried = Some(changed);
            put
        })
    }

    fn remove(&self, area: &Area, path: &SandboxPath) -> Result<(), FileError> {
        split(path)?;
        match self.runtime.block_on(self.bucket.store.delete(&self.key(area, path)?)) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(path, &error)),
        }
    }

    fn begin(
        self: Arc<Self>,
        area: &Area,
        path: &SandboxPath,
        most: u64,
    ) -> Result<Box<dyn domain::sandboxes::Incoming>, FileError> {
        split(path)?;
        let look = self.look(area, path)?;
        let room = self.quota.room(look.used, look.here.map_or(0, |object| object.size));
        Ok(Box::new(Incoming::new(self, area.clone(), path.clone(), most, room)?))
    }

    fn enter(&self, area: &Area, claim: &Claim) -> Result<(), FileError> {
        let (key, root) = (self.claim_key(area, claim), SandboxPath::root());
        self.insist(area, &root, || {
            let mode = match self.claimant(&key) {
                Ok((token, _)) if claim.is_before(&token) => {
                    return Err(FileError::Io(format!("{root} could not be taken over: {LOST}")));
                }
                Ok((_, version)) => PutMode::Update(version),
                Err(Error::NotFound { .. }) => PutMode::Create,
                Err(error) => return Err(failed(&root, &error)),
            };
            let put = self.bucket.store.put_opts(&key, PutPayload::from(claim.token.clone()), mode.into());
            match self.runtime.block_on(put) {
                Ok(_) => Ok(Put::Done),
                Err(error) if is_overtaken(&error) => Ok(Put::Overtaken),
                Err(error) => Err(failed(&root, &error)),
            }
        })
    }

    fn leave(&self, area: &Area, claim: &Claim) {
        let key = self.claim_key(area, claim);
        let Ok((token, version)) = self.claimant(&key) else { return };
        if token == claim.token {
            // Nothing if the next worker has entered in between.
            let given_up = PutPayload::from_static(GIVEN_UP.as_bytes());
            // It stays until the sandbox is removed. Without it only what is under way could still arrive.
            let _ = self.runtime.block_on(self.bucket.store.put_opts(&key, given_up, PutMode::Update(version).into()));
        }
    }

    fn remove_all(&self, area: &Area) -> Result<(), FileError> {
        let _turn = self.turns.wait(area);
        for key in [self.bucket.key([CLAIMS, &area.id]), self.bucket.key([area.id.as_str()])] {
            self.remove_beneath(&key).map_err(|error| failed(&SandboxPath::root(), &error))?;
        }
        Ok(())
    }

    /// What a killed server left half-way is no object yet; the bucket's own rule for unfinished uploads removes it.
    fn sweep(&self, _before: Timestamp) -> Result<u64, FileError> {
        Ok(0)
    }
}

/// The last name of a key, as it was before it was made one.
fn name(key: &Path) -> Option<String> {
    let name = key.filename()?;
    percent_encoding::percent_decode_str(name).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn depth(key: &Path) -> usize {
    key.parts().count()
}

/// A path of which the first `depth` names are a file's.
fn below_a_file(path: &SandboxPath, depth: usize) -> FileError {
    let name = path.names().get(depth.saturating_sub(1)).cloned().unwrap_or_default();
    FileError::NotAFolder { path: path.to_string(), name, found: "a file" }
}

/// Whether an object is not the one any more that was looked at, or has come or gone since.
fn is_overtaken(error: &Error) -> bool {
    matches!(error, Error::Precondition { .. } | Error::AlreadyExists { .. } | Error::NotFound { .. })
}

fn failed(path: &SandboxPath, error: &Error) -> FileError {
    tracing::warn!(%error, "the bucket of sandboxes");
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            FileError::Io(format!("{path} could not be accessed: the bucket refuses the server's credentials"))
        }
        _ => FileError::Unreachable(path.to_string()),
    }
}

//! All sandboxes of a folder at once: copied for a backup or out of one, and summed up in one hash, so that a copy can be told from an altered one.
//!
//! Files are only ever replaced by renaming, so whatever was opened is whole. What vanishes while the copy is made is left out; so is what the server
//! itself would not open: links, pipes, names that no path can say. Both kinds of folder are walked by descriptor.

use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt, OpenOptions, OpenOptionsExt};
use sha2::{Digest, Sha256};

use super::disk::beneath;
use super::hex;

/// Read at once.
const CHUNK: usize = 256 * 1024;

/// What a folder of sandboxes holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Files.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Of every folder's and file's path, and every file's length and contents, in the order of their names.
    pub sha256: String,
    /// Links, devices and the like, which are not copied.
    pub left_out: u64,
}

/// Copies every sandbox beneath `from` to the folder `to`, which is made, for its owner only, and durable when this returns. No folder at `from`
/// counts as an empty one.
///
/// # Errors
/// With the path in its words.
pub fn copy(from: &Path, to: &Path) -> io::Result<Tally> {
    let named = |path: &Path, error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let source = match Dir::open_ambient_dir(from, ambient_authority()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        opened => Some(opened.map_err(|error| named(from, error))?),
    };
    std::fs::DirBuilder::new().mode(0o700).create(to).map_err(|error| named(to, error))?;
    let target = Dir::open_ambient_dir(to, ambient_authority()).map_err(|error| named(to, error))?;
    let mut walk = Walk { tally: Tally::default(), hash: Sha256::new(), buffer: vec![0; CHUNK] };
    if let Some(source) = source {
        walk.folder(&source, &target, "")?;
    }
    target.open(".").and_then(|folder| folder.sync_all()).map_err(|error| named(to, error))?;
    walk.tally.sha256 = hex(&walk.hash.finalize());
    Ok(walk.tally)
}

struct Walk {
    tally: Tally,
    hash: Sha256,
    buffer: Vec<u8>,
}

impl Walk {
    /// Copies what is in one folder. `path` is its own, from the root, with a slash behind it.
    fn folder(&mut self, from: &Dir, to: &Dir, path: &str) -> io::Result<()> {
        let mut names = Vec::new();
        for entry in from.entries().map_err(|error| told(path, &error))? {
            match entry.map_err(|error| told(path, &error))?.file_name().into_string() {
                // At the top lie sandboxes, and what is on its way into one.
                Ok(name) if path.is_empty() && name.contains('.') => {}
                Ok(name) => names.push(name),
                Err(_strange) => self.tally.left_out += 1,
            }
        }
        names.sort_unstable();
        for name in names {
            let shown = format!("{path}{name}");
            self.entry(from, to, &name, &shown).map_err(|error| told(&shown, &error))?;
        }
        to.open(".").and_then(|folder| folder.sync_all()).map_err(|error| told(path, &error))
    }

    fn entry(&mut self, from: &Dir, to: &Dir, name: &str, shown: &str) -> io::Result<()> {
        let Some(metadata) = unless_gone(from.symlink_metadata(name))? else { return Ok(()) };
        if metadata.is_dir() {
            let Some(source) = unless_gone(beneath::enter(from, name))? else { return Ok(()) };
            let mut builder = DirBuilder::new();
            to.create_dir_with(name, builder.mode(0o700))?;
            let path = format!("{shown}/");
            self.note(&path, &[]);
            return self.folder(&source, &to.open_dir_nofollow(name)?, &path);
        }
        if beneath::oddity(&metadata).is_some() {
            self.tally.left_out += 1;
            return Ok(());
        }
        self.file(from, to, name, shown)
    }

    fn file(&mut self, from: &Dir, to: &Dir, name: &str, shown: &str) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let opened = from.open_with(name, options.read(true).follow(FollowSymlinks::No).nonblock(true));
        let Some(mut source) = unless_gone(opened)? else { return Ok(()) };
        let mut options = OpenOptions::new();
        let mut target = to.open_with(name, options.write(true).create_new(true).mode(0o600))?;
        let (mut hash, mut bytes) = (Sha256::new(), 0_u64);
        loop {
            let length = source.read(&mut self.buffer)?;
            let Some(chunk) = self.buffer.get(..length).filter(|chunk| !chunk.is_empty()) else { break };
            target.write_all(chunk)?;
            hash.update(chunk);
            bytes += length as u64;
        }
        target.sync_all()?;
        self.tally.files += 1;
        self.tally.bytes += bytes;
        self.note(shown, &[&bytes.to_be_bytes(), hash.finalize().as_slice()]);
        Ok(())
    }

    /// Lengths come first, so that no two folders can spell the same.
    fn note(&mut self, path: &str, parts: &[&[u8]]) {
        self.hash.update((path.len() as u64).to_be_bytes());
        self.hash.update(path);
        for part in parts {
            self.hash.update(part);
        }
    }
}

/// `None` where it vanished since its name was read: nothing that a Job still needs does.
fn unless_gone<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        outcome => outcome.map(Some),
    }
}

fn told(path: &str, error: &io::Error) -> io::Error {
    // What stands behind a folder's own error is told already.
    if error.get_ref().is_some() {
        return io::Error::new(error.kind(), error.to_string());
    }
    io::Error::new(error.kind(), format!("sandboxes/{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_copy_has_the_same_tally_and_is_its_owners_only() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to, again) = (folder.path().join("from"), folder.path().join("to"), folder.path().join("again"));
        fs::create_dir_all(from.join("sbx_1/in/empty")).unwrap();
        fs::create_dir_all(from.join(".incoming")).unwrap();
        fs::write(from.join("sbx_1/in/a.txt"), "alpha").unwrap();
        fs::write(from.join("sbx_1/.b"), "beta").unwrap();
        fs::write(from.join(".incoming/1-1"), "half").unwrap();
        symlink("/etc/passwd", from.join("sbx_1/link")).unwrap();
        let tally = copy(&from, &to).unwrap();
        assert_eq!((tally.files, tally.bytes, tally.left_out), (2, 9, 1));
        assert!(
            to.join("sbx_1/in/empty").is_dir() && !to.join(".incoming").exists() && !to.join("sbx_1/link").exists()
        );
        assert_eq!(fs::read_to_string(to.join("sbx_1/in/a.txt")).unwrap(), "alpha");
        let mode = |path: &str| fs::metadata(to.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("sbx_1"), mode("sbx_1/in/a.txt")), (0o700, 0o600));
        assert_eq!(copy(&to, &again).unwrap(), Tally { left_out: 0, ..tally.clone() });

        for (number, change) in [
            |root: &Path| fs::write(root.join("sbx_1/in/a.txt"), "alphA").unwrap(),
            |root: &Path| fs::rename(root.join("sbx_1/.b"), root.join("sbx_1/b")).unwrap(),
            |root: &Path| fs::remove_dir(root.join("sbx_1/in/empty")).unwrap(),
            |root: &Path| fs::write(root.join("sbx_1/more"), "").unwrap(),
        ]
        .into_iter()
        .enumerate()
        {
            let altered = folder.path().join(format!("altered-{number}"));
            copy(&to, &altered).unwrap();
            change(&altered);
            let seen = copy(&altered, &folder.path().join(format!("seen-{number}"))).unwrap();
            assert_ne!(seen.sha256, tally.sha256, "change {number}");
        }
    }

    #[test]
    fn nothing_is_copied_over_what_is_there_and_a_missing_folder_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let (nowhere, to) = (folder.path().join("nowhere"), folder.path().join("to"));
        assert_eq!(copy(&nowhere, &to).unwrap().files, 0);
        let refused = copy(&nowhere, &to).unwrap_err();
        assert!(refused.to_string().contains("to"), "{refused}");
    }
}

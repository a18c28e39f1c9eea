//! Files that come in piece by piece: too large to be held in memory, and perhaps broken off half-way.
//!
//! A file is written beside all sandboxes and renamed when it is whole, so nobody ever sees a part of one. What is given up is removed at once,
//! what a killed server left at its next start if the folder is its own, and what one of several nodes left by [`Disk::sweep_incoming`].

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use cap_fs_ext::DirExt;
use cap_std::fs::{Dir, DirEntry, File, OpenOptions};
use domain::Timestamp;
use domain::sandboxes::{FileError, SandboxPath};

use super::super::{Area, check_incoming, split};
use super::{Disk, INCOMING, beneath, io_error};

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Incoming {
    disk: Arc<Disk>,
    area: Area,
    path: SandboxPath,
    folder: Dir,
    temporary: String,
    file: File,
    size: u64,
    most: u64,
    /// What the sandbox still took at the beginning. At the end it is looked at again.
    room: u64,
    moved: bool,
}

impl Incoming {
    pub(super) fn begin(disk: Arc<Disk>, area: Area, path: &SandboxPath, most: u64) -> Result<Self, FileError> {
        let failed = |error: io::Error| io_error(path, &error);
        let room = disk.room(&area, path)?;
        let folder = disk.incoming(&area).map_err(failed)?;
        let temporary = disk.temporary();
        let file = folder.open_with(&temporary, OpenOptions::new().write(true).create_new(true)).map_err(failed)?;
        Ok(Self { disk, area, path: path.clone(), folder, temporary, file, size: 0, most, room, moved: false })
    }
}

impl domain::sandboxes::Incoming for Incoming {
    fn push(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let size = self.size.saturating_add(bytes.len() as u64);
        check_incoming(&self.path, size, self.most, self.room)?;
        self.file.write_all(bytes).map_err(|error| io_error(&self.path, &error))?;
        self.size = size;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<u64, FileError> {
        self.file.sync_all().map_err(|error| io_error(&self.path, &error))?;
        let disk = Arc::clone(&self.disk);
        let _turn = disk.turns.wait(&self.area);
        disk.place(&self.area, &self.path, self.size, |folder, name| {
            beneath::move_in(&self.folder, &self.temporary, folder, name)
        })?;
        self.moved = true;
        Ok(self.size)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.moved {
            // What cannot be removed only takes space until it is swept.
            let _ = self.folder.remove_file(&self.temporary);
        }
    }
}

impl Disk {
    /// The most bytes that a file at this path may have now. Refuses what could not be put there at all.
    fn room(&self, area: &Area, path: &SandboxPath) -> Result<u64, FileError> {
        let failed = |error: io::Error| io_error(path, &error);
        let (name, folders) = split(path)?;
        let Some(home) = self.home(area)? else { return Ok(self.quota.bytes) };
        let (nearest, missing) = beneath::reach(home.try_clone().map_err(failed)?, folders, path)?;
        let replaced = if missing.is_empty() { beneath::size(&nearest, name, path)? } else { None };
        Ok(self.quota.room(self.quota.count(&home).map_err(failed)?, replaced.unwrap_or(0)))
    }

    /// Removes what was left half-written by any node and not touched since `before`; how many files that were.
    pub(super) fn sweep_incoming(&self, before: Timestamp) -> io::Result<u64> {
        let mut removed = 0;
        let root = match self.folder() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            root => root?,
        };
        for entry in root.entries()? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            if !name.starts_with(INCOMING) {
                continue;
            }
            let folder = root.open_dir_nofollow(&name)?;
            for entry in folder.entries()? {
                let entry = entry?;
                if touched(&entry).is_some_and(|at| at < before) && folder.remove_file(entry.file_name()).is_ok() {
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }
}

/// When it was last written to, by the clock of its disk. `None` for what has gone meanwhile.
fn touched(entry: &DirEntry) -> Option<Timestamp> {
    let at = entry.metadata().ok()?.modified().ok()?.into_std();
    let since = at.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use uuid::Uuid;

    use super::super::super::{Quota, Workspaces};
    use super::*;

    fn file(path: &str) -> SandboxPath {
        SandboxPath::parse_file(path).unwrap()
    }

    fn waiting(root: &std::path::Path) -> usize {
        fs::read_dir(root.join(INCOMING)).map_or(0, Iterator::count)
    }

    #[test]
    fn nothing_shows_before_the_end_and_nothing_is_left_of_what_was_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let workspaces = Workspaces::new(folder.path().to_owned());
        let sandbox = workspaces.open("s");
        sandbox.write(&file("in/a"), b"old").unwrap();
        let mut incoming = sandbox.begin(&file("in/a"), 10).unwrap();
        incoming.push(b"new ").unwrap();
        assert_eq!((sandbox.read(&file("in/a")).unwrap(), waiting(folder.path())), (b"old".to_vec(), 1));
        drop(incoming);
        assert_eq!((sandbox.read(&file("in/a")).unwrap(), waiting(folder.path())), (b"old".to_vec(), 0));
        let mut incoming = sandbox.begin(&file("in/a"), 10).unwrap();
        incoming.push(b"new ").unwrap();
        incoming.push(b"bytes").unwrap();
        assert_eq!(incoming.finish().unwrap(), 9);
        assert_eq!((sandbox.read(&file("in/a")).unwrap(), waiting(folder.path())), (b"new bytes".to_vec(), 0));
    }

    #[test]
    fn a_limit_holds_to_the_byte_and_so_does_what_the_sandbox_has_room_for() {
        let folder = tempfile::tempdir().unwrap();
        let quota = Quota { entries: 10, bytes: 100, ..Quota::default() };
        let workspaces = Workspaces::with_quota(folder.path().to_owned(), quota);
        let sandbox = workspaces.open("s");
        for (most, size, fits) in
            [(10, 9, true), (10, 10, true), (10, 11, false), (1_000, 100, true), (1_000, 101, false)]
        {
            let mut incoming = sandbox.begin(&file("a"), most).unwrap();
            let pushed = incoming.push(&vec![7; size]);
            assert_eq!(pushed.is_ok(), fits, "{size} of {most}: {pushed:?}");
            if fits {
                assert_eq!(incoming.finish().unwrap(), size as u64);
            }
        }
        // Full now, but for what takes the place of what is there; two that had room at the beginning have not both at the end.
        assert!(matches!(sandbox.begin(&file("b"), 10).unwrap().push(b"1"), Err(FileError::Quota(_))));
        sandbox.write(&file("a"), b"").unwrap();
        let (mut one, mut two) = (sandbox.begin(&file("b"), 100).unwrap(), sandbox.begin(&file("c"), 100).unwrap());
        one.push(&[1; 60]).unwrap();
        two.push(&[2; 60]).unwrap();
        one.finish().unwrap();
        assert!(matches!(two.finish(), Err(FileError::Quota(_))));
        assert_eq!((sandbox.list(&SandboxPath::parse("").unwrap()).unwrap().len(), waiting(folder.path())), (2, 0));
    }

    #[test]
    fn a_node_that_starts_leaves_alone_what_others_are_writing() {
        let folder = tempfile::tempdir().unwrap();
        let node = |process| Workspaces::shared(folder.path().to_owned(), Quota::default(), Uuid::from_u128(process));
        // All nodes may have the same process id, as in containers, and a copied data folder makes two of one.
        let mut coming = [1, 2, 3].map(|process| {
            let mut coming = node(process).open("s").begin(&file(&process.to_string()), 10).unwrap();
            coming.push(process.to_string().as_bytes()).unwrap();
            coming
        });
        for coming in &mut coming {
            coming.push(b"!").unwrap();
        }
        for coming in coming {
            coming.finish().unwrap();
        }
        for process in ["1", "2", "3"] {
            let whole = fs::read_to_string(folder.path().join("s").join(process)).unwrap();
            assert_eq!(whole, format!("{process}!"));
        }
    }

    #[test]
    fn only_what_nobody_has_touched_for_long_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let [workspaces, gone] =
            [1, 2].map(|node| Workspaces::shared(folder.path().to_owned(), Quota::default(), Uuid::from_u128(node)));
        assert_eq!(workspaces.sweep(Timestamp(i64::MAX)).unwrap(), 0);
        workspaces.open("s").write(&file("a"), b"a").unwrap();
        std::mem::forget(gone.open("s").begin(&file("b"), 10).unwrap());
        let mut at_work = workspaces.open("s").begin(&file("c"), 10).unwrap();
        at_work.push(b"c").unwrap();
        let hour_ago = |entry: &fs::DirEntry| {
            let at = entry.metadata().unwrap().modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
            Timestamp(i64::try_from(at.as_millis()).unwrap() - 3_600_000)
        };
        // As an earlier version did it, a folder for each node.
        fs::create_dir(folder.path().join(".incoming-two")).unwrap();
        fs::write(folder.path().join(".incoming-two/1-0"), "").unwrap();
        let left = fs::read_dir(folder.path().join(".incoming-two")).unwrap().next().unwrap().unwrap();
        assert_eq!(workspaces.sweep(hour_ago(&left)).unwrap(), 0);
        assert_eq!(workspaces.sweep(Timestamp(hour_ago(&left).0 + 7_200_000)).unwrap(), 3);
        assert_eq!(fs::read_to_string(folder.path().join("s/a")).unwrap(), "a");
    }
}

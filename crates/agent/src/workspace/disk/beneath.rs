//! Access beneath an open folder, one plain name at a time.
//!
//! No function here takes a path apart from showing it, follows a link, or opens anything but folders and regular files with a single
//! name. A second name (hard link) is refused because it may belong to a file outside. Opening never blocks, so a pipe cannot hang us.

use std::collections::BTreeMap;
use std::io::{self, Write};

use cap_fs_ext::{DirExt, FollowSymlinks, MetadataExt, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{Dir, Metadata, OpenOptions};
use domain::sandboxes::{FileError, FileInfo, SandboxPath};

use super::super::LIST_MAX;
use super::io_error;

/// Enters one folder, if it is a folder and no link to one.
pub(in super::super) fn enter(dir: &Dir, name: &str) -> io::Result<Dir> {
    dir.open_dir_nofollow(name)
}

/// Enters the named folders as far as they exist, and says which are missing.
pub(super) fn reach<'n>(
    start: Dir,
    names: &'n [String],
    shown: &SandboxPath,
) -> Result<(Dir, &'n [String]), FileError> {
    let mut dir = start;
    for (depth, name) in names.iter().enumerate() {
        match enter(&dir, name) {
            Ok(next) => dir = next,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((dir, &names[depth..])),
            Err(error) => return Err(no_folder(&dir, name, shown, &error)),
        }
    }
    Ok((dir, &[]))
}

/// Enters the named folders, all of which must exist.
pub(super) fn folder(start: Dir, names: &[String], shown: &SandboxPath) -> Result<Dir, FileError> {
    match reach(start, names, shown)? {
        (dir, []) => Ok(dir),
        _ => Err(FileError::NotFound(shown.to_string())),
    }
}

/// Makes the missing folders, one in another, and enters them.
pub(super) fn make(start: Dir, missing: &[String], shown: &SandboxPath) -> Result<Dir, FileError> {
    missing
        .iter()
        .try_fold(start, |dir, name| make_one(&dir, name).map_err(|error| no_folder(&dir, name, shown, &error)))
}

/// Makes one folder unless it is there, durably, and enters it.
pub(super) fn make_one(dir: &Dir, name: &str) -> io::Result<Dir> {
    match dir.create_dir(name) {
        Ok(()) => sync(dir)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    enter(dir, name)
}

/// Opens a file for reading, with its size.
pub(super) fn open(dir: &Dir, name: &str, shown: &SandboxPath) -> Result<(std::fs::File, u64), FileError> {
    let mut options = OpenOptions::new();
    options.read(true).follow(FollowSymlinks::No).nonblock(true);
    let file = match dir.open_with(name, &options) {
        Ok(file) => file,
        Err(error) => {
            // What is there tells more than the system's error; if it is a plain file after all, the error stands.
            size(dir, name, shown)?.ok_or_else(|| FileError::NotFound(shown.to_string()))?;
            return Err(io_error(shown, &error));
        }
    };
    let metadata = file.metadata().map_err(|error| io_error(shown, &error))?;
    plain(&metadata, shown)?;
    Ok((file.into_std(), metadata.len()))
}

/// The size of a file, or `None` where nothing is.
pub(super) fn size(dir: &Dir, name: &str, shown: &SandboxPath) -> Result<Option<u64>, FileError> {
    match dir.symlink_metadata(name) {
        Ok(metadata) => plain(&metadata, shown).map(|()| Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(shown, &error)),
    }
}

/// Puts new contents under a name: written and synced elsewhere, then renamed over it. A link that took the name meanwhile is replaced,
/// not followed.
pub(super) fn replace(incoming: &Dir, temporary: &str, dir: &Dir, name: &str, bytes: &[u8]) -> io::Result<()> {
    let written = incoming
        .open_with(temporary, OpenOptions::new().write(true).create_new(true))
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| move_in(incoming, temporary, dir, name));
    if let Err(error) = written {
        // The first error is the one to tell; a leftover is swept at the next start.
        let _ = incoming.remove_file(temporary);
        return Err(error);
    }
    Ok(())
}

/// Puts a file that was written and synced elsewhere under a name, durably. A link that has the name is replaced, not followed.
pub(super) fn move_in(incoming: &Dir, temporary: &str, dir: &Dir, name: &str) -> io::Result<()> {
    incoming.rename(temporary, dir, name)?;
    sync(dir)
}

/// Removes what has a name, durably, unless it is a folder. A link goes itself, not what it leads to.
pub(super) fn remove(dir: &Dir, name: &str) -> io::Result<()> {
    match dir.remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => sync(dir),
    }
}

/// The plain entries of a folder by name. However many there are, only the first [`LIST_MAX`] are held in memory.
pub(super) fn list(dir: &Dir, shown: &SandboxPath) -> Result<Vec<FileInfo>, FileError> {
    let mut found = BTreeMap::new();
    for entry in dir.entries().map_err(|error| io_error(shown, &error))? {
        let entry = entry.map_err(|error| io_error(shown, &error))?;
        // Names that a path could not say, and entries gone since the folder was read, are passed over.
        let (Ok(name), Ok(metadata)) = (entry.file_name().into_string(), entry.metadata()) else {
            continue;
        };
        let path = format!("{shown}/{name}");
        let is_dir = metadata.is_dir();
        if SandboxPath::parse(&path).is_err() || !(is_dir || oddity(&metadata).is_none()) {
            continue;
        }
        let size = if is_dir { 0 } else { metadata.len() };
        found.insert(name.clone(), FileInfo { name, path, is_dir, size });
        if found.len() > LIST_MAX {
            found.pop_last();
        }
    }
    Ok(found.into_values().collect())
}

fn sync(dir: &Dir) -> io::Result<()> {
    dir.open(".")?.sync_all()
}

fn no_folder(dir: &Dir, name: &str, shown: &SandboxPath, error: &io::Error) -> FileError {
    match dir.symlink_metadata(name) {
        Ok(metadata) if !metadata.is_dir() => FileError::NotAFolder {
            path: shown.to_string(),
            name: name.to_owned(),
            found: oddity(&metadata).unwrap_or("a file"),
        },
        _ => io_error(shown, error),
    }
}

fn plain(metadata: &Metadata, shown: &SandboxPath) -> Result<(), FileError> {
    match oddity(metadata) {
        Some(found) => Err(FileError::NotAFile { path: shown.to_string(), found }),
        None => Ok(()),
    }
}

/// What an entry is, unless it is a regular file with one name.
pub(in super::super) fn oddity(metadata: &Metadata) -> Option<&'static str> {
    if metadata.is_symlink() {
        Some("a symbolic link")
    } else if metadata.is_dir() {
        Some("a folder")
    } else if !metadata.is_file() {
        Some("a pipe, socket or device")
    } else if metadata.nlink() != 1 {
        Some("a hard link")
    } else {
        None
    }
}

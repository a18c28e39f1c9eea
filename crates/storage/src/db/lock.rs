//! One server a data folder: a lock that the operating system lets go when its holder dies.
//!
//! It guards the folder, not the database file: the command line may open the database beside a
//! running server (SQLite orders their writes), but two servers must not run the same jobs.

use super::error::StoreError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process;

/// Holds a data folder until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

impl DataLock {
    /// Takes the lock of `folder`, which must exist. [`StoreError::Locked`], naming the process,
    /// when another server has it.
    pub fn take(folder: &Path) -> Result<DataLock, StoreError> {
        let path = folder.join("server.lock");
        let failed = |error| StoreError::Locked(format!("the data folder cannot be used: {}: {error}", path.display()));
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(folder, file)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // The number is only for the message above; the lock itself is what counts, also on a disk with no room for the number.
        match file.set_len(0).and_then(|()| write!(file, "{}", process::id())) {
            Err(error) if !matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                return Err(failed(error));
            }
            _ => {}
        }
        Ok(DataLock { _file: file })
    }

    /// Whether a server has the folder, in the words for whoever would take it; `None` if nobody does. Nothing is made or written.
    pub fn holder(folder: &Path) -> Result<Option<StoreError>, StoreError> {
        let path = folder.join("server.lock");
        let failed = |error| StoreError::Io(format!("{}: {error}", path.display()));
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        // Shared, and let go at once: two that only look do not hinder each other.
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(held(folder, file))),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

fn held(folder: &Path, mut file: File) -> StoreError {
    let mut holder = String::new();
    let who = match file.read_to_string(&mut holder) {
        Ok(length) if length > 0 => format!(" (process {holder})"),
        _ => String::new(),
    };
    StoreError::Locked(format!(
        "the data folder {} is in use by another server{who}: \
         stop that one, or choose another folder with --data-dir",
        folder.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_told_who_has_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let held = DataLock::take(folder.path()).unwrap();
        let refused = DataLock::take(folder.path()).unwrap_err();
        let StoreError::Locked(told) = refused else { panic!("{refused:?}") };
        assert!(told.contains(&format!("process {}", process::id())), "{told}");
        assert_eq!(DataLock::holder(folder.path()), Ok(Some(StoreError::Locked(told))));
        drop(held);
        assert_eq!(DataLock::holder(folder.path()), Ok(None));
        DataLock::take(folder.path()).unwrap();
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let refused = DataLock::take(&folder.path().join("nowhere")).unwrap_err();
        assert!(refused.to_string().contains("nowhere"), "{refused}");
    }
}

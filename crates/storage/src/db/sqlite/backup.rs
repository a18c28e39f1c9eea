//! A copy of a database file that is in use, and whether such a copy is whole.
//!
//! SQLite's backup copies pages, in one step: it sees one snapshot of the write-ahead log, as any reader does, so it neither waits for the writer nor
//! makes it wait. In smaller steps it would begin again after each commit of another connection, and under a steady load never end. `VACUUM INTO`
//! would see one snapshot too, but it rebuilds every table and index row by row, and holds that snapshot several times as long; meanwhile the log
//! grows, since nothing behind a snapshot is taken out of it.

use super::connect::{APPLICATION_ID, for_reading};
use super::said;
use crate::db::Settings;
use crate::db::error::StoreError;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes the newest snapshot to a file that is not there yet, for its owner only. When this returns the copy is on the disk, and sound.
pub(in crate::db) fn copy(settings: &Settings, to: &Path) -> Result<(), StoreError> {
    let from = for_reading(settings)?;
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::StorageFull => StoreError::Full,
        _ => StoreError::Io(format!("{}: {error}", to.display())),
    };
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(failed)?;
    let mut copy = open(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Nothing is lost if this file is: it is synced below, once and whole.
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").map_err(|error| said(&error))?;
    let all_at_once = Backup::new(&from, &mut copy).and_then(|backup| backup.step(-1)).map_err(|error| said(&error))?;
    if all_at_once != StepResult::Done {
        return Err(StoreError::Busy);
    }
    drop(copy);
    let copy = open(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // One file that needs no other beside it. Opened again, since the header that says otherwise was itself copied.
    let mode: String =
        copy.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0)).map_err(|error| said(&error))?;
    if mode != "delete" {
        return Err(StoreError::Setup(format!("the copy cannot be made one file: its journal_mode stays {mode}")));
    }
    ours(&copy, &settings.path)?;
    sound(&copy, "quick_check")?;
    drop(copy);
    File::open(to).and_then(|file| file.sync_all()).map_err(failed)
}

/// Checks that a file that nobody uses is a database of ours, and every page and index of it.
pub(in crate::db) fn examine(file: &Path) -> Result<(), StoreError> {
    let connection = open(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    ours(&connection, file)?;
    sound(&connection, "integrity_check")
}

fn ours(connection: &Connection, file: &Path) -> Result<(), StoreError> {
    let id: i64 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(|error| said(&error))?;
    if id == APPLICATION_ID {
        return Ok(());
    }
    Err(StoreError::Schema(format!("{} is no database of Errand (application id {id})", file.display())))
}

/// What SQLite's own check finds.
pub(super) fn sound(connection: &Connection, check: &str) -> Result<(), StoreError> {
    let mut found = Vec::new();
    connection
        .pragma_query(None, check, |row| {
            found.push(row.get::<_, String>(0)?);
            Ok(())
        })
        .map_err(|error| said(&error))?;
    if found == ["ok"] {
        return Ok(());
    }
    found.truncate(5);
    Err(StoreError::Corrupt { what: found.join("; ") })
}

fn open(file: &Path, access: OpenFlags) -> Result<Connection, StoreError> {
    Connection::open_with_flags(file, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| StoreError::Io(format!("{}: {error}", file.display())))
}

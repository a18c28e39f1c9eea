//! Opening a connection: whose file it is, and the settings that every promise rests on.
//!
//! Each setting is read back, because SQLite keeps silent about what it ignores. What the
//! settings are for is told where they stand; how to run a statement is in `sqlite.rs`.

use super::said;
use crate::db::error::StoreError;
use crate::db::{Clock, Settings, Synchronous};
use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OpenFlags};
use std::fmt::Write;
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

/// Marks a database file as ours: "Errd" in the file's header.
pub(super) const APPLICATION_ID: i64 = 0x4572_7264;

/// From 3.7.0 until 3.51.2 a reset of the write-ahead log could, rarely, corrupt the database.
const OLDEST_LIBRARY: i32 = 3_051_003;

/// How long to wait for another process that writes, such as the command line's key commands.
const BUSY_TIMEOUT_MS: i64 = 5_000;

/// Pages in the write-ahead log after which the writer copies them into the database file. A
/// failed copy is started over from the log, so an error there endangers nothing acknowledged.
const CHECKPOINT_PAGES: i64 = 1_000;

/// The log file is cut back to this many bytes after a burst.
const LOG_BYTES_KEPT: i64 = 64 << 20;

/// More than all statements of the program, so that each is compiled once a connection.
const STATEMENTS_KEPT: usize = 512;

/// Opens or creates the file for writing, claims it if it is new, and asserts every setting.
pub(super) fn for_writing(settings: &Settings) -> Result<Connection, StoreError> {
    if rusqlite::version_number() < OLDEST_LIBRARY {
        return Err(StoreError::Setup(format!(
            "SQLite {} has a bug that can corrupt the database; 3.51.3 is the oldest without it",
            rusqlite::version()
        )));
    }
    writing(settings).map_err(|error| for_want_of_room(error, &settings.path))
}

fn writing(settings: &Settings) -> Result<Connection, StoreError> {
    let create = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let connection = connect(settings, &settings.path, create)?;
    claim(&connection, &settings.path)?;
    set_journal(&connection)?;
    let synchronous = match settings.synchronous {
        Synchronous::Full => 2,
        Synchronous::Normal => 1,
    };
    set(&connection, "synchronous", synchronous)?;
    // What a savepoint would undo is kept in memory: a batch of claims is too large for SQLite's small buffer, and a file is slow.
    set(&connection, "temp_store", 2)?;
    set(&connection, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    set(&connection, "journal_size_limit", LOG_BYTES_KEPT)?;
    Ok(connection)
}

/// Opens the file, which the writer must have opened before, for reading only.
pub(super) fn for_reading(settings: &Settings) -> Result<Connection, StoreError> {
    // Who comes first makes the index of the log, a shared file, for which a full disk has no room.
    let opened = reading(settings, &settings.path, OpenFlags::empty()).or_else(|error| match error {
        StoreError::Full => reading(settings, &without_index(&settings.path), OpenFlags::SQLITE_OPEN_URI),
        other => Err(other),
    });
    opened.map_err(|error| for_want_of_room(error, &settings.path))
}

/// Where not even an empty file can be made beside the database, SQLite only says that it cannot open one.
fn for_want_of_room(error: StoreError, path: &Path) -> StoreError {
    let StoreError::Io(_) = &error else { return error };
    let beside = path.with_extension(format!("room-{}", process::id()));
    match OpenOptions::new().write(true).create_new(true).open(&beside) {
        Err(refused) if matches!(refused.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => StoreError::Full,
        Err(_) => error,
        Ok(_) => {
            // Empty, and of a name that nobody reads.
            let _ = fs::remove_file(&beside);
            error
        }
    }
}

fn reading(settings: &Settings, name: &Path, more: OpenFlags) -> Result<Connection, StoreError> {
    let connection = connect(settings, name, OpenFlags::SQLITE_OPEN_READ_ONLY | more)?;
    set(&connection, "query_only", 1)?;
    // SQLite opens its files at the first read: here, so that whoever is given the connection need not.
    connection.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(())).map_err(|error| said(&error))?;
    Ok(connection)
}

/// The file's name for a reader that does not write the index of the log: where nobody else has one, it makes its own in memory. A server that comes
/// meanwhile copies nothing into the file under it.
fn without_index(path: &Path) -> PathBuf {
    let name = path.as_os_str().as_bytes().iter().fold("file:".to_owned(), |mut name, byte| {
        // Writing to a string cannot fail.
        let _ok = write!(name, "%{byte:02x}");
        name
    });
    (name + "?readonly_shm=1").into()
}

/// A database in memory, for a process that simulates many.
pub(super) fn in_memory(clock: &Clock) -> Result<Connection, StoreError> {
    let connection = Connection::open_in_memory().map_err(|error| said(&error))?;
    prepare(&connection, clock)?;
    Ok(connection)
}

fn connect(settings: &Settings, name: &Path, access: OpenFlags) -> Result<Connection, StoreError> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(name, flags)
        .map_err(|error| StoreError::Io(format!("{}: {error}", settings.path.display())))?;
    prepare(&connection, &settings.clock)?;
    set(&connection, "busy_timeout", BUSY_TIMEOUT_MS)?;
    // A failed read of mapped memory is a signal that kills the process, not an error.
    set(&connection, "mmap_size", 0)?;
    Ok(connection)
}

/// What every connection needs, wherever its pages are.
fn prepare(connection: &Connection, clock: &Clock) -> Result<(), StoreError> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // Plans must not depend on the values bound: SQLite would compile such a statement again at each run.
    let stable = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(|error| said(&error))?;
    if !stable {
        return Err(StoreError::Setup("SQLite did not accept the query planner's stability guarantee".into()));
    }
    set(connection, "foreign_keys", 1)?;
    // PostgreSQL has a function of the same name: the time by which leases are given and end.
    let clock = Arc::clone(clock);
    connection
        .create_scalar_function("errand_now", 0, FunctionFlags::SQLITE_UTF8, move |_| Ok(clock().0))
        .map_err(|error| said(&error))
}

/// Before anything is changed: only an empty file, or one of ours, may be used.
fn claim(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let ask = |sql| connection.query_row(sql, (), |row| row.get::<_, i64>(0));
    let file = path.display();
    let explain = |error: rusqlite::Error| match said(&error) {
        StoreError::Corrupt { what } => StoreError::Corrupt { what: format!("{file}: {what}") },
        other => other,
    };
    let id = ask("PRAGMA application_id").map_err(explain)?;
    if id == APPLICATION_ID {
        return Ok(());
    }
    if id != 0 || ask("SELECT count(*) FROM sqlite_schema").map_err(explain)? != 0 {
        return Err(StoreError::Schema(format!(
            "{file} is the database of another program (application id {id}): \
             choose another data folder, or move that file away"
        )));
    }
    set(connection, "application_id", APPLICATION_ID)
}

fn set_journal(connection: &Connection) -> Result<(), StoreError> {
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(|error| said(&error))?;
    if mode == "wal" {
        return Ok(());
    }
    Err(StoreError::Setup(format!(
        "the write-ahead log cannot be switched on (journal_mode stays {mode}): \
         the data folder must be on a local disk"
    )))
}

/// Sets a pragma and reads it back.
fn set(connection: &Connection, name: &str, wanted: i64) -> Result<(), StoreError> {
    connection.pragma_update(None, name, wanted).map_err(|error| said(&error))?;
    let is: i64 = connection.pragma_query_value(None, name, |row| row.get(0)).map_err(|error| said(&error))?;
    if is == wanted {
        return Ok(());
    }
    Err(StoreError::Setup(format!("SQLite did not accept {name} = {wanted}: it stays {is}")))
}

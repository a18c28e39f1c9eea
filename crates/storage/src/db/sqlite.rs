//! The SQLite engine: how a statement is run, and what its errors mean.
//!
//! `connect.rs` opens connections with asserted settings; `writer.rs` is the one that writes, with
//! group commit; `readers.rs` are the many that read; `memory.rs` is a database without a file; `backup.rs` copies a file in use, `rewrite.rs` writes one anew. Nothing outside
//! `db` may name `rusqlite`.

mod backup;
mod connect;
mod memory;
mod readers;
mod rewrite;
mod writer;

pub(super) use backup::examine;
pub(super) use memory::Memory;
pub use memory::Weather;
pub(super) use readers::Readers;
pub(super) use writer::Writer;

use super::error::StoreError;
use super::value::{Row, Value};
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, ffi};
use std::fs::File;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Runs a statement that answers no rows; returns how many it changed.
pub(super) fn exec(connection: &Connection, sql: &'static str, params: &[Value]) -> Result<u64, StoreError> {
    let mut statement = bound(connection, sql, params)?;
    let changed = statement.raw_execute().map_err(|error| said(&error))?;
    Ok(changed as u64)
}

/// Runs a statement and returns up to `limit` of its rows.
pub(super) fn rows(
    connection: &Connection,
    sql: &'static str,
    params: &[Value],
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    let mut statement = bound(connection, sql, params)?;
    let width = statement.column_count();
    // A statement that changes something must be stepped to its end: foreign keys are checked
    // there, and a reset before it would undo the change without telling.
    let may_stop_early = statement.readonly();
    let mut answer = statement.raw_query();
    let mut rows = Vec::new();
    while let Some(row) = answer.next().map_err(|error| said(&error))? {
        if rows.len() < limit {
            let values = (0..width).map(|column| value(row, column, sql));
            rows.push(Row { sql, values: values.collect::<Result<_, _>>()? });
        }
        if may_stop_early && rows.len() >= limit {
            break;
        }
    }
    Ok(rows)
}

/// Prepares a statement and answers what is wrong with it, without running it.
fn check(connection: &Connection, sql: &'static str) -> Result<(), StoreError> {
    let explain = |why: String| StoreError::Sql(format!("{why} in `{sql}`"));
    let statement = connection.prepare_cached(sql).map_err(|error| explain(error.to_string()))?;
    let mut numbers =
        (1..=statement.parameter_count()).map(|index| number(&statement, index, sql)).collect::<Result<Vec<_>, _>>()?;
    numbers.sort_unstable();
    if numbers.iter().copied().eq(1..=numbers.len()) {
        return Ok(());
    }
    Err(explain(format!("the placeholders are numbered {numbers:?}")))
}

fn bound<'c>(
    connection: &'c Connection,
    sql: &'static str,
    params: &[Value],
) -> Result<CachedStatement<'c>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(|error| said(&error))?;
    let mut highest = 0;
    for index in 1..=statement.parameter_count() {
        // SQLite takes `$2` for a name and counts names as they appear in the text; ours are
        // numbers whatever their order.
        let number = number(&statement, index, sql)?;
        highest = highest.max(number);
        if let Some(value) = params.get(number - 1) {
            statement.raw_bind_parameter(index, value).map_err(|error| said(&error))?;
        }
    }
    if highest == params.len() {
        return Ok(statement);
    }
    let given = params.len();
    Err(StoreError::Sql(format!("{given} values given for {highest} placeholders in `{sql}`")))
}

/// The number of the placeholder at SQLite's `index`: 2 for `$2`.
fn number(statement: &CachedStatement<'_>, index: usize, sql: &'static str) -> Result<usize, StoreError> {
    statement
        .parameter_name(index)
        .and_then(|name| name.strip_prefix('$')?.parse().ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| StoreError::Sql(format!("a placeholder is not $1, $2, … in `{sql}`")))
}

fn value(row: &rusqlite::Row<'_>, column: usize, sql: &'static str) -> Result<Value, StoreError> {
    let refused = |what| StoreError::Sql(format!("column {column} is {what} in `{sql}`"));
    match row.get_ref(column).map_err(|error| said(&error))? {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(int) => Ok(Value::Int(int)),
        ValueRef::Real(_) => Err(refused("a float, which is never stored,")),
        ValueRef::Text(bytes) => match str::from_utf8(bytes) {
            Ok(text) => Ok(Value::Text(text.to_owned())),
            Err(_) => Err(refused("not UTF-8")),
        },
        ValueRef::Blob(bytes) => Ok(Value::Bytes(bytes.to_vec())),
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Int(int) => ValueRef::Integer(*int),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Runs one of the driver's own statements, which have neither values nor rows.
fn control(connection: &Connection, sql: &'static str) -> Result<(), StoreError> {
    exec(connection, sql, &[]).map(|_| ())
}

/// Polls a job once: its statements are ready at once here, and nothing else may be awaited.
fn at_once<T, E: From<StoreError>>(job: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    match pin!(job).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(StoreError::Pending.into()),
    }
}

/// What an error of SQLite means to us.
pub(super) fn said(error: &rusqlite::Error) -> StoreError {
    let rusqlite::Error::SqliteFailure(code, message) = error else {
        return StoreError::Sql(error.to_string());
    };
    let text = message.clone().unwrap_or_else(|| code.to_string());
    match code.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Busy,
        ErrorCode::DiskFull => StoreError::Full,
        // The index of the log could not grow: SQLite says so for want of room only, and the log itself is as it was.
        _ if code.extended_code == ffi::SQLITE_IOERR_SHMSIZE => StoreError::Full,
        ErrorCode::CannotOpen if out_of_files() => StoreError::Exhausted(text),
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => {
            StoreError::Io(format!("{text} (SQLite code {})", code.extended_code))
        }
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Corrupt { what: text },
        ErrorCode::ConstraintViolation => refused(code.extended_code, &text),
        _ => StoreError::Sql(text),
    }
}

/// Whether nobody in this process can open a file: that says nothing of the disk.
pub(super) fn out_of_files() -> bool {
    // EMFILE and ENFILE, everywhere that Rust runs on a Unix.
    File::open("/dev/null").is_err_and(|error| matches!(error.raw_os_error(), Some(23 | 24)))
}

fn refused(code: i32, text: &str) -> StoreError {
    let unique = [ffi::SQLITE_CONSTRAINT_UNIQUE, ffi::SQLITE_CONSTRAINT_PRIMARYKEY];
    if !unique.contains(&code) {
        return StoreError::Constraint(text.to_owned());
    }
    let constraint = text.strip_prefix("UNIQUE constraint failed: ").unwrap_or(text).to_owned();
    StoreError::Conflict { constraint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_room_is_no_broken_disk() {
        let told = |code| said(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE] {
            assert_eq!(told(code), StoreError::Full, "{code}");
        }
        for code in [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_READ, ffi::SQLITE_IOERR_SHMMAP]
        {
            assert!(matches!(told(code), StoreError::Io(_)), "{code}");
        }
    }
}

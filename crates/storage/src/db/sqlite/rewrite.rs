//! Writing a database file anew, so that nothing is left in it of what was taken out of it.
//!
//! A changed row leaves its old bytes in the free space of its page, and in the write-ahead log. `VACUUM` builds every page from what is there now, in
//! a file of SQLite's own first; then the log is emptied.

use super::connect::for_writing;
use super::said;
use crate::db::Settings;
use crate::db::error::StoreError;

/// Does it. Whoever writes meanwhile waits; a reader at work makes it fail with [`StoreError::Busy`], and nothing is lost.
pub(in crate::db) fn rewrite(settings: &Settings) -> Result<(), StoreError> {
    let connection = for_writing(settings)?;
    // As large as the database: not in memory.
    connection.execute_batch("PRAGMA temp_store = FILE; VACUUM").map_err(|error| said(&error))?;
    let busy: i64 =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0)).map_err(|error| said(&error))?;
    if busy == 0 { Ok(()) } else { Err(StoreError::Busy) }
}

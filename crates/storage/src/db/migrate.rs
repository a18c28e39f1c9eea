//! The schema's history: numbered migrations, each applied once and noted with its checksum.
//!
//! The files are in `migrations/`, one list per engine. An applied migration is never edited:
//! what must change comes as the next number.

use super::error::StoreError;
use super::sql::Sql;
use super::tx::Tx;
use super::value::params;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// One step of the schema. The list of them is in order, without gaps in its numbers.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Counted from 1.
    pub number: u32,
    /// What it does, in a word or two.
    pub name: &'static str,
    /// Its statements, without `BEGIN`, `COMMIT` or pragmas: all run in one transaction.
    pub sql: Sql,
}

const CREATE: Sql = Sql::pair(
    "CREATE TABLE IF NOT EXISTS schema_migrations (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL
) STRICT",
    "CREATE TABLE IF NOT EXISTS schema_migrations (
    number BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL
)",
);
const EXISTS: Sql = Sql::pair(
    "SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations'",
    "SELECT 1 WHERE to_regclass('schema_migrations') IS NOT NULL",
);
// A new index on a large table takes its time; a lock that does not come is still an error.
const PATIENT: Sql = Sql::pair("", "SET LOCAL statement_timeout = 0");
// Several nodes may start at once; the number is "Errd" and has no other meaning.
const ALONE: Sql = Sql::pair("SELECT 1", "SELECT 1 FROM (SELECT pg_advisory_xact_lock(1165128292)) AS held");
const APPLIED: &str = "SELECT number, name, checksum FROM schema_migrations ORDER BY number";
const NOTE: &str = "INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES ($1, $2, $3, $4)";

/// Applies what is missing of `known`; see [`Db::migrate`](super::Db::migrate).
pub(super) async fn migrate(tx: &mut Tx<'_>, known: &[Migration], now: i64) -> Result<u32, StoreError> {
    let mut applied = 0;
    tx.script(PATIENT).await?;
    tx.row(ALONE, &[]).await?;
    for step in missing(tx, known).await? {
        tx.exec(CREATE, &[]).await?;
        tx.script(step.sql).await.map_err(|error| match error {
            StoreError::Sql(why) => StoreError::Sql(format!("{}: {why}", title(step))),
            other => other,
        })?;
        let note = params![step.number, step.name, checksum(tx.words(step.sql)), now];
        tx.exec(NOTE, &note).await?;
        applied += 1;
    }
    Ok(applied)
}

/// Checks that nothing of `known` is missing; see [`Db::require_schema`](super::Db::require_schema).
pub(super) async fn require(tx: &mut Tx<'_>, known: &[Migration]) -> Result<(), StoreError> {
    match missing(tx, known).await?.first() {
        None => Ok(()),
        Some(step) => Err(StoreError::Schema(format!(
            "the database has not had {} yet: start the server of this version once, \
             which applies it",
            title(step)
        ))),
    }
}

/// The numbers of what is applied, in order; see [`Db::applied`](super::Db::applied).
pub(super) async fn applied(tx: &mut Tx<'_>) -> Result<Vec<u32>, StoreError> {
    if tx.row(EXISTS, &[]).await?.is_none() {
        return Ok(Vec::new());
    }
    tx.rows(APPLIED, &[]).await?.iter().map(|row| row.u32(0)).collect()
}

/// The part of `known` that is not applied, after checking the part that is.
async fn missing<'k>(tx: &mut Tx<'_>, known: &'k [Migration]) -> Result<&'k [Migration], StoreError> {
    if tx.row(EXISTS, &[]).await?.is_none() {
        return Ok(known);
    }
    let applied = tx.rows(APPLIED, &[]).await?;
    for (place, row) in applied.iter().enumerate() {
        let (number, name) = (row.u32(0)?, row.text_ref(1)?);
        let Some(step) = known.get(place).filter(|step| step.number == number) else {
            return Err(StoreError::Schema(format!(
                "the database has had migration {number} ({name}), which this version does not \
                 know: a newer version wrote it; run that version, or restore a backup from \
                 before the upgrade"
            )));
        };
        if row.text_ref(2)? != checksum(tx.words(step.sql)) {
            return Err(StoreError::Schema(format!(
                "{} reads differently from what was applied to the database: run the version \
                 that applied it; an applied migration is never edited, a new one is added",
                title(step)
            )));
        }
    }
    Ok(known.get(applied.len()..).unwrap_or_default())
}

fn title(step: &Migration) -> String {
    format!("migration {} ({})", step.number, step.name)
}

/// Of the lines, so that a checkout with other line ends has the same one.
fn checksum(sql: &str) -> String {
    let mut hash = Sha256::new();
    for line in sql.lines() {
        hash.update(line);
        hash.update("\n");
    }
    hash.finalize().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ok = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::tests::fixed_clock;
    use crate::db::{Db, Settings};

    const FIRST: Migration = migration(1, "start", "CREATE TABLE a (x INTEGER);\n");
    const SECOND: Migration = migration(2, "more", "CREATE TABLE b (y INTEGER);\nCREATE TABLE c (z);");
    const EDITED: Migration = migration(1, "start", "CREATE TABLE a (x TEXT);\n");
    const BROKEN: Migration = migration(2, "more", "CREATE TABLE b (y INTEGER); CREATE nonsense;");

    const fn migration(number: u32, name: &'static str, sql: &'static str) -> Migration {
        Migration { number, name, sql: Sql::both(sql) }
    }

    fn db() -> (tempfile::TempDir, Db) {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(&Settings::new(folder.path().join("errand.db"), fixed_clock())).unwrap();
        (folder, db)
    }

    #[tokio::test]
    async fn each_is_applied_once() {
        let (_folder, db) = db();
        let refused = db.require_schema(&[FIRST]).await.unwrap_err();
        assert!(refused.to_string().contains("migration 1 (start)"), "{refused}");
        assert_eq!(db.migrate(&[FIRST], 5).await, Ok(1));
        assert_eq!(db.migrate(&[FIRST, SECOND], 6).await, Ok(1));
        assert_eq!(db.migrate(&[FIRST, SECOND], 7).await, Ok(0));
        assert_eq!(db.require_schema(&[FIRST, SECOND]).await, Ok(()));
        let known = ["SELECT x, y, z FROM a, b, c".into(), CREATE, EXISTS, ALONE, APPLIED.into(), NOTE.into()];
        db.check_sql(&known).await.unwrap();
        assert_eq!(db.applied().await, Ok(vec![1, 2]));
        let times = "SELECT applied_at FROM schema_migrations ORDER BY number";
        let noted = db.read(async |tx| tx.rows(times, &[]).await).await.unwrap();
        let noted: Vec<_> = noted.iter().map(|row| row.int(0).unwrap()).collect();
        assert_eq!(noted, [5, 6]);
    }

    #[tokio::test]
    async fn a_newer_or_edited_schema_is_refused_with_what_to_do() {
        let (_folder, db) = db();
        db.migrate(&[FIRST, SECOND], 0).await.unwrap();
        for newer in [db.migrate(&[FIRST], 0).await.err(), db.require_schema(&[FIRST]).await.err()] {
            let told = newer.unwrap().to_string();
            assert!(told.contains("migration 2 (more)") && told.contains("newer version"), "{told}");
        }
        let edited = db.migrate(&[EDITED, SECOND], 0).await.unwrap_err().to_string();
        assert!(edited.contains("migration 1 (start) reads differently"), "{edited}");
    }

    #[tokio::test]
    async fn a_broken_one_leaves_nothing() {
        let (_folder, db) = db();
        let broken = db.migrate(&[FIRST, BROKEN], 0).await.unwrap_err().to_string();
        assert!(broken.contains("migration 2 (more)"), "{broken}");
        assert!(db.check_sql(&["SELECT x FROM a".into()]).await.is_err());
        assert_eq!(db.migrate(&[FIRST, SECOND], 0).await, Ok(2));
    }

    #[test]
    fn line_ends_do_not_count() {
        assert_eq!(checksum("a\nb\n"), checksum("a\r\nb\r\n"));
        assert_ne!(checksum("a\nb\n"), checksum("a b\n"));
    }
}

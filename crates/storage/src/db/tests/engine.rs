//! Statements as they are written, settings as they take effect, files as they are found.

use super::{COUNT, NOTE, RUN, Store, fixed_clock};
use crate::db::{Db, Settings, StoreError, Synchronous, Tx, params};
use rusqlite::Connection;
use std::fs;

#[tokio::test]
async fn the_settings_are_in_force_on_both_kinds_of_connection() {
    async fn pragmas(tx: &mut Tx<'_>) -> Result<Vec<String>, StoreError> {
        let mut values = Vec::new();
        for sql in [
            "SELECT journal_mode FROM pragma_journal_mode",
            "SELECT foreign_keys || '' FROM pragma_foreign_keys",
            "SELECT timeout || '' FROM pragma_busy_timeout",
            "SELECT application_id || '' FROM pragma_application_id",
            "SELECT query_only || '' FROM pragma_query_only",
        ] {
            values.push(tx.row(sql, &[]).await?.unwrap().text(0)?);
        }
        Ok(values)
    }
    let store = Store::new().await;
    let writing = store.db.write(async |tx| pragmas(tx).await).await.unwrap();
    assert_eq!(writing, ["wal", "1", "5000", "1165128292", "0"]);
    let reading = store.db.read(async |tx| pragmas(tx).await).await.unwrap();
    assert_eq!(reading, ["wal", "1", "5000", "1165128292", "1"]);
    for (setting, expected) in [(Synchronous::Full, 2), (Synchronous::Normal, 1)] {
        let store = Store::with(|settings| settings.synchronous = setting).await;
        let is = store.db.write(async |tx| tx.row("SELECT synchronous FROM pragma_synchronous", &[]).await);
        assert_eq!(is.await.unwrap().unwrap().int(0), Ok(expected));
    }
}

#[tokio::test]
async fn a_file_of_another_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("foreign.db");
    let foreign = Connection::open(&path).unwrap();
    foreign.execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = fs::read(&path).unwrap();
    let refused = Db::open(&Settings::new(&path, fixed_clock())).unwrap_err();
    assert!(matches!(&refused, StoreError::Schema(why) if why.contains("foreign.db")), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);

    fs::write(&path, "no database at all, but a text of some length").unwrap();
    let refused = Db::open(&Settings::new(&path, fixed_clock())).unwrap_err();
    assert!(refused.to_string().contains("foreign.db"), "{refused}");
    let missing = Db::open(&Settings::new(folder.path().join("no/such/folder.db"), fixed_clock())).unwrap_err();
    assert!(missing.to_string().contains("no/such/folder.db"), "{missing}");
}

#[tokio::test]
async fn refusals_are_told_apart_and_returning_rows_hides_none() {
    let store = Store::new().await;
    let write =
        |sql, value: u32, body: &'static str| store.db.write(async move |tx| tx.row(sql, &params![value, body]).await);
    let returning = "INSERT INTO notes (run, body) VALUES ($1, $2) RETURNING run";
    for (run, body) in [(77, "no such run"), (1, "")] {
        let refused = write(returning, run, body).await;
        assert!(matches!(refused, Err(StoreError::Constraint(_))), "{refused:?}");
    }
    assert_eq!(store.counts().await, (0, 0));
    write("INSERT INTO runs (id, name) VALUES ($1, $2) RETURNING id", 1, "one").await.unwrap();
    let row = write(returning, 1, "kept").await.unwrap().unwrap();
    assert_eq!(row.int(0), Ok(1));
    // Only the first row is asked for, yet both are inserted.
    let twice = "INSERT INTO notes (run, body) VALUES ($1, $2), ($1, $2) RETURNING run";
    assert!(write(twice, 1, "kept").await.unwrap().is_some());
    assert_eq!(store.counts().await, (1, 3));
}

#[tokio::test]
async fn placeholders_are_numbers_whatever_their_order() {
    let store = Store::new().await;
    let backwards = "SELECT $2, $1, $2";
    let row = store.db.read(async |tx| tx.row(backwards, &params!["a", "b"]).await);
    let row = row.await.unwrap().unwrap();
    assert_eq!([row.text(0), row.text(1), row.text(2)].map(Result::unwrap), ["b", "a", "b"]);
    let too_few = store.db.read(async |tx| tx.row(backwards, &params!["a"]).await).await;
    assert!(matches!(too_few, Err(StoreError::Sql(why)) if why.contains("1 values given for 2")));
}

#[tokio::test]
async fn a_wrong_statement_is_found_without_running_it() {
    let store = Store::new().await;
    assert_eq!(store.db.check_sql(&[RUN.into(), NOTE.into(), COUNT.into(), "SELECT $2, $1".into()]).await, Ok(()));
    for wrong in ["SELECT nothing FROM runs", "SELECT $1, $3", "SELECT ?", "SELECT :name"] {
        let found = store.db.check_sql(&[RUN.into(), wrong.into()]).await.unwrap_err().to_string();
        assert!(found.contains(wrong), "{found}");
    }
    assert_eq!(store.counts().await, (0, 0));
}

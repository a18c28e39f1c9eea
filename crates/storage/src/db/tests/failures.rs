//! What goes wrong, and who is told: jobs that misbehave, commits and disks that fail.

use super::{LATE, NOTE, Store, add_run, counted, fixed_clock};
use crate::db::{Db, Settings, StoreError, params};
use rusqlite::Connection;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[tokio::test]
async fn a_panicking_job_is_undone_alone_and_the_writer_lives() {
    let store = Store::new().await;
    let release = store.hold().await;
    let panicking = store.db.write(async |tx| {
        add_run(tx, 1, "one").await?;
        assert_eq!(1, 2, "on purpose");
        Ok::<_, StoreError>(())
    });
    let good = store.db.write(async |tx| add_run(tx, 2, "two").await);
    let both = async { tokio::join!(panicking, good) };
    let ((panicked, good), ()) = tokio::join!(both, async { drop(release) });
    let Err(StoreError::Panicked(why)) = panicked else { panic!("{panicked:?}") };
    assert!(why.contains("on purpose"), "{why}");
    assert_eq!(good, Ok(1));
    assert_eq!(store.counts().await, (1, 0));
}

#[tokio::test]
async fn a_job_that_awaits_the_world_is_undone() {
    let store = Store::new().await;
    let waiting = store.db.write(async |tx| {
        add_run(tx, 1, "one").await?;
        tokio::task::yield_now().await;
        add_run(tx, 2, "two").await
    });
    assert_eq!(waiting.await, Err(StoreError::Pending));
    let reading = store.db.read(async |tx| {
        tokio::task::yield_now().await;
        counted(tx).await
    });
    assert_eq!(reading.await, Err(StoreError::Pending));
    assert_eq!(store.counts().await, (0, 0));
}

#[tokio::test]
async fn a_failed_commit_acknowledges_nobody_and_the_next_goes_on() {
    let store = Store::new().await;
    let release = store.hold().await;
    let innocent = store.db.write(async |tx| add_run(tx, 1, "one").await);
    // A deferred foreign key is found broken only by the commit itself.
    let guilty = store.db.write(async |tx| tx.exec(LATE, &params![77]).await);
    let both = async { tokio::join!(innocent, guilty) };
    let (answers, ()) = tokio::join!(both, async { drop(release) });
    for answer in [answers.0, answers.1] {
        assert!(matches!(answer, Err(StoreError::Constraint(_))), "{answer:?}");
    }
    assert_eq!(store.counts().await, (0, 0));
    store.db.write(async |tx| add_run(tx, 1, "one").await).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_room() {
    let store = Store::new().await;
    let pages = |sql| store.db.write(async move |tx| tx.row(sql, &[]).await);
    pages("PRAGMA max_page_count = 12").await.unwrap();
    let big = "x".repeat(200_000);
    let refused = store.db.write(async move |tx| tx.exec(NOTE, &params![None::<u32>, big]).await).await;
    assert_eq!(refused, Err(StoreError::Full));
    assert_eq!(store.counts().await, (0, 0));
    pages("PRAGMA max_page_count = 100000").await.unwrap();
    store.db.write(async |tx| add_run(tx, 1, "one").await).await.unwrap();
}

/// Settings that count how often the disk was declared broken, instead of stopping.
fn counting(path: &Path) -> (Settings, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let mut settings = Settings::new(path, fixed_clock());
    settings.fatal = Arc::new(move |error| {
        assert!(error.durability_in_doubt(), "{error}");
        counted.fetch_add(1, Ordering::SeqCst);
    });
    (settings, calls)
}

#[tokio::test]
async fn a_broken_file_is_fatal_and_nothing_is_written_after_it() {
    let store = Store::new().await;
    store.db.close().await;
    let path = store.file("errand.db");
    let mut bytes = fs::read(&path).unwrap();
    // The pages of the tables, not the first one with the schema.
    bytes[4096..].fill(0xAB);
    fs::write(&path, bytes).unwrap();

    let (settings, calls) = counting(&path);
    let db = Db::open(&settings).unwrap();
    let broken = db.write(async |tx| add_run(tx, 1, "one").await).await;
    assert!(matches!(broken, Err(StoreError::Corrupt { .. })), "{broken:?}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let later = db.write(async |tx| add_run(tx, 2, "two").await).await;
    assert_eq!(later, Err(StoreError::Closed));
}

#[tokio::test]
async fn a_broken_disk_is_fatal_even_when_the_job_hides_it() {
    let store = Store::new().await;
    let (settings, calls) = counting(&store.file("errand.db"));
    let db = Db::open(&settings).unwrap();
    let hiding = db.write(async |tx| {
        let _hidden = tx.noted::<()>(Err(StoreError::Io("no answer".to_owned())));
        add_run(tx, 1, "one").await
    });
    assert_eq!(hiding.await, Err(StoreError::Io("no answer".to_owned())));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(store.counts().await, (0, 0));
}

#[tokio::test]
async fn a_writing_neighbour_makes_us_wait_then_busy() {
    let store = Store::new().await;
    let other = Connection::open(store.file("errand.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; INSERT INTO runs (id) VALUES (9)").unwrap();
    let ours = store.db.write(async |tx| add_run(tx, 1, "one").await);
    assert_eq!(ours.await, Err(StoreError::Busy));
    other.execute_batch("COMMIT").unwrap();
    store.db.write(async |tx| add_run(tx, 1, "one").await).await.unwrap();
    assert_eq!(store.counts().await, (2, 0));
}

#[tokio::test]
async fn a_page_that_cannot_be_read_stops_the_process_too() {
    let stopped = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&stopped);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("errand.db");
    {
        let db = Db::open(&Settings::new(&file, fixed_clock())).unwrap();
        db.migrate(super::SCHEMA, 0).await.unwrap();
        for id in 0..300 {
            db.write(async move |tx| add_run(tx, id, &format!("run {id} {}", "x".repeat(200))).await).await.unwrap();
        }
        db.close().await;
    }
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 4 / 4096 * 4096;
    bytes[middle..].fill(0xa5);
    fs::write(&file, bytes).unwrap();
    let mut settings = Settings::new(&file, fixed_clock());
    settings.fatal = Arc::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let db = Db::open(&settings).unwrap();
    let scan = "SELECT count(*) FROM runs WHERE length(name) > 1";
    let read = db.read(async |tx| tx.row(scan, &[]).await).await;
    assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");
    assert_eq!(stopped.load(Ordering::Relaxed), 1);
}

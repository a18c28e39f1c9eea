//! What the store promises, tried on real files: commits and snapshots here, what goes wrong in
//! `failures.rs`, statements and settings in `engine.rs`.

mod backup;
mod engine;
mod failures;

use super::{Clock, Db, Engine, Health, Migration, Settings, Sql, StoreError, Tx, params};
use domain::Timestamp;
use rusqlite::Connection;
use std::sync::{Arc, mpsc};
use std::{fs, path::PathBuf};
use tempfile::TempDir;

const SCHEMA: &[Migration] = &[Migration {
    number: 1,
    name: "start",
    sql: Sql::both(
        "CREATE TABLE runs (id INTEGER PRIMARY KEY, name TEXT UNIQUE) STRICT;
          CREATE TABLE notes (
              run INTEGER REFERENCES runs (id),
              late INTEGER REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED,
              body TEXT CHECK (body <> '')
          ) STRICT;",
    ),
}];
const RUN: &str = "INSERT INTO runs (id, name) VALUES ($1, $2)";
const NOTE: &str = "INSERT INTO notes (run, body) VALUES ($1, $2)";
const LATE: &str = "INSERT INTO notes (late) VALUES ($1)";
const COUNT: &str = "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM notes)";

/// A clock that stands still.
pub(in crate::db) fn fixed_clock() -> Clock {
    Arc::new(|| Timestamp(0))
}

struct Store {
    folder: TempDir,
    db: Db,
}

impl Store {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(folder.path().join("errand.db"), fixed_clock());
        settings.fatal = Arc::new(|error| panic!("the disk is fine, yet: {error}"));
        change(&mut settings);
        let db = Db::open(&settings).unwrap();
        db.migrate(SCHEMA, 0).await.unwrap();
        Store { folder, db }
    }

    /// How many jobs wait for the writer's thread.
    fn waiting(&self) -> usize {
        match &*self.db.0 {
            Engine::Sqlite { writer, .. } => writer.waiting(),
            _ => unreachable!("these tests are on SQLite"),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn counts(&self) -> (i64, i64) {
        self.db.read(async |tx| counted(tx).await).await.unwrap()
    }

    /// Makes the writer wait inside a job until the sender is used or dropped, so that what is
    /// asked for meanwhile is one batch.
    async fn hold(&self) -> mpsc::Sender<()> {
        let (release, held) = mpsc::channel::<()>();
        let (started, running) = tokio::sync::oneshot::channel();
        let db = self.db.clone();
        tokio::spawn(async move {
            db.write(async move |_tx| {
                started.send(()).unwrap();
                let _released = held.recv();
                Ok::<_, StoreError>(())
            })
            .await
        });
        running.await.unwrap();
        release
    }

    /// How many transactions the write-ahead log holds: the frames that end one say how big the
    /// database is after it, the others say 0.
    fn commits_in_log(&self) -> usize {
        let log = fs::read(self.file("errand.db-wal")).unwrap();
        let page = u32::from_be_bytes(log[8..12].try_into().unwrap()) as usize;
        log[32..].chunks_exact(24 + page).filter(|frame| frame[4..8] != [0; 4]).count()
    }
}

async fn counted(tx: &mut Tx<'_>) -> Result<(i64, i64), StoreError> {
    let row = tx.row(COUNT, &[]).await?.unwrap();
    Ok((row.int(0)?, row.int(1)?))
}

async fn add_run(tx: &mut Tx<'_>, id: u32, name: &str) -> Result<u64, StoreError> {
    tx.exec(RUN, &params![id, name]).await
}

/// A run and its note; the name decides whether the run is a duplicate, after the first insert.
async fn add_both(db: &Db, id: u32, name: String) -> Result<(), StoreError> {
    db.write(async move |tx| {
        tx.exec(NOTE, &params![None::<u32>, "first"]).await?;
        add_run(tx, id, &name).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_500_at_once_each_is_there_whole_or_not_at_all() {
    for batch in [1, 128] {
        let store = Store::with(|settings| settings.batch = batch).await;
        store.db.write(async |tx| add_run(tx, 1_000, "taken").await).await.unwrap();
        let jobs: Vec<_> = (0..500)
            .map(|id: u32| {
                let db = store.db.clone();
                let name = if id.is_multiple_of(5) { "taken".to_owned() } else { format!("run {id}") };
                tokio::spawn(async move { add_both(&db, id, name).await })
            })
            .collect();
        let mut done = 0;
        for job in jobs {
            match job.await.unwrap() {
                Ok(()) => done += 1,
                Err(error) => {
                    assert_eq!(error, StoreError::Conflict { constraint: "runs.name".to_owned() });
                }
            }
        }
        assert_eq!(done, 400);
        assert_eq!(store.counts().await, (401, 400));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_together_is_committed_together() {
    let store = Store::new().await;
    let before = store.commits_in_log();
    let release = store.hold().await;
    let jobs: Vec<_> = (0..300)
        .map(|id| {
            let db = store.db.clone();
            tokio::spawn(async move { add_both(&db, id, format!("run {id}")).await })
        })
        .collect();
    while store.waiting() < 300 {
        tokio::task::yield_now().await;
    }
    drop(release);
    for job in jobs {
        job.await.unwrap().unwrap();
    }
    // The held job opens the first batch of 128; 301 jobs make three.
    assert_eq!(store.commits_in_log() - before, 3);
    assert_eq!(store.counts().await, (300, 300));
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_take_its_job_back() {
    let store = Store::new().await;
    let release = store.hold().await;
    let left = store.db.write(async |tx| add_run(tx, 1, "one").await);
    tokio::select! {
        biased;
        _answered = left => unreachable!("the writer is held"),
        () = tokio::task::yield_now() => {}
    }
    drop(release);
    store.db.write(async |tx| add_run(tx, 2, "two").await).await.unwrap();
    assert_eq!(store.counts().await, (2, 0));
}

#[tokio::test]
async fn readers_see_only_what_is_committed_and_keep_their_snapshot() {
    let store = Store::new().await;
    let (reader, db) = (store.db.clone(), store.db.clone());
    let seen_inside = db
        .write(async move |tx| {
            add_run(tx, 1, "one").await?;
            reader.read(async |tx| counted(tx).await).await
        })
        .await;
    assert_eq!(seen_inside, Ok((0, 0)));
    assert_eq!(store.counts().await, (1, 0));

    let other = Connection::open(store.file("errand.db")).unwrap();
    let twice = store.db.read(async |tx| {
        let first = counted(tx).await?;
        other.execute("INSERT INTO runs (id) VALUES (9)", ()).unwrap();
        Ok::<_, StoreError>((first, counted(tx).await?))
    });
    assert_eq!(twice.await, Ok(((1, 0), (1, 0))));
    let slow = store.db.read_slow(async |tx| counted(tx).await);
    assert_eq!(slow.await, Ok((2, 0)));
}

#[tokio::test]
async fn a_read_cannot_write() {
    let store = Store::new().await;
    let sneaky = store.db.read(async |tx| add_run(tx, 1, "one").await).await;
    assert!(matches!(sneaky, Err(StoreError::Sql(_))), "{sneaky:?}");
    assert_eq!(store.counts().await, (0, 0));
}

#[tokio::test]
async fn closing_finishes_what_was_asked_for_and_leaves_one_file() {
    let store = Store::new().await;
    let release = store.hold().await;
    let last = store.db.write(async |tx| add_run(tx, 1, "one").await);
    let (written, (), ()) = tokio::join!(last, store.db.close(), async { drop(release) });
    assert_eq!(written, Ok(1));
    let later = store.db.write(async |tx| add_run(tx, 2, "two").await).await;
    assert_eq!(later, Err(StoreError::Closed));
    let reading = store.db.read(async |tx| counted(tx).await).await;
    assert_eq!(reading, Err(StoreError::Closed));
    assert_eq!(store.db.read_slow(async |tx| counted(tx).await).await, Err(StoreError::Closed));
    store.db.close().await;
    assert!(!store.file("errand.db-wal").exists());
    let again = Db::open(&Settings::new(store.file("errand.db"), fixed_clock())).unwrap();
    assert_eq!(again.read(async |tx| counted(tx).await).await, Ok((1, 0)));
}

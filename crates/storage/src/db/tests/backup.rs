//! Copies of a file that is being written, and what is found in a copy that was altered.

use super::*;
use std::io::{Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_under_load_is_one_instant_and_holds_up_no_writer() {
    let store = Store::new().await;
    // Large enough that a copy takes some time.
    let filler = "INSERT INTO notes (body) SELECT printf('%.*c', 4000, 'x') FROM (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
        WHERE i < 5000) SELECT i FROM n)";
    store.db.write(async move |tx| tx.exec(filler, &[]).await).await.unwrap();
    let (written, over) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
    let writing = tokio::spawn({
        let (db, written, over) = (store.db.clone(), Arc::clone(&written), Arc::clone(&over));
        async move {
            let mut longest = Duration::ZERO;
            while !over.load(Ordering::Relaxed) {
                let id = written.load(Ordering::Relaxed) + 1;
                let began = Instant::now();
                // Both or neither: a copy that is one instant has as many of one as of the other.
                let both = async move |tx: &mut Tx<'_>| {
                    tx.exec(RUN, &params![id, format!("run {id}")]).await?;
                    tx.exec(NOTE, &params![id, "of it"]).await
                };
                db.write::<_, StoreError, _>(both).await.unwrap();
                longest = longest.max(began.elapsed());
                written.store(id, Ordering::Relaxed);
            }
            longest
        }
    });
    for number in 0..5 {
        let acknowledged = written.load(Ordering::Relaxed);
        let copy = store.folder.path().join(format!("copy-{number}.db"));
        store.db.back_up(&copy).await.unwrap();
        Db::examine(&copy).await.unwrap();
        let settings = Settings::new(&copy, fixed_clock());
        let db = Db::open_for_reading(&settings).unwrap();
        let counted = db.read(async |tx| tx.row(COUNT, &[]).await).await.unwrap().unwrap();
        let (runs, notes) = (counted.int(0).unwrap(), counted.int(1).unwrap() - 5000);
        assert!(runs >= acknowledged && runs == notes, "{acknowledged} acknowledged, {runs} runs, {notes} notes");
        let beside: Vec<_> = ["-wal", "-shm", "-journal"]
            .into_iter()
            .filter(|end| std::path::Path::new(&format!("{}{end}", copy.display())).exists())
            .collect();
        assert!(beside.is_empty(), "one file: {beside:?}");
    }
    over.store(true, Ordering::Relaxed);
    let longest = writing.await.unwrap();
    assert!(written.load(Ordering::Relaxed) > 0 && longest < Duration::from_secs(5), "{longest:?}");
}

#[tokio::test]
async fn a_copy_is_not_written_over_anything() {
    let store = Store::new().await;
    let there = store.folder.path().join("mine.txt");
    fs::write(&there, "mine").unwrap();
    assert!(matches!(store.db.back_up(&there).await, Err(StoreError::Io(_))));
    assert_eq!(fs::read_to_string(&there).unwrap(), "mine");
}

#[tokio::test]
async fn a_broken_page_is_found() {
    let store = Store::new().await;
    store.db.write(async |tx| tx.exec(RUN, &params![1, "one"]).await).await.unwrap();
    let copy = store.folder.path().join("copy.db");
    store.db.back_up(&copy).await.unwrap();
    let mut file = fs::OpenOptions::new().write(true).open(&copy).unwrap();
    file.seek(SeekFrom::Start(4096)).unwrap();
    file.write_all(&[0xff; 64]).unwrap();
    assert!(matches!(Db::examine(&copy).await, Err(StoreError::Corrupt { .. })));
    let other = store.folder.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(matches!(Db::examine(&other).await, Err(StoreError::Schema(_))));
}

#[tokio::test]
async fn what_is_opened_for_reading_is_not_written() {
    let store = Store::new().await;
    let db = Db::open_for_reading(&Settings::new(store.folder.path().join("errand.db"), fixed_clock())).unwrap();
    let refused = db.write::<_, StoreError, _>(async |tx| tx.exec(RUN, &params![1, "one"]).await).await;
    assert!(matches!(refused, Err(StoreError::Setup(_))), "{refused:?}");
    assert!(db.read(async |tx| tx.exec(RUN, &params![1, "one"]).await).await.is_err());
    let super::Health::Sqlite { journal_mode, file, .. } = db.health().await.unwrap() else { panic!("SQLite") };
    assert_eq!((journal_mode.as_str(), file), ("wal", Ok(())));
}

#[tokio::test]
async fn a_file_that_is_written_anew_holds_nothing_of_what_was_there() {
    let store = Store::new().await;
    let all = || {
        let files = fs::read_dir(store.folder.path()).unwrap();
        files.flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect::<Vec<u8>>()
    };
    let holds = |wanted: &[u8]| all().windows(wanted.len()).any(|window| window == wanted);
    // Spread over pages that are split, merged and freed.
    let fill = "INSERT INTO notes (body) SELECT 'canary ' || i || printf('%.*c', i * 7 % 900, 'x') FROM (WITH RECURSIVE n (i) AS \
        (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT i FROM n)";
    for sql in [fill, "UPDATE notes SET body = 'gone' WHERE rowid % 3 = 0", "DELETE FROM notes WHERE rowid % 3 = 1"] {
        store.db.write(async move |tx| tx.exec(sql, &[]).await).await.unwrap();
    }
    store.db.write(async |tx| tx.exec("UPDATE notes SET body = 'gone'", &[]).await).await.unwrap();
    assert!(holds(b"canary "), "what was changed is still in the file or its log");
    assert_eq!(store.db.rewrite().await, Ok(true));
    assert!(!holds(b"canary "));
    let counted = store.db.read(async |tx| tx.row(COUNT, &[]).await).await.unwrap().unwrap();
    assert_eq!(counted.int(1).unwrap(), 2000);
    store.db.write(async |tx| tx.exec(NOTE, &params![None::<i64>, "after"]).await).await.unwrap();
}

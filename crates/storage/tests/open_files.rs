//! A process that may open no more files: that says nothing of its disk, and passes. Alone in its program, since the limit is the process's.
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::Timestamp;
use rustix::process::{Resource, getrlimit, setrlimit};
use storage::{Db, MIGRATIONS, Settings, StoreError, Tx};

#[tokio::test]
async fn too_many_open_files_stop_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let stopped = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stopped);
    let db = Db::open(&Settings {
        readers: 2,
        fatal: Arc::new(move |_| told.store(true, Ordering::SeqCst)),
        ..Settings::new(folder.path().join("errand.db"), Arc::new(|| Timestamp(0)))
    });
    let db = db.unwrap();
    db.migrate(MIGRATIONS, 0).await.unwrap();
    let usual = getrlimit(Resource::Nofile);
    let next = File::open("/dev/null").unwrap().as_raw_fd();
    let mut none_left = usual;
    none_left.current = Some(u64::try_from(next).unwrap());
    setrlimit(Resource::Nofile, none_left).unwrap();

    let one = async |tx: &mut Tx<'_>| tx.row("SELECT count(*) FROM runs", &[]).await;
    // Two are open since the start; a third one at the same moment would have to be opened.
    let third = db.read::<_, StoreError, _>(async |_| {
        db.read::<_, StoreError, _>(async |tx| {
            let third = db.read::<_, StoreError, _>(one).await;
            tx.row("SELECT count(*) FROM teams", &[]).await?;
            Ok(third)
        })
        .await
    });
    let third = third.await.unwrap();
    assert!(matches!(&third, Err(error @ StoreError::Exhausted(_)) if error.passes()), "{third:?}");
    let written = db.write::<_, StoreError, _>(async |tx| {
        storage::teams::insert(tx, domain::TeamId(uuid::Uuid::nil()), "t", Timestamp(0)).await
    });
    written.await.unwrap();
    setrlimit(Resource::Nofile, usual).unwrap();
    assert!(db.read::<_, StoreError, _>(one).await.is_ok());
    assert!(!stopped.load(Ordering::SeqCst), "the disk is not in doubt");
    db.close().await;
}

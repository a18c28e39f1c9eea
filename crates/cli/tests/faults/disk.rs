//! T11: a disk that is full while Jobs work, and has room again; and what can be done on one that is full before anybody starts.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use domain::Timestamp;
use rustix::fs::FallocateFlags;
use serde_json::{Value, json};
use storage::{Db, Settings, StoreError};

use crate::chance::Chance;
use crate::job::Kind;
use crate::judge::judge;
use crate::node::{KEY, Node, Start};
use crate::storm::Told;
use crate::totals::{Totals, number};
use crate::world::{Plan, World};

/// A file system of its own, gone when this is.
struct SmallDisk<'p>(&'p Path);

impl<'p> SmallDisk<'p> {
    fn mount(at: &'p Path, megabytes: u32) -> Self {
        fs::create_dir_all(at).unwrap();
        let size = format!("size={megabytes}m,nr_inodes=1000");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).status().unwrap();
        assert!(mounted.success(), "this test mounts a small disk, for which it must be root");
        Self(at)
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t11_full_then_freed() {
    let totals = Totals::begin("T11 disk full", "fillings");
    let chance = Arc::new(Chance::new());
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    let _mounted = SmallDisk::mount(&disk, 40);
    let plan = Plan { model_ms: (300, 900), concurrency: 60, home: Some(disk.clone()), ..Plan::default() };
    let mut world = World::sqlite(&chance, plan).await;
    let api = world.api();
    let agent = api.create_assignment().await;
    let mut told = Told::default();
    let mut made = Vec::new();
    // The log is hardly ever as long as its index has one page for, unless somebody reads meanwhile.
    let data_folder = disk.join("node-0/data");
    let reader = LongRead::begin(&data_folder.join("errand.db"));
    let log = data_folder.join("errand.db-wal");
    for (enough, runs) in [(FIRST_INDEX_PAGE - 2_500, 50), (FIRST_INDEX_PAGE - 300, 0)] {
        while frames(&log) < enough {
            let (status, body) = api.post("/v1/agents", &assignment(100_000)).await.unwrap();
            assert_eq!(status, 201, "{body}");
            made.push(body["agent"]["id"].as_str().unwrap().to_owned());
        }
        for _ in 0..runs {
            told.runs.insert(api.start_run(&agent, Kind::Steps).await.unwrap(), Kind::Steps);
        }
    }
    let before = frames(&log);
    assert!(before < FIRST_INDEX_PAGE, "the log has {before} frames before the disk is full");
    fill_to_the_page(&disk.join("somebody-elses-file"), &log);
    // Reads go on, writes are refused as what they are.
    let large = assignment(20_000);
    let secs = number("FULL_SECS", 6);
    let mut wrong = Vec::new();
    let (full, mut refused) = (Instant::now(), 0);
    while full.elapsed() < Duration::from_secs(secs as u64) {
        if api.get("/v1/runs?limit=20").await.is_none() {
            wrong.push("a read failed".to_owned());
        }
        match api.post("/v1/agents", &large).await {
            Some((507, _)) => refused += 1,
            Some((201, body)) => {
                made.push(body["agent"]["id"].as_str().unwrap().to_owned());
                // The last free pages of the log.
                if refused > 0 {
                    wrong.push("room out of nowhere".to_owned());
                }
            }
            other => wrong.push(format!("a write was answered {other:?}")),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if refused * 6 <= 50 * secs {
        wrong.push(format!("the disk was hardly full: {refused} writes refused in {secs} s"));
    }
    let index = fs::metadata(data_folder.join("errand.db-shm")).unwrap().len();
    // A growth that failed half-way leaves part of a page.
    if frames(&log) <= FIRST_INDEX_PAGE || index >= 2 * INDEX_PAGE {
        wrong
            .push(format!("the log of {} frames was never refused a larger index: it has {index} bytes", frames(&log)));
    }
    drop(reader);
    fs::remove_file(disk.join("somebody-elses-file")).unwrap();
    let freed = Instant::now();
    while api.start_run(&agent, Kind::Steps).await.map(|run| told.runs.insert(run, Kind::Steps)).is_none() {
        assert!(freed.elapsed() < Duration::from_secs(10), "it does not recover\n{}", world.logs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let recovered = freed.elapsed();
    let mut verdict = judge(&world, &api, &told, &[]).await;
    for agent in made {
        if api.get(&format!("/v1/agents/{agent}")).await.is_none() {
            wrong.push(format!("the Assignment {agent} was accepted and is gone"));
        }
    }
    // Before what follows from it.
    verdict.wrong.splice(0..0, wrong);
    println!("{refused} writes refused; the first was taken {recovered:?} after there was room");
    totals.report(1, &verdict);
    verdict.pass(&world);
}

#[test]
fn a_full_disk_is_read_and_starts_no_server_but_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    let _mounted = SmallDisk::mount(&disk, 8);
    // SQLite is told this name in a URL.
    let home = disk.join("100% full? #1");
    let config = folder.path().join("errand.toml");
    fs::write(&config, "").unwrap();
    let start = Start { home: home.clone(), config, env: vec![] };
    let serve_and_end = || {
        let mut node = Node::spawn(&start);
        node.up();
        node.terminate();
        assert!(node.ended(Duration::from_secs(20)).is_some(), "it does not end");
    };
    serve_and_end();
    let ballast = disk.join("somebody-elses-file");
    fill(&ballast);
    let saved = folder.path().join("saved");
    let errand = |line: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_errand"));
        command.args(line).arg("--data-dir").arg(home.join("data")).env_clear().env("ERRAND_API_KEY", KEY);
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    for line in [&["keys", "list"][..], &["teams", "list"], &["doctor"], &["backup", saved.to_str().unwrap()]] {
        let (well, text) = errand(line);
        assert!(well, "{line:?}: {text}");
        assert!(!text.contains("restore a backup"), "{line:?}: {text}");
    }
    let (well, text) = errand(&["keys", "create", "--name", "new"]);
    assert!(!well && text.contains("the disk is full"), "{text}");
    let (well, text) = errand(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(!well && text.contains("no server starts on a full disk: make room on it"), "{text}");
    fs::remove_file(ballast).unwrap();
    serve_and_end();
    // It can be full in another way, in which not even an empty file can be made.
    let many = disk.join("many");
    fs::create_dir(&many).unwrap();
    (0..10_000).find(|number| File::create(many.join(number.to_string())).is_err()).unwrap();
    for line in [&["keys", "list"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let (well, text) = errand(line);
        assert!(
            !well && (text.contains("the disk is full") || text.contains("starts on a full disk")),
            "{line:?}: {text}"
        );
    }
    fs::remove_dir_all(many).unwrap();
    serve_and_end();
}

/// The frames of SQLite's log for which one page of its index has room.
const FIRST_INDEX_PAGE: u64 = 4_062;
/// A frame: a page, and what is said of it.
const FRAME: u64 = 4_096 + 24;
/// By so much the index grows.
const INDEX_PAGE: u64 = 32_768;

/// How many frames the log has room for as it lies there.
fn frames(log: &Path) -> u64 {
    log.metadata().map_or(0, |log| log.len() / FRAME)
}

/// An Assignment that takes so much room.
fn assignment(bytes: usize) -> Value {
    let data = json!({ "model": "fake-model", "input": "x".repeat(bytes) });
    json!({ "name": "Large", "build": { "name": "first", "config": { "version": "v1", "data": data } } })
}

/// Somebody who reads for long: meanwhile the log is not begun anew. Ends when it is dropped.
struct LongRead {
    _end: mpsc::Sender<()>,
}

impl LongRead {
    fn begin(file: &Path) -> Self {
        let db = Db::open_for_reading(&Settings::new(file, Arc::new(|| Timestamp(0)))).unwrap();
        let (end, ended) = mpsc::channel::<()>();
        let (begun, reading) = mpsc::channel();
        tokio::spawn(async move {
            let read = db.read_slow(async move |tx| {
                tx.row("SELECT count(*) FROM runs", &[]).await?;
                let _told = begun.send(());
                let _over = ended.recv();
                Ok::<_, StoreError>(())
            });
            read.await.unwrap();
        });
        reading.recv().unwrap();
        Self { _end: end }
    }
}

/// Takes all room but what the log needs to reach the end of the first page of its index: there is too little for the next one.
fn fill_to_the_page(path: &Path, log: &Path) {
    let file = File::create(path).unwrap();
    let room = || rustix::fs::statvfs(path).map(|disk| disk.f_bavail * disk.f_frsize).unwrap();
    let spare = || FIRST_INDEX_PAGE.saturating_sub(frames(log)) * FRAME + INDEX_PAGE / 2;
    let mut size = 0;
    // The log grows meanwhile.
    for _ in 0..100 {
        let wanted = (size + room()).saturating_sub(spare());
        rustix::fs::ftruncate(&file, 0).unwrap();
        let taken = rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, wanted);
        size = if taken.is_ok() { wanted } else { 0 };
        if taken.is_ok() && room().abs_diff(spare()) < INDEX_PAGE / 4 {
            return;
        }
    }
    panic!("the disk does not get as full as it should");
}

/// Writes until nothing more fits.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for size in [64 * 1024, 4 * 1024, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

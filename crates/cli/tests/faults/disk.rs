//! T11: a disk that is full while Jobs work, and has room again.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::chance::Chance;
use crate::job::Kind;
use crate::judge::judge;
use crate::storm::Told;
use crate::totals::{Totals, number};
use crate::world::{Plan, World};

/// A file system of its own, gone when this is.
struct SmallDisk<'p>(&'p Path);

impl<'p> SmallDisk<'p> {
    fn mount(at: &'p Path) -> Self {
        fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(at).status().unwrap();
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
    let _mounted = SmallDisk::mount(&disk);
    let plan = Plan { model_ms: (300, 900), concurrency: 60, home: Some(disk.clone()), ..Plan::default() };
    let mut world = World::sqlite(&chance, plan).await;
    let api = world.api();
    let agent = api.create_assignment().await;
    let mut told = Told::default();
    for _ in 0..50 {
        told.runs.insert(api.start_run(&agent, Kind::Steps).await.unwrap(), Kind::Steps);
    }
    fill(&disk.join("somebody-elses-file"));
    // Reads go on, writes are refused as what they are.
    let data = json!({ "model": "fake-model", "input": "x".repeat(20_000) });
    let large = json!({ "name": "Large", "build": { "name": "first", "config": { "version": "v1", "data": data } } });
    let secs = number("FULL_SECS", 6);
    let (mut wrong, mut made) = (Vec::new(), Vec::new());
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

/// Writes until nothing more fits.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for size in [64 * 1024, 4 * 1024, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

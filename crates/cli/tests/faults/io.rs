//! T06, in part: a disk that says it cannot sync. The server stops at once and acknowledges nothing that it does not have.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;

use crate::chance::Chance;
use crate::judge::judge;
use crate::kills::now;
use crate::node::Node;
use crate::storm::Storm;
use crate::totals::{Totals, number};
use crate::world::{Plan, World};

/// What `errand serve` ends with when it trusts its disk no longer.
const EXIT: i32 = 70;
/// From the failed call to the end, in milliseconds.
const AT_ONCE_MS: u64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn t06_a_failed_sync_stops_the_server_before_it_answers() {
    let totals = Totals::begin("T06 failed syncs", "failures");
    let chance = Arc::new(Chance::new());
    let failures = number("SYNC_FAILURES", 6);
    let patience = Duration::from_secs(number("PATIENCE_SECS", 20) as u64);
    let mut world = World::sqlite(&chance, Plan::default()).await;
    let api = world.api();
    let agent = api.create_assignment().await;
    let storm = Storm::begin(&api, &agent, failures * 15, 20, &chance);
    let calls = tempfile::tempdir().unwrap();
    let (mut wrong, mut slowest) = (Vec::new(), 0);
    for failure in 0..failures {
        tokio::time::sleep(chance.millis(200, 600)).await;
        let mut node = world.nodes[0].take().unwrap();
        let seen = calls.path().join(failure.to_string());
        let (ended, at) = tokio::task::block_in_place(|| {
            let mut broken_disk = break_disk(node.pid(), &seen);
            let ended = (node.ended(patience), now());
            if ended.0.is_none() {
                let _ = broken_disk.kill();
            }
            // It ends with the process, and has written down everything then.
            let _ = broken_disk.wait();
            ended
        });
        match ended {
            Some(status) if status.code() == Some(EXIT) => {}
            other => {
                wrong
                    .push(format!("failure {failure}: it ended with {other:?} ({:?})", other.and_then(|s| s.signal())));
            }
        }
        let took = first_failure(&seen).map(|failed| at.ms_since(failed));
        slowest = slowest.max(took.unwrap_or(0));
        if took.is_none_or(|ms| ms > AT_ONCE_MS) {
            wrong.push(format!("failure {failure}: from the failed sync to the end it took {took:?} ms"));
        }
        drop(node);
        world.replace(0);
        let addresses = tokio::task::block_in_place(|| world.nodes.iter_mut().flatten().map(Node::up).collect());
        api.at(addresses);
    }
    storm.all_accepted().await;
    let told = storm.end().await;
    let mut verdict = judge(&world, &api, &told, &[]).await;
    verdict.wrong.extend(wrong);
    totals.report(failures, &verdict);
    println!("from a failed sync to the end of the process at most {slowest} ms");
    verdict.pass(&world);
}

/// From now on every sync of the process fails, as on a disk that is gone. What was called, and when, is written to `seen`.
fn break_disk(pid: u32, seen: &Path) -> std::process::Child {
    let inject = "inject=fsync,fdatasync:error=EIO";
    Command::new("strace")
        .args(["-f", "-qq", "-ttt", "-e", "trace=fsync,fdatasync", "-e", inject, "-p", &pid.to_string(), "-o"])
        .arg(seen)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("this test breaks a disk with strace: {error}"))
}

/// When the first sync failed: lines are `PID SECONDS.MICROS CALL = -1 EIO (…) (INJECTED)`.
fn first_failure(seen: &Path) -> Option<Timestamp> {
    let calls = fs::read_to_string(seen).unwrap();
    let failed = calls.lines().find(|line| line.contains("INJECTED"))?;
    let (seconds, micros) = failed.split_whitespace().nth(1)?.split_once('.')?;
    Some(Timestamp(seconds.parse::<i64>().ok()? * 1_000 + micros.get(..3)?.parse::<i64>().ok()?))
}

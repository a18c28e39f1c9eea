//! T06, in part: a disk that says it cannot sync. The server stops at once and acknowledges nothing that it does not have.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::judge::judge;
use crate::node::Node;
use crate::storm::Storm;
use crate::totals::{number, report};
use crate::world::{Plan, World};

/// What `errand serve` ends with when it trusts its disk no longer.
const EXIT: i32 = 70;
/// From the failed call to the end.
const AT_ONCE: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn t06_a_failed_sync_stops_the_server_before_it_answers() {
    let (began, chance) = (Instant::now(), Arc::new(Chance::new()));
    let failures = number("SYNC_FAILURES", 6);
    let mut world = World::sqlite(&chance, Plan::default()).await;
    let api = world.api();
    let agent = api.create_assignment().await;
    let storm = Storm::begin(&api, &agent, failures * 15, 20, &chance);
    let mut wrong = Vec::new();
    for failure in 0..failures {
        tokio::time::sleep(chance.millis(200, 600)).await;
        let mut node = world.nodes[0].take().unwrap();
        let ended = tokio::task::block_in_place(|| {
            let mut broken_disk = break_disk(node.pid());
            let ended = node.ended(Duration::from_secs(20));
            let _ = broken_disk.kill();
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
        if node.ended(AT_ONCE).is_none() {
            wrong.push(format!("failure {failure}: it goes on"));
        }
        world.replace(0);
        let addresses = tokio::task::block_in_place(|| world.nodes.iter_mut().flatten().map(Node::up).collect());
        api.at(addresses);
    }
    storm.all_accepted(failures * 15).await;
    let told = storm.end().await;
    let mut verdict = judge(&world, &api, &told, &[]).await;
    verdict.wrong.extend(wrong);
    report("T06 failed syncs", "failures", failures, began, &verdict);
    verdict.pass(&world);
}

/// From now on every sync of the process fails, as on a disk that is gone.
fn break_disk(pid: u32) -> std::process::Child {
    let inject = "inject=fsync,fdatasync:error=EIO";
    Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=fsync,fdatasync", "-e", inject, "-o", "/dev/null", "-p", &pid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("this test breaks a disk with strace: {error}"))
}

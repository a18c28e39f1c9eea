//! The server that freezes: for longer than its leases hold, with model turns in flight. Another worker takes its runs over; then it comes
//! back, not knowing, and its answers arrive.
//!
//! A server that is thawed would renew its own leases before it does anything else, so one process alone shows nothing. The second worker is
//! an engine in the process of the test, on the same database, as a second machine would be. Only what is committed is judged: what two
//! machines do to one file at once is not the fence's affair.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agent::tools::pdf::PdfReader;
use agent::workspace::Workspaces;
use domain::limits::Limits;
use domain::{Ambient, Timestamp};
use engine::{Engine, Parts};
use storage::{Bell, Db};
use testkit::checker::violations;
use uuid::Uuid;

use crate::api::Api;
use crate::chance::Chance;
use crate::job;
use crate::server::{Home, Server};

const FREEZES: usize = 12;
/// Asked for before each freeze, so that turns are in flight when it comes.
const RUNS_A_FREEZE: usize = 3;
/// The shortest that the settings allow.
const LEASE_MS: u64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_from_a_freeze_writes_nothing_to_runs_it_lost() {
    let chance = Arc::new(Chance::new());
    let model = job::model(&chance, 300, 800).await;
    let home = Home::new(&model.openai_url(), &format!("[engine]\nlease_ms = {LEASE_MS}\n"));
    let mut server = Server::spawn(&home);
    let api = Api::new(server.address(&home));
    let agent = api.create_assignment().await;
    let rival = rival(&home, &chance);

    for _ in 0..FREEZES {
        for _ in 0..RUNS_A_FREEZE {
            api.start_run(&agent).await.unwrap();
        }
        tokio::time::sleep(chance.millis(50, 600)).await;
        server.freeze();
        tokio::time::sleep(chance.millis(LEASE_MS + 200, LEASE_MS + 600)).await;
        server.thaw();
    }
    api.settle(Duration::from_secs(10)).await;

    let (mut wrong, mut taken_over) = (Vec::new(), 0);
    for run in &api.runs().await {
        if !run.is_over() {
            wrong.push(format!("{}: still {}", run.id, run.status));
            continue;
        }
        let (seen, _) = api.look(run).await;
        taken_over += usize::from(seen.events.iter().filter(|event| event.kind == "claimed").count() > 1);
        wrong.extend(violations(&seen).into_iter().map(|violation| format!("{}: {violation}", run.id)));
    }
    rival.drain(Duration::ZERO).await;
    println!("{FREEZES} freezes, {taken_over} runs taken over, {} violations", wrong.len());
    assert!(taken_over >= FREEZES, "too few takeovers to show anything");
    #[cfg(not(feature = "sabotage-fence"))]
    assert!(wrong.is_empty(), "{wrong:#?}\n{}", home.logged());
    #[cfg(feature = "sabotage-fence")]
    assert!(!wrong.is_empty(), "the fence is off and nobody noticed");
}

/// A second worker on the same database, with a model of its own.
fn rival(home: &Home, chance: &Chance) -> Engine {
    Engine::start(Parts {
        db: Db::open(&storage::Settings::new(home.data().join("errand.db"))).unwrap(),
        bell: Bell::default(),
        ambient: Arc::new(WallClock(AtomicU64::new(chance.below(u64::MAX / 2)))),
        model: Arc::new(job::model_of_our_own(Duration::from_millis(400))),
        workspaces: Workspaces::new(home.data().join("sandboxes")),
        pdf: PdfReader::new("no-pdf-here".into()),
        limits: Limits::default(),
        settings: engine::Settings { lease_ms: LEASE_MS, ..engine::Settings::default() },
    })
}

/// The time of this machine, which the leases of both workers are written in.
struct WallClock(AtomicU64);

impl Ambient for WallClock {
    #[expect(clippy::disallowed_methods, reason = "two processes must agree on when a lease ends")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp(i64::try_from(since.as_millis()).unwrap())
    }

    fn id(&self, at: Timestamp) -> Uuid {
        let mut count = [0; 10];
        count[2..].copy_from_slice(&self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(u64::try_from(at.0).unwrap(), &count).into_uuid()
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

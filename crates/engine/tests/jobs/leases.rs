//! The lease from the worker's side: whoever lost it stops and writes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agent::models::{Model, TurnRequest};
use domain::limits::Limits;
use engine::Settings;
use futures_util::future::{BoxFuture, FutureExt as _};
use storage::{StoreError, work};
use testkit::scripted::{ScriptedModel, Turn, says};

use crate::house::{House, announced};

/// Takes the run away from whoever holds it, for a day.
async fn usurp(house: &House) {
    let wanted = house.claiming(86_400_000);
    let take = async move |tx: &mut storage::Tx<'_>| {
        work::free_all(tx).await?;
        work::claim(tx, wanted).await
    };
    assert_eq!(house.db.write::<_, StoreError, _>(take).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_after_the_lease_was_lost_is_not_written() {
    let house = House::new().await;
    // With its long lease, no heartbeat notices the loss before the answer comes.
    let (model, begun) = announced(ScriptedModel::new(|_| Ok(says("late"))).delayed(Duration::from_millis(300)));
    let engine = house.engine(model);
    let run = house.start(None).await;
    begun.notified().await;
    usurp(&house).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(house.kinds(run).await, ["created", "claimed", "claimed"]);
    assert_eq!(house.row(run).await.status.word(), "running");
    engine.drain(Duration::from_secs(5)).await;
    assert!(house.next_due().await.unwrap() > 1_000_000, "the usurper still holds it");
}

/// Hangs, and tells when it is given up.
struct Hangs(Arc<AtomicBool>);

struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Model for Hangs {
    fn turn<'a>(&'a self, _request: TurnRequest<'a>) -> BoxFuture<'a, Turn> {
        async {
            let _told_when_dropped = OnDrop(&self.0);
            std::future::pending().await
        }
        .boxed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_heartbeat_stops_a_worker_that_lost_its_lease() {
    let house = House::new().await;
    let given_up = Arc::new(AtomicBool::new(false));
    let short = Settings { lease_ms: 1_000, ..Settings::default() };
    let (model, begun) = announced(Hangs(Arc::clone(&given_up)));
    let _engine = house.engine_with(model, Limits::default(), short);
    let run = house.start(None).await;
    begun.notified().await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(!given_up.load(Ordering::SeqCst), "heartbeats kept it");
    assert_eq!(house.kinds(run).await, ["created", "claimed"], "and nobody claimed it anew");
    usurp(&house).await;
    let stopped = async {
        while !given_up.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(5), stopped).await.is_ok(), "the worker goes on");
    assert_eq!(house.kinds(run).await, ["created", "claimed", "claimed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_worker_panicked_is_claimed_again_once_its_lease_is_over() {
    let house = House::new().await;
    let panicked = AtomicBool::new(false);
    let model = ScriptedModel::new(move |_| {
        assert!(panicked.swap(true, Ordering::SeqCst), "a bug that shows once");
        Ok(says("done"))
    });
    let short = Settings { concurrency: 1, lease_ms: 1_000, ..Settings::default() };
    let _engine = house.engine_with(model, Limits::default(), short);
    let run = house.start(None).await;
    house.until(run, "completed").await;
    assert_eq!(house.kinds(run).await, ["created", "claimed", "claimed", "replied", "completed"]);
}

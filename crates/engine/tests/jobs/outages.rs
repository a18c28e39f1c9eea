//! When the store fails, or the engine itself: said, and not more often than helps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use storage::{StoreError, Weather};
use testkit::scripted::{ScriptedModel, says};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::house::House;

/// Whatever is done to the store.
#[derive(Clone, Copy)]
enum Trouble {
    /// Nothing can be read or written.
    Away,
    /// Nobody is told of a commit.
    Doubt,
    Panic,
}

/// A store that is well until somebody turns the switch.
struct Switched(AtomicBool, Trouble);

impl Weather for Switched {
    fn before(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async {
            match self.1 {
                _ if !self.0.load(Ordering::SeqCst) => Ok(()),
                Trouble::Away => Err(StoreError::Unreachable("it is away".to_owned())),
                Trouble::Doubt => Ok(()),
                Trouble::Panic => panic!("struck by lightning"),
            }
        }
        .boxed()
    }

    fn after(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        let doubt = self.0.load(Ordering::SeqCst) && matches!(self.1, Trouble::Doubt);
        async move { if doubt { Err(StoreError::InDoubt("it is away".to_owned())) } else { Ok(()) } }.boxed()
    }
}

/// What is logged about outages, from debug on: level and words.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "engine::outage"
    }

    fn event(&self, event: &Event<'_>) {
        let mut words = Words(String::new());
        event.record(&mut words);
        self.0.lock().unwrap().push((*event.metadata().level(), words.0));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// What is logged while thirty runs work on a store that is in trouble twice: loud lines only.
async fn said_of(trouble: Trouble) -> Vec<(Level, String)> {
    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    let house = House::in_memory().await;
    let store = Arc::new(Switched(AtomicBool::new(false), trouble));
    let slow = ScriptedModel::new(|_| Ok(says("done"))).delayed(Duration::from_secs(1));
    let _engine = house.engine_under(Arc::clone(&store) as Arc<dyn Weather>, slow);
    let mut runs = Vec::new();
    for _ in 0..30 {
        runs.push(house.start(None).await);
    }
    for times in 1..=2 {
        for run in &runs {
            house.until_journaled(*run, "claimed", times).await;
        }
        store.0.store(true, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(10)).await;
        store.0.store(false, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(1)).await;
        for run in &runs {
            house.until(*run, "completed").await;
            house.say(*run, "once more").await;
        }
    }
    let said = std::mem::take(&mut *log.0.lock().unwrap());
    assert!(said.len() > 1_000, "each of them tries again and again: {}", said.len());
    said.into_iter().filter(|(level, _)| *level <= Level::INFO).collect()
}

#[tokio::test(start_paused = true)]
async fn a_store_in_trouble_is_said_once_for_all_runs_and_so_is_its_end() {
    for (trouble, words) in [(Trouble::Away, "cannot be read now"), (Trouble::Doubt, "a step cannot be committed now")]
    {
        let said = said_of(trouble).await;
        let levels: Vec<_> = said.iter().map(|(level, _)| *level).collect();
        assert_eq!(levels, [Level::WARN, Level::INFO, Level::WARN, Level::INFO], "{said:?}");
        for pair in said.chunks(2) {
            assert!(pair[0].1.contains(words) && pair[1].1.contains("works again"), "{said:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_of_which_a_part_broke_says_so_to_its_owner() {
    let house = House::in_memory().await;
    let sky = Arc::new(Switched(AtomicBool::new(false), Trouble::Panic));
    let mut engine = house.engine_under(Arc::clone(&sky) as Arc<dyn Weather>, ScriptedModel::new(|_| Ok(says("done"))));
    let run = house.start(None).await;
    house.until(run, "completed").await;
    let minutes = tokio::time::timeout(Duration::from_mins(5), engine.failed()).await;
    assert!(minutes.is_err(), "all is well: {minutes:?}");
    sky.0.store(true, Ordering::SeqCst);
    house.bell.ring_work();
    let broken = tokio::time::timeout(Duration::from_secs(1), engine.failed()).await.unwrap().to_string();
    assert!(broken.contains("claiming broke") && broken.contains("struck by lightning"), "{broken}");
}

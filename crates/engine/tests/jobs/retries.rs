//! Model turns that fail: again later, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use domain::limits::Limits;
use domain::runs::PAUSE_MAX_MS;
use engine::Settings;
use testkit::scripted::{ScriptedModel, fails_for_now, says};

use crate::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn a_passing_failure_is_tried_again_and_meanwhile_the_place_is_free() {
    let house = House::new().await;
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let mut failure = fails_for_now("overloaded");
    failure.retry_after_ms = Some(1_500);
    let model = ScriptedModel::new(move |request| match request.lines {
        // Only the run with a message fails, the first time.
        [] => Ok(says("quick")),
        _ if count.fetch_add(1, Ordering::SeqCst) == 0 => Err(failure.clone()),
        _ => Ok(says("at last")),
    });
    let one_place = Settings { concurrency: 1, ..Settings::default() };
    let _engine = house.engine_with(model, Limits::default(), one_place);
    let sleeper = house.start(Some("please")).await;
    house.until_journaled(sleeper, "turn_failed", 1).await;
    let quick = house.start(None).await;
    house.until(quick, "completed").await;
    let row = house.row(sleeper).await;
    assert_eq!((row.status.word(), asked.load(Ordering::SeqCst)), ("pending", 1), "it still sleeps");

    house.until(sleeper, "completed").await;
    let kinds = house.kinds(sleeper).await;
    assert_eq!(kinds[2..], ["claimed", "turn_failed", "claimed", "replied", "completed"]);
}

/// The database remembers until when, and so does the journal.
#[tokio::test(start_paused = true)]
async fn a_rest_that_began_under_a_clock_days_ahead_lasts_no_longer_than_any() {
    let house = House::in_memory().await;
    house.be_ahead(Duration::from_hours(48));
    let engine = house.engine(ScriptedModel::new(|_| Err(fails_for_now("overloaded"))));
    let run = house.start(None).await;
    house.until_journaled(run, "turn_failed", 1).await;
    engine.abandon();
    house.be_ahead(Duration::ZERO);
    assert!(house.next_due().await.unwrap() > 47 * 3_600_000);
    let _engine = house.engine(ScriptedModel::new(|_| Ok(says("at last"))));
    tokio::time::sleep(Duration::from_millis(PAUSE_MAX_MS + 10_000)).await;
    assert_eq!(house.row(run).await.status.word(), "completed", "{:?}", house.journal(run).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeping_run_can_be_stopped() {
    let house = House::new().await;
    let mut failure = fails_for_now("come back in a minute");
    failure.retry_after_ms = Some(60_000);
    let _engine = house.engine(ScriptedModel::new(move |_| Err(failure.clone())));
    let run = house.start(None).await;
    house.until_journaled(run, "turn_failed", 1).await;
    assert!(house.next_due().await.unwrap() > 50_000, "what the provider asks for is granted");
    house.stop(run).await;
    house.until(run, "interrupted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tries_are_bounded_and_the_providers_words_are_the_cause() {
    let house = House::new().await;
    let limits = Limits { model_tries: 2, ..Limits::default() };
    let model = ScriptedModel::new(|_| Err(fails_for_now("still overloaded")));
    let _engine = house.engine_with(model, limits, Settings::default());
    let run = house.start(None).await;
    house.until(run, "failed").await;
    let (code, message) = house.cause(run).await;
    assert_eq!((code.as_str(), message.as_str()), ("model_overloaded", "still overloaded (given up after 2 tries)"));
}

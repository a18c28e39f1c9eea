//! Runs that kill their workers: found however slow they are, and without making all others wait.

use std::time::Duration;

use agent::models::{Model, TurnRequest};
use domain::turns::Line;
use futures_util::future::{BoxFuture, FutureExt as _};
use storage::work::CARRIED_MS;
use testkit::scripted::{Turn, says};
use tokio::time::Instant;

use crate::house::House;

/// Never answers, unless it is told to hurry.
struct Dawdles;

impl Model for Dawdles {
    fn turn<'a>(&'a self, request: TurnRequest<'a>) -> BoxFuture<'a, Turn> {
        let hurries = request.lines.iter().any(|line| matches!(line, Line::User(text) if text == "hurry"));
        async move { if hurries { Ok(says("done")) } else { std::future::pending().await } }.boxed()
    }
}

/// Lets one server after the other die of the run, each `kills_after` it took the run; how many died until it was given up, `most` at most.
async fn deaths(kills_after: Duration, most: usize) -> Option<usize> {
    let house = House::in_memory().await;
    let run = house.start(None).await;
    for died in 0..=most {
        let engine = house.engine(Dawdles);
        house.until_journaled(run, "claimed", died + 1).await;
        // Whatever is done at once with it.
        tokio::time::sleep(Duration::from_millis(5)).await;
        if house.row(run).await.status.word() == "failed" {
            let (code, message) = house.cause(run).await;
            assert!(code == "worker_died" && !message.contains(|c: char| c.is_ascii_digit()), "{code}: {message}");
            return Some(died);
        }
        tokio::time::sleep(kills_after).await;
        engine.abandon();
        house.free_all().await;
    }
    None
}

#[tokio::test(start_paused = true)]
async fn a_run_that_kills_slowly_is_given_up_after_twelve_deaths_at_most() {
    let seconds = |n| deaths(Duration::from_secs(n), 20);
    assert_eq!(deaths(Duration::from_millis(500), 20).await, Some(3), "at once");
    assert_eq!((seconds(3).await, seconds(61).await, seconds(200).await), (Some(5), Some(9), Some(11)));
    assert_eq!(deaths(Duration::from_millis(CARRIED_MS - 1_000), 20).await, Some(12), "the slowest");
    assert_eq!(
        deaths(Duration::from_millis(CARRIED_MS + 1_000), 15).await,
        None,
        "one that was carried for so long begins anew"
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_run_waits_for_one_trial_and_not_for_all_that_were_at_work_at_two_crashes() {
    let house = House::in_memory().await;
    let mut dawdling = Vec::new();
    for _ in 0..20 {
        dawdling.push(house.start(None).await);
    }
    for died in 1..=2 {
        let engine = house.engine(Dawdles);
        for run in &dawdling {
            house.until_journaled(*run, "claimed", died).await;
        }
        engine.abandon();
        house.free_all().await;
    }
    let _engine = house.engine(Dawdles);
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let asked = Instant::now();
        let run = house.start(Some("hurry")).await;
        house.until(run, "completed").await;
        let waited = asked.elapsed();
        assert!(waited < Duration::from_millis(1_500), "each trial takes a second, and it waited for {waited:?}");
    }
    let began = Instant::now();
    for run in &dawdling {
        house.until_journaled(*run, "claimed", 3).await;
    }
    assert!(began.elapsed() > Duration::from_secs(10), "they are still tried one after the other");
}

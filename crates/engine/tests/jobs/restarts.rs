//! Draining: a run in the middle is handed on, and another engine finishes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use domain::runs::Event;
use serde_json::json;
use testkit::scripted::{ScriptedModel, says, wants};

use crate::house::{House, announced};

/// Lists files in its first turn, is done in its second; counts what it was asked.
fn two_turns(asked: &Arc<AtomicU32>, delay: Duration) -> ScriptedModel {
    let asked = Arc::clone(asked);
    let answer = move |request: &agent::models::TurnRequest<'_>| {
        asked.fetch_add(1, Ordering::SeqCst);
        Ok(if request.turn == 1 { wants([("c1", "list_files", json!({}))]) } else { says("done") })
    };
    ScriptedModel::new(answer).delayed(delay)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_the_step_lets_go_and_the_next_engine_finishes() {
    let house = House::new().await;
    let asked = Arc::new(AtomicU32::new(0));
    let (model, begun) = announced(two_turns(&asked, Duration::from_millis(200)));
    let engine = house.engine(model);
    let run = house.start(None).await;
    begun.notified().await;
    engine.drain(Duration::from_secs(10)).await;
    assert_eq!(asked.load(Ordering::SeqCst), 1, "the turn under way was heard, no other was begun");
    assert!(house.kinds(run).await.contains(&"replied"));
    assert_eq!(house.next_due().await, Some(0), "it is free to take at once");

    let _engine = house.engine(two_turns(&asked, Duration::ZERO));
    house.until(run, "completed").await;
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_whose_grace_is_over_drops_the_turn_which_is_asked_for_again() {
    let house = House::with(json!({ "skills": ["bookkeeping"] })).await;
    let asked = Arc::new(AtomicU32::new(0));
    let engine = house.engine(two_turns(&asked, Duration::from_mins(1)));
    let run = house.start(None).await;
    house.until_journaled(run, "noted", 1).await;
    let began = Instant::now();
    engine.drain(Duration::from_millis(100)).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(house.kinds(run).await, ["created", "claimed", "noted"]);

    let _engine = house.engine(two_turns(&asked, Duration::ZERO));
    house.until(run, "completed").await;
    let kinds = house.kinds(run).await;
    assert_eq!(kinds[3..5], ["claimed", "replied"], "the note is not said twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn letting_go_in_good_order_is_not_counted_as_a_crash() {
    let house = House::new().await;
    let asked = Arc::new(AtomicU32::new(0));
    let run = house.start(None).await;
    for times in 1..=3 {
        let engine = house.engine(two_turns(&asked, Duration::from_mins(1)));
        house.until_journaled(run, "claimed", times).await;
        engine.drain(Duration::ZERO).await;
    }
    let wanted = house.claiming(0);
    house.db.write(async move |tx| storage::work::claim(tx, wanted).await).await.unwrap();
    let journal = house.journal(run).await;
    let attempts: Vec<u32> = journal
        .iter()
        .filter_map(|event| if let Event::Claimed { attempt } = event { Some(*attempt) } else { None })
        .collect();
    assert_eq!(attempts, [1, 1, 1, 1]);
}

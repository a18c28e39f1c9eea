//! What a run may use, and how many are in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent::models::{Model, TurnRequest};
use domain::limits::Limits;
use engine::Settings;
use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::json;
use testkit::scripted::{ScriptedModel, Turn, says, wants};

use crate::house::House;

/// Never finishes: each turn wants two listings.
fn restless() -> ScriptedModel {
    ScriptedModel::new(|_| Ok(wants([("a", "list_files", json!({})), ("b", "list_files", json!({}))])))
}

async fn fails_at(limits: Limits, model: ScriptedModel) -> (String, Vec<&'static str>) {
    let house = House::new().await;
    let _engine = house.engine_with(model, limits, Settings::default());
    let run = house.start(None).await;
    house.until(run, "failed").await;
    let (code, message) = house.cause(run).await;
    assert_eq!(code, "limit_reached", "{message}");
    (message, house.kinds(run).await)
}

fn count(kinds: &[&str], kind: &str) -> usize {
    kinds.iter().filter(|seen| **seen == kind).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_are_bounded() {
    let (message, kinds) = fails_at(Limits { turns: 3, ..Limits::default() }, restless()).await;
    assert!(message.contains("turns = 3"), "{message}");
    assert_eq!(count(&kinds, "replied"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_calls_are_bounded_even_within_one_reply() {
    let (message, kinds) = fails_at(Limits { tool_calls: 3, ..Limits::default() }, restless()).await;
    assert!(message.contains("tool_calls = 3"), "{message}");
    assert_eq!(count(&kinds, "tool_started"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_bounded() {
    let talks = ScriptedModel::new(|_| {
        let mut answer = wants([("a", "list_files", json!({}))]);
        answer.text = "x".repeat(400);
        Ok(answer)
    });
    let (message, kinds) = fails_at(Limits { output_bytes: 1_000, ..Limits::default() }, talks).await;
    assert!(message.contains("output_bytes = 1000"), "{message}");
    assert_eq!(count(&kinds, "replied"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn time_is_bounded_even_inside_a_model_call() {
    let slow = ScriptedModel::new(|_| Ok(says("late"))).delayed(Duration::from_mins(1));
    let (message, kinds) = fails_at(Limits { wall_ms: 200, ..Limits::default() }, slow).await;
    assert!(message.contains("wall_ms = 200"), "{message}");
    assert_eq!(count(&kinds, "replied"), 0);
}

/// Counts how many turns are asked for at once.
struct Crowd {
    inside: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Model for Crowd {
    fn turn<'a>(&'a self, _request: TurnRequest<'a>) -> BoxFuture<'a, Turn> {
        async {
            let now_inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now_inside, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(30)).await;
            self.inside.fetch_sub(1, Ordering::SeqCst);
            Ok(says("done"))
        }
        .boxed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_runs_are_in_flight_than_there_are_places() {
    let house = House::new().await;
    let most = Arc::new(AtomicUsize::new(0));
    let crowd = Crowd { inside: Arc::default(), most: Arc::clone(&most) };
    let mut runs = Vec::new();
    for _ in 0..12 {
        runs.push(house.start(None).await);
    }
    let _engine = house.engine_with(crowd, Limits::default(), Settings { concurrency: 3, ..Settings::default() });
    for run in runs {
        house.until(run, "completed").await;
    }
    assert_eq!(most.load(Ordering::SeqCst), 3, "all places are used, and no more");
}

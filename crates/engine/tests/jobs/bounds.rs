//! What a run may use, and how many are in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent::models::{Model, TurnRequest};
use agent::providers::Providers;
use agent::settings::{Endpoint, Key, ModelSettings, Origin, Service};
use domain::limits::Limits;
use engine::Settings;
use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::json;
use testkit::fake_provider::{Asked, FakeProvider, Reply, Step};
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

/// A model of each wire, by a name that leads to it.
const WIRES: [&str; 4] = ["claude-sonnet-4-5", "gpt-4.1", "qwen3", "gemini-2.5-pro"];

/// Every vendor at the fake.
fn wired(fake: &FakeProvider) -> Providers {
    let endpoint = |base_url: String| Endpoint { base_url, key: Some(Key::new("k")), wire: None, origin: Origin::File };
    let services = [
        (Service::Anthropic, endpoint(fake.url())),
        (Service::OpenAi, endpoint(fake.openai_url())),
        (Service::Gemini, endpoint(fake.url())),
    ];
    Providers::new(ModelSettings { services: services.into(), ..ModelSettings::default() }).unwrap()
}

/// Runs a Build with this model until it fails; says why, and what was journaled.
async fn fails_over_the_wire(model: &str, fake: &FakeProvider, limits: Limits) -> (String, Vec<&'static str>) {
    let house = House::with(json!({ "model": model })).await;
    let _engine = house.engine_with(wired(fake), limits, Settings::default());
    let run = house.start(None).await;
    house.until(run, "failed").await;
    (house.cause(run).await.0, house.kinds(run).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_always_calls_a_tool_is_asked_exactly_as_often_as_allowed() {
    for model in WIRES {
        let again = |asked: &Asked| Reply::text("").call(format!("c{}", asked.assistant_turns), "list_files", "{}");
        let fake = FakeProvider::with(again).await.unwrap();
        let (code, kinds) = fails_over_the_wire(model, &fake, Limits { turns: 5, ..Limits::default() }).await;
        assert_eq!((code.as_str(), fake.requests().len()), ("limit_reached", 5), "{model}");
        assert_eq!((count(&kinds, "replied"), count(&kinds, "tool_started")), (5, 5), "{model}");

        let fake = FakeProvider::with(again).await.unwrap();
        let (code, kinds) = fails_over_the_wire(model, &fake, Limits { tool_calls: 4, ..Limits::default() }).await;
        assert_eq!((code.as_str(), count(&kinds, "tool_started")), ("limit_reached", 4), "{model}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_restart_grants_another_turn() {
    let house = House::new().await;
    let limits = || Limits { turns: 40, ..Limits::default() };
    let engine = || house.engine_with(restless().delayed(Duration::from_millis(20)), limits(), Settings::default());
    let run = house.start(None).await;
    for turn in 1..=20 {
        let engine = engine();
        house.until_journaled(run, "replied", turn).await;
        engine.drain(Duration::ZERO).await;
    }
    assert_ne!(house.row(run).await.status.word(), "failed", "it was not over before the last restart");
    let _engine = engine();
    house.until(run, "failed").await;
    let kinds = house.kinds(run).await;
    assert_eq!((count(&kinds, "replied"), count(&kinds, "tool_started")), (40, 80));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_sends_garbage_is_asked_three_times_and_no_call_is_made() {
    for model in WIRES {
        let nested = format!("{{\"a\":{}1{}}}", "[".repeat(100), "]".repeat(100));
        for garbage in ["{\"path\": \"a", "[]", &nested] {
            let garbage = garbage.to_owned();
            let fake =
                FakeProvider::with(move |_| Reply::text("").call("c", "list_files", garbage.as_str())).await.unwrap();
            let (code, kinds) = fails_over_the_wire(model, &fake, Limits { model_tries: 1, ..Limits::default() }).await;
            // Where arguments are part of the event, what no reader can read is no event.
            let unread = model.starts_with("gemini") && code == "model_stream_cut";
            let expected = if unread { ("model_stream_cut", 1) } else { ("answer_malformed", 3) };
            assert_eq!((code.as_str(), fake.requests().len()), expected, "{model}");
            assert_eq!(count(&kinds, "tool_started"), 0, "{model}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_survives_what_a_model_makes_up() {
    for model in WIRES {
        let steps = [
            Reply::text("").call("c0", "read file\n\u{1f600}", json!({ "path": "\0" })),
            Reply::text("\0").call("c1", "read_file", json!({ "path": "a\0b" })).call("c1", "list_files", "{}"),
            Reply::text("").call("c1", "write_file", "{\"path\": \"a\", \"path\": \"b\", \"content\": \"\\u0000\"}"),
            Reply::text("").call("i".repeat(1000), "n".repeat(1000), "{}"),
            Reply::text("").call("c2", "finish", "{}"),
            Reply::text("Done."),
        ];
        let fake = FakeProvider::scripted(steps.map(Step::from)).await.unwrap();
        let house = House::with(json!({ "model": model })).await;
        let _engine = house.engine(wired(&fake));
        let run = house.start(None).await;
        house.until(run, "completed").await;
        let kinds = house.kinds(run).await;
        assert_eq!((count(&kinds, "tool_started"), fake.requests().len()), (6, 6), "{model}: {kinds:?}");
        assert!(
            house.file(run, "b").exists() && !house.file(run, "a").exists(),
            "{model}: the last of two keys counts"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_megabytes_of_arguments_end_the_run_and_nothing_else() {
    for model in WIRES {
        let large = json!({ "path": "a", "content": "x".repeat(10_000_000) });
        let reply = Reply::text("").call("c", "write_file", &large).piece(60_000);
        let fake = FakeProvider::scripted([reply.into(), Reply::text("Done.").into()]).await.unwrap();
        let (code, kinds) = fails_over_the_wire(model, &fake, Limits::default()).await;
        assert!(matches!(code.as_str(), "limit_reached" | "model_answer_too_long"), "{model}: {code}");
        assert_eq!((count(&kinds, "tool_started"), fake.requests().len()), (0, 1), "{model}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_years() {
    for after in ["1000000000", "1e999", "Sat, 06 Nov 2094 08:49:37 GMT"] {
        let headers = vec![("retry-after", after.to_owned())];
        let fake = FakeProvider::scripted([Step::Status(429, headers, json!("later"))]).await.unwrap();
        let house = House::with(json!({ "model": "qwen3" })).await;
        let _engine = house.engine(wired(&fake));
        let run = house.start(None).await;
        house.until_journaled(run, "turn_failed", 1).await;
        let wait = house.next_due().await.unwrap();
        assert!((9 * 60_000..=10 * 60_000).contains(&wait), "{after}: {wait} ms");
    }
}

//! A tool-call stream cut at every byte, in two ways: the body ends in good order, or the connection breaks. None of the cuts may
//! execute half an answer.

use agent::models::Answer;
use agent::providers::Providers;
use domain::runs::ModelFailure;
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use testkit::fake_provider::{FakeProvider, FakeWire, Reply, Step};

use super::support::{Ask, WIRES, providers};

/// Cuts on each wire, so that there are thousands in all.
const AT_LEAST: usize = 750;

fn recorded() -> Reply {
    let arguments = json!({ "path": "/workspace/übersicht.csv", "content": "a;b\n1;2\n" });
    Reply::text("I write.").call("call_1", "write_file", &arguments).call("call_2", "write_file", &arguments).piece(24)
}

#[tokio::test]
async fn anthropic_cut_at_every_byte() {
    cut_at_every_byte(WIRES[0]).await;
}

#[tokio::test]
async fn responses_cut_at_every_byte() {
    cut_at_every_byte(WIRES[1]).await;
}

#[tokio::test]
async fn chat_cut_at_every_byte() {
    cut_at_every_byte(WIRES[2]).await;
}

#[tokio::test]
async fn gemini_cut_at_every_byte() {
    cut_at_every_byte(WIRES[3]).await;
}

async fn cut_at_every_byte((wire, model): (FakeWire, &str)) {
    let length = wire.events(model, &recorded()).concat().len();
    let fake = FakeProvider::scripted([]).await.unwrap();
    let providers = providers(&fake, "");
    let whole = turn(&fake, &providers, model, recorded().into()).await.unwrap();
    assert_eq!(whole.calls.len(), 2);
    let mut cuts = 0;
    for end in 0..=length {
        cuts += 1;
        let ended = turn(&fake, &providers, model, Step::EndAfter(recorded(), end)).await;
        check(wire, end, length, &whole, ended);
        // A broken connection is an error before it is a parser's business, and slower to try.
        if end % 4 == 0 {
            cuts += 1;
            let broken = turn(&fake, &providers, model, Step::CutAfter(recorded(), end)).await;
            check(wire, end, length, &whole, broken);
        }
    }
    println!("{wire:?}: {cuts} cuts");
    assert!(cuts >= AT_LEAST, "{wire:?}: only {cuts} cuts");
}

async fn turn(fake: &FakeProvider, providers: &Providers, model: &str, step: Step) -> Result<Answer, ModelFailure> {
    fake.then(step);
    Ask::new(model).turn(providers).await
}

fn check(wire: FakeWire, end: usize, length: usize, whole: &Answer, got: Result<Answer, ModelFailure>) {
    match got {
        Ok(answer) => {
            assert_eq!(&answer, whole, "{wire:?} cut at {end}: not the whole answer");
            // Only line ends or the text of a closing event may be missing.
            assert!(end + 64 > length, "{wire:?} took a stream of {end} of {length} bytes for whole");
        }
        Err(failure) => assert!(failure.retryable, "{wire:?} cut at {end}: {failure:?}"),
    }
}

#[tokio::test]
async fn many_turns_at_a_time_do_not_mix() {
    let fake =
        FakeProvider::with(|asked| Reply::text(format!("for {}", asked.body["messages"][1]["content"]))).await.unwrap();
    let providers = providers(&fake, "");
    let asks = (0..50).map(|number| {
        let mut ask = Ask::new("qwen3");
        ask.lines = vec![domain::turns::Line::User(format!("number {number}"))];
        let providers = &providers;
        async move { (number, ask.turn(providers).await.unwrap().text) }
    });
    let answers: Vec<_> = stream::iter(asks).buffer_unordered(16).collect().await;
    assert!(answers.iter().all(|(number, text)| text == &format!("for \"number {number}\"")), "{answers:?}");
}

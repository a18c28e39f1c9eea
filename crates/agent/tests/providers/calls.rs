//! Tool calls that did not arrive whole, or that nobody could keep.

use domain::turns::Stop;
use serde_json::json;
use testkit::fake_provider::{FakeProvider, FakeStop, Reply, Step};

use super::failures::failure;
use super::support::{Ask, WIRES, providers};

#[tokio::test]
async fn a_tool_call_that_is_no_whole_object_is_none() {
    for (wire, model) in WIRES {
        for broken in ["{\"path\": \"a", "[1, 2]", "\"text\"", "17"] {
            let reply = Reply::text("").call("c1", "read_file", broken);
            let fake = FakeProvider::scripted([reply.into()]).await.unwrap();
            let answer = Ask::new(model).turn(&providers(&fake, "")).await.unwrap();
            assert_eq!(answer.stop, Stop::Malformed, "{wire:?} {broken}: the run makes none of its calls");
        }
    }
}

#[tokio::test]
async fn a_call_cut_off_by_the_limit_on_tokens_is_handed_over_empty() {
    for (wire, model) in WIRES {
        let whole = json!({ "path": "a" });
        let cut = || {
            let reply = Reply::text("I read.").call("c1", "read_file", &whole).call("c2", "write_file", "{\"path\":");
            reply.stop(FakeStop::Length)
        };
        let fake = FakeProvider::scripted([cut().into()]).await.unwrap();
        let answer = Ask::new(model).turn(&providers(&fake, "")).await.unwrap();
        let calls: Vec<_> = answer.calls.iter().map(|call| (call.name.as_str(), json!(call.arguments))).collect();
        assert_eq!(calls, [("read_file", whole.clone()), ("write_file", json!({}))], "{wire:?}");
        assert_eq!((answer.stop, answer.text.as_str()), (Stop::Length, "I read."), "{wire:?}");
        // Without a real end it is a cut stream like any other.
        let failure = failure(Step::NoEnd(cut()), model, "").await;
        assert_eq!((failure.code.as_str(), failure.retryable), ("model_stream_cut", true), "{wire:?}: {failure:?}");
    }
}

#[tokio::test]
async fn arguments_nested_too_deep_for_a_journal_are_refused() {
    let nested = |levels: usize| format!("{}{}", "{\"a\":".repeat(levels - 1) + "{", "}".repeat(levels));
    for (wire, model) in WIRES {
        let step = |levels| Step::from(Reply::text("").call("c1", "read_file", nested(levels).as_str()));
        let fake = FakeProvider::scripted([step(64)]).await.unwrap();
        assert_eq!(Ask::new(model).turn(&providers(&fake, "")).await.unwrap().calls.len(), 1, "{wire:?}");
        let fake = FakeProvider::scripted([step(65)]).await.unwrap();
        assert_eq!(Ask::new(model).turn(&providers(&fake, "")).await.unwrap().stop, Stop::Malformed, "{wire:?}");
    }
}

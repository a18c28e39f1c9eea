//! Everything that can go wrong with a provider, and whether a later try makes sense.

use std::time::{Duration, Instant};

use domain::runs::ModelFailure;
use serde_json::{Value, json};
use testkit::fake_provider::{FakeProvider, FakeWire, Reply, Step};

use super::support::{Ask, KEY, WIRES, providers};

/// How one turn fails that goes as `step` says.
pub(crate) async fn failure(step: Step, model: &str, toml: &str) -> ModelFailure {
    let fake = FakeProvider::scripted([step]).await.unwrap();
    Ask::new(model).turn(&providers(&fake, toml)).await.unwrap_err()
}

fn status(wire: FakeWire, status: u16, words: &str) -> Step {
    Step::Status(status, Vec::new(), wire.error(status, words))
}

#[tokio::test]
async fn a_rate_limit_passes() {
    for (wire, model) in WIRES {
        let limit = Step::Status(429, vec![("retry-after", "7".to_owned())], wire.error(429, "Too many requests"));
        let fake = FakeProvider::scripted([limit, Reply::text("Now.").into()]).await.unwrap();
        let providers = providers(&fake, "");
        let failure = Ask::new(model).turn(&providers).await.unwrap_err();
        assert_eq!(
            (failure.code.as_str(), failure.retryable, failure.retry_after_ms),
            ("model_rate_limited", true, Some(7000))
        );
        for part in [model, "429", "Too many requests"] {
            assert!(failure.message.contains(part), "{failure:?}");
        }
        assert_eq!(Ask::new(model).turn(&providers).await.unwrap().text, "Now.");
    }
}

#[tokio::test]
async fn providers_ask_for_patience_in_many_ways() {
    let now = ("date", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned());
    let said = [
        (vec![("retry-after", "1.5".to_owned())], Some(1500)),
        (vec![("retry-after", "9".to_owned()), ("retry-after-ms", "250".to_owned())], Some(250)),
        (vec![now.clone(), ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT".to_owned())], Some(30_000)),
        (vec![now, ("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT".to_owned())], Some(0)),
        (vec![("retry-after", "1000000000".to_owned())], Some(1_000_000_000_000)),
        (vec![("retry-after", "soon".to_owned())], None),
        (vec![("retry-after", "-3".to_owned())], None),
        (vec![], None),
    ];
    for (wire, model) in WIRES {
        for (headers, expected) in &said {
            let step = Step::Status(429, headers.clone(), wire.error(429, "slow down"));
            assert_eq!(failure(step, model, "").await.retry_after_ms, *expected, "{wire:?} {headers:?}");
        }
    }
    let delay = json!({ "error": { "status": "RESOURCE_EXHAUSTED", "details": [{ "retryDelay": "34s" }] } });
    assert_eq!(failure(Step::Status(429, vec![], delay), "gemini-2.5-pro", "").await.retry_after_ms, Some(34_000));
}

#[tokio::test]
async fn a_status_says_whether_to_try_again() {
    let table = [
        (408, "model_overloaded", true),
        (409, "model_overloaded", true),
        (500, "model_overloaded", true),
        (502, "model_overloaded", true),
        (503, "model_overloaded", true),
        (504, "model_overloaded", true),
        (529, "model_overloaded", true),
        (400, "model_refused_request", false),
        (401, "model_auth", false),
        (403, "model_auth", false),
        (404, "model_refused_request", false),
        (413, "model_refused_request", false),
        (422, "model_refused_request", false),
        (402, "model_spend_cap", false),
        (302, "model_refused_request", false),
    ];
    for (wire, model) in WIRES {
        for (code, expected, retryable) in table {
            let failure = failure(status(wire, code, "these are my words"), model, "").await;
            assert_eq!((failure.code.as_str(), failure.retryable), (expected, retryable), "{wire:?} {code}");
            assert!(failure.message.contains("these are my words"), "{failure:?}");
        }
    }
}

#[tokio::test]
async fn money_is_not_waited_for() {
    let openai = json!({ "error": { "message": "You exceeded your current quota", "type": "insufficient_quota", "code": "insufficient_quota" } });
    let caps = [
        ("gpt-4.1", 429, openai),
        ("claude-sonnet-4-5", 400, FakeWire::Messages.error(400, "Your credit balance is too low to access the API.")),
        (
            "claude-sonnet-4-5",
            429,
            json!({ "type": "error", "error": { "type": "rate_limit_error", "message": "enforced_spend_limit_reached" } }),
        ),
        ("qwen3", 402, json!({ "error": "payment required" })),
    ];
    for (model, code, body) in caps {
        let step = Step::Status(code, vec![("retry-after", "1".to_owned())], body);
        let failure = failure(step, model, "").await;
        assert_eq!(
            (failure.code.as_str(), failure.retryable, failure.retry_after_ms),
            ("model_spend_cap", false, None),
            "{model} {code}"
        );
    }
    // Gemini says "quota" of every limit per minute.
    let minute =
        FakeWire::Gemini.error(429, "You exceeded your current quota, please check your plan and billing details.");
    assert!(failure(Step::Status(429, vec![], minute), "gemini-2.5-pro", "").await.retryable);
}

#[tokio::test]
async fn errors_inside_of_a_stream() {
    let openai = |code: &str| json!({ "type": "error", "code": code, "message": "in the middle", "param": null, "sequence_number": 2 });
    let failed = json!({ "type": "response.failed", "response": { "id": "r", "status": "failed", "model": "m",
        "error": { "code": "server_error", "message": "in the middle" }, "output": [] } });
    let cases: [(&str, Value, &str, bool); 9] = [
        (
            "claude-sonnet-4-5",
            json!({ "type": "error", "error": { "type": "overloaded_error", "message": "in the middle" } }),
            "model_overloaded",
            true,
        ),
        (
            "claude-sonnet-4-5",
            json!({ "type": "error", "error": { "type": "rate_limit_error", "message": "in the middle" } }),
            "model_rate_limited",
            true,
        ),
        (
            "claude-sonnet-4-5",
            json!({ "type": "error", "error": { "type": "invalid_request_error", "message": "in the middle" } }),
            "model_refused_request",
            false,
        ),
        ("gpt-4.1", openai("server_error"), "model_overloaded", true),
        ("gpt-4.1", openai("rate_limit_exceeded"), "model_rate_limited", true),
        ("gpt-4.1", failed, "model_overloaded", true),
        ("qwen3", json!({ "error": { "message": "in the middle", "type": "server_error" } }), "model_overloaded", true),
        (
            "gemini-2.5-pro",
            json!({ "error": { "code": 503, "message": "in the middle", "status": "UNAVAILABLE" } }),
            "model_overloaded",
            true,
        ),
        (
            "gemini-2.5-pro",
            json!({ "promptFeedback": { "blockReason": "in the middle" } }),
            "model_refused_request",
            false,
        ),
    ];
    for (model, event, code, retryable) in cases {
        let failure = failure(Step::ErrorEvent(Reply::text("Some words."), event.clone()), model, "").await;
        assert_eq!((failure.code.as_str(), failure.retryable), (code, retryable), "{model} {event}: {failure:?}");
        assert!(failure.message.contains("in the middle"), "{failure:?}");
    }
}

#[tokio::test]
async fn half_an_answer_is_none() {
    for (wire, model) in WIRES {
        let reply = || Reply::text("I read.").call("c1", "read_file", json!({ "path": "a" }));
        for step in [Step::NoEnd(reply()), Step::Garbage] {
            let failure = failure(step, model, "").await;
            assert_eq!((failure.code.as_str(), failure.retryable), ("model_stream_cut", true), "{wire:?}: {failure:?}");
        }
    }
}

/// The fake says the instructions again in every response, and they name every kind of error.
#[tokio::test]
async fn the_words_of_a_request_are_no_reason() {
    let failed =
        |error: Value| json!({ "type": "response.failed", "response": { "status": "failed", "error": error } });
    let cases = [
        (json!({ "code": "server_error", "message": "Sorry." }), "model_overloaded", true, "Sorry."),
        (json!({ "code": "invalid_prompt", "message": "No." }), "model_refused_request", false, "No."),
        (Value::Null, "model_overloaded", true, "response.failed"),
    ];
    for (error, code, retryable, words) in cases {
        let failure = failure(Step::ErrorEvent(Reply::text("a"), failed(error)), "gpt-4.1", "").await;
        assert_eq!((failure.code.as_str(), failure.retryable), (code, retryable), "{failure:?}");
        assert!(failure.message.contains(words) && !failure.message.contains("Report each"), "{failure:?}");
    }
}

#[tokio::test]
async fn silence_ends() {
    let toml = "[models_default]\nidle_timeout_secs = 1\n";
    for step in [Step::Hang, Step::Silence] {
        for (wire, model) in WIRES {
            let failure = failure(step.clone(), model, toml).await;
            assert_eq!((failure.code.as_str(), failure.retryable), ("model_timed_out", true), "{wire:?}: {failure:?}");
        }
    }
}

#[tokio::test]
async fn an_endless_answer_ends() {
    for (wire, model) in WIRES {
        let failure = failure(Step::Endless, model, "[models_default]\nmax_answer_bytes = 300000\n").await;
        assert_eq!(
            (failure.code.as_str(), failure.retryable),
            ("model_answer_too_long", false),
            "{wire:?}: {failure:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_ends_on_time_however_busy() {
    let begun = Instant::now();
    let toml = "[models_default]\nturn_timeout_secs = 1\nmax_answer_bytes = 100000000000\n";
    assert_eq!(failure(Step::Endless, "qwen3", toml).await.code, "model_timed_out");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn nobody_there() {
    let fake = FakeProvider::scripted([]).await.unwrap();
    let providers = providers(&fake, "[providers.anthropic]\nbase_url = \"http://127.0.0.1:9\"\n");
    let failure = Ask::new("claude-sonnet-4-5").turn(&providers).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retryable), ("model_unreachable", true), "{failure:?}");
}

#[tokio::test]
async fn no_key_in_any_message() {
    for (wire, model) in WIRES {
        let words = format!("Incorrect API key provided: {KEY}. {}", "x".repeat(5000));
        let failure = failure(status(wire, 401, &words), model, "").await;
        assert!(!failure.message.contains(KEY) && failure.message.contains("[key]"), "{failure:?}");
        assert!(failure.message.chars().count() < 700, "{} characters", failure.message.len());
    }
    // Wherever the words are cut off, it is not in the middle of a key.
    let most = &KEY[..KEY.len() - 1];
    for (wire, model) in WIRES {
        for before in 586..601 {
            let words = format!("{}{KEY}", "x".repeat(before));
            let failure = failure(status(wire, 401, &words), model, "").await;
            assert!(!failure.message.contains(most), "{before}: {failure:?}");
        }
    }
    let fake = FakeProvider::scripted([]).await.unwrap();
    let providers = providers(&fake, "");
    assert!(!format!("{providers:?} {}", providers.describe()).contains(KEY));
}

#[tokio::test]
async fn a_key_does_not_follow_a_redirect() {
    let other = FakeProvider::scripted([Reply::text("Caught.").into()]).await.unwrap();
    let step = Step::Status(307, vec![("location", format!("{}/chat/completions", other.openai_url()))], Value::Null);
    assert_eq!(failure(step, "qwen3", "").await.code, "model_refused_request");
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn no_answer_is_asked_for_compressed() {
    for (wire, model) in WIRES {
        let fake = FakeProvider::scripted([Reply::text("Hm.").into()]).await.unwrap();
        Ask::new(model).turn(&providers(&fake, "")).await.unwrap();
        assert_eq!(fake.requests()[0].headers.get("accept-encoding"), None, "{wire:?}");
    }
}

#[tokio::test]
async fn fallbacks_are_tried_at_once_and_in_order() {
    let toml = "[models.\"qwen3\"]\nfallbacks = [\"gpt-4.1\", \"claude-sonnet-4-5\"]\n";
    let down = |wire, words| status(wire, 503, words);
    let fake = FakeProvider::scripted([
        down(FakeWire::Chat, "first"),
        down(FakeWire::Responses, "second"),
        Reply::text("Third.").into(),
    ])
    .await
    .unwrap();
    assert_eq!(Ask::new("qwen3").turn(&providers(&fake, toml)).await.unwrap().model, "claude-sonnet-4-5");
    let wires: Vec<_> = fake.requests().iter().map(|asked| asked.wire).collect();
    assert_eq!(wires, [FakeWire::Chat, FakeWire::Responses, FakeWire::Messages]);

    let all_down =
        [down(FakeWire::Chat, "first"), down(FakeWire::Responses, "second"), down(FakeWire::Messages, "third")];
    let fake = FakeProvider::scripted(all_down).await.unwrap();
    assert!(Ask::new("qwen3").turn(&providers(&fake, toml)).await.unwrap_err().message.contains("first"));
}

#[tokio::test]
async fn one_provider_that_may_come_back_is_worth_waiting_for() {
    let toml = "[models.\"qwen3\"]\nfallbacks = [\"gpt-4.1\", \"claude-sonnet-4-5\"]\n";
    let steps = [
        status(FakeWire::Chat, 401, "first"),
        status(FakeWire::Responses, 503, "second"),
        status(FakeWire::Messages, 529, "third"),
    ];
    let fake = FakeProvider::scripted(steps).await.unwrap();
    let failure = Ask::new("qwen3").turn(&providers(&fake, toml)).await.unwrap_err();
    assert!(failure.retryable && failure.message.contains("second"), "{failure:?}");
}

/// Not even a line end comes, so that there is never an event.
#[tokio::test]
async fn an_endless_line_ends() {
    for (wire, model) in WIRES {
        let bound = failure(Step::EndlessLine, model, "").await;
        assert_eq!(bound.code, "model_answer_too_long", "{wire:?}: {bound:?}");
    }
}

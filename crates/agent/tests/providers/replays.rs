//! Earlier answers, results, pictures and signed thoughts on their way back to the model.

use domain::turns::Outcome;
use serde_json::json;
use testkit::fake_provider::{FakeProvider, FakeWire, Reply};

use super::support::{Ask, WIRES, picture, picture_of, providers};

/// Base64 of the picture's bytes.
const PIXELS: &str = "cGl4ZWxz";

fn thoughtful() -> Reply {
    let path = json!({ "path": "a" });
    Reply::text("I read.").thinking("dGhpbms").call("c1", "read_file", &path).call("c2", "read_file", &path).call(
        "c3",
        "read_file",
        &path,
    )
}

#[tokio::test]
async fn results_pictures_and_thoughts_go_back() {
    // What proves that the thoughts came back as the vendor wants them.
    let proofs = [
        "\"signature\":\"c2lnbmVk\"",
        "\"encrypted_content\":\"dGhpbms\"",
        "\"reasoning_content\":\"dGhpbms\"",
        "\"thoughtSignature\":\"dGhpbms\"",
    ];
    for ((wire, model), proof) in WIRES.into_iter().zip(proofs) {
        let model = if wire == FakeWire::Responses { "gpt-5.1" } else { model };
        let fake = FakeProvider::scripted([thoughtful().into(), Reply::text("Two.").into()]).await.unwrap();
        let providers = providers(&fake, "");
        let mut ask = Ask::new(model);
        let answer = ask.turn(&providers).await.unwrap();
        assert_eq!((answer.text.as_str(), answer.calls.len()), ("I read.", 3), "{wire:?}");
        ask.go_on(
            answer,
            [
                Outcome::Ok(json!({ "rows": 2 })),
                picture("/workspace/page.png"),
                Outcome::Error("no such file".to_owned()),
            ],
        );
        assert_eq!(ask.turn(&providers).await.unwrap().text, "Two.", "{wire:?}");
        let asked = &fake.requests()[1];
        let body = asked.body.to_string();
        assert_eq!(asked.assistant_turns, 1, "{wire:?}: {body}");
        for part in [proof, PIXELS, "no such file", "I read.", "rows"] {
            assert!(body.contains(part), "{wire:?} lost {part}: {body}");
        }
        assert_eq!(body.contains("\"is_error\":true"), wire == FakeWire::Messages, "{wire:?}");
    }
}

#[tokio::test]
async fn thoughts_stay_with_their_provider() {
    let fake = FakeProvider::scripted([]).await.unwrap();
    let providers = providers(&fake, "");
    for (wire, model) in WIRES {
        for (_, other) in WIRES.into_iter().filter(|(other, _)| *other != wire) {
            fake.then(thoughtful());
            let mut ask = Ask::new(if wire == FakeWire::Responses { "gpt-5.1" } else { model });
            let answer = ask.turn(&providers).await.unwrap();
            assert!(answer.carry.is_some(), "{wire:?}");
            ask.go_on(answer, vec![Outcome::Ok(json!("x")); 3]);
            ask.model = other.to_owned();
            fake.then(Reply::text("Two."));
            ask.turn(&providers).await.unwrap();
            let body = fake.requests().pop().unwrap().body.to_string();
            assert!(!body.contains("c2lnbmVk") && !body.contains("dGhpbms"), "{wire:?} to {other}: {body}");
        }
    }
}

#[tokio::test]
async fn thoughts_stay_with_their_model() {
    let models = ["claude-sonnet-4-6", "gpt-5", "qwen3:8b", "gemini-2.5-flash"];
    let fake = FakeProvider::scripted([]).await.unwrap();
    let providers = providers(&fake, "");
    for ((wire, model), other) in WIRES.into_iter().zip(models) {
        let model = if wire == FakeWire::Responses { "gpt-5.1" } else { model };
        for (next, back) in [(model, true), (other, false)] {
            fake.then(thoughtful());
            let mut ask = Ask::new(model);
            let answer = ask.turn(&providers).await.unwrap();
            ask.go_on(answer, vec![Outcome::Ok(json!("x")); 3]);
            ask.model = next.to_owned();
            fake.then(Reply::text("Two."));
            ask.turn(&providers).await.unwrap();
            let body = fake.requests().pop().unwrap().body.to_string();
            assert_eq!(body.contains("c2lnbmVk") || body.contains("dGhpbms"), back, "{wire:?} to {next}: {body}");
        }
    }
}

#[tokio::test]
async fn the_newest_pictures_are_shown_as_far_as_they_fit() {
    const MIB: u64 = 1024 * 1024;
    // Oldest first; in base64 they need nothing, 7, 5 and 5 of 15 MiB. What is older than the first that does not fit stays out with it.
    let outcomes = [
        picture("/workspace/unasked.png"),
        picture_of("/workspace/unasked.png", 21 * MIB / 4),
        picture_of("/workspace/new.png", 15 * MIB / 4),
        picture_of("/workspace/newest.png", 15 * MIB / 4),
    ];
    for (wire, model) in WIRES {
        let calls = Reply::text("").call("c1", "read_file", "{}").call("c2", "read_file", "{}");
        let calls = calls.call("c3", "read_file", "{}").call("c4", "read_file", "{}");
        let fake = FakeProvider::scripted([calls.into(), Reply::text("Seen.").into()]).await.unwrap();
        let providers = providers(&fake, "");
        let mut ask = Ask::new(model);
        let answer = ask.turn(&providers).await.unwrap();
        ask.go_on(answer, outcomes.clone());
        ask.turn(&providers).await.unwrap();
        let body = fake.requests()[1].body.to_string();
        let count = |part: &str| body.matches(part).count();
        assert_eq!(count("/workspace/unasked.png is left out to make room"), 2, "{wire:?}: {body}");
        assert_eq!((count("Here is the picture"), count(PIXELS)), (2, 2), "{wire:?}: {body}");
    }
}

#[tokio::test]
async fn a_picture_that_changed_is_told_in_words() {
    for (wire, model) in WIRES {
        let call = Reply::text("").call("c1", "read_file", "{}");
        let fake = FakeProvider::scripted([call.into(), Reply::text("Gone.").into()]).await.unwrap();
        let providers = providers(&fake, "");
        let mut ask = Ask::new(model);
        let answer = ask.turn(&providers).await.unwrap();
        ask.go_on(answer, [picture("/workspace/gone.png")]);
        ask.turn(&providers).await.unwrap();
        let body = fake.requests()[1].body.to_string();
        assert!(
            body.contains("/workspace/gone.png has been changed or deleted") && !body.contains(PIXELS),
            "{wire:?}: {body}"
        );
    }
}

#[tokio::test]
async fn a_run_can_change_from_any_provider_to_any_other() {
    for (wire, model) in WIRES {
        for (_, other) in WIRES {
            // Gemini gives no id, others some that Anthropic would not take.
            let id = if wire == FakeWire::Gemini { "" } else { "call.1" };
            let id = if wire == FakeWire::Messages { "toolu_1" } else { id };
            let call = Reply::text("").call(id, "read_file", "{}");
            let fake = FakeProvider::scripted([call.into(), Reply::text("Done.").into()]).await.unwrap();
            let providers = providers(&fake, "");
            let mut ask = Ask::new(model);
            let answer = ask.turn(&providers).await.unwrap();
            ask.go_on(answer, [Outcome::Unknown]);
            ask.model = other.to_owned();
            assert_eq!(ask.turn(&providers).await.unwrap().text, "Done.", "{wire:?} to {other}");
        }
    }
}

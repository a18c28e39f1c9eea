//! What goes over each wire, and what comes back whole.

use domain::builds::{Part, SeedTurn, Speaker};
use domain::turns::{Line, Outcome, Stop, Usage};
use serde_json::json;
use testkit::fake_provider::{FakeProvider, FakeStop, FakeWire, Reply};

use super::support::{Ask, KEY, WIRES, providers};

#[tokio::test]
async fn a_plain_answer() {
    for (wire, model) in WIRES {
        let fake = FakeProvider::scripted([Reply::text("Three invoices, über 40 €.").into()]).await.unwrap();
        let answer = Ask::new(model).turn(&providers(&fake, "")).await.unwrap();
        assert_eq!(answer.text, "Three invoices, über 40 €.", "{wire:?}");
        assert_eq!((answer.stop, answer.calls.len(), answer.model.as_str()), (Stop::Done, 0, model), "{wire:?}");
        let usage = Usage { input_tokens: 120, output_tokens: 30, cached_tokens: 20, cost_micro_usd: None };
        assert_eq!(answer.usage, usage, "{wire:?}");
        assert_eq!(fake.requests()[0].wire, wire);
    }
}

#[tokio::test]
async fn parallel_tool_calls_in_small_pieces() {
    for (wire, model) in WIRES {
        let reply = Reply::text("I look.")
            .call("call_a", "read_file", json!({ "path": "/workspace/a ü.txt" }))
            .call("call_b", "read_file", json!({ "path": "b", "deep": { "n": [1, 2.5, null] } }))
            .call("call_c", "list_files", "{}")
            .piece(1);
        let fake = FakeProvider::scripted([reply.into()]).await.unwrap();
        let answer = Ask::new(model).turn(&providers(&fake, "")).await.unwrap();
        let calls: Vec<_> =
            answer.calls.iter().map(|call| (call.id.as_str(), call.name.as_str(), json!(call.arguments))).collect();
        let expected = [
            ("call_a", "read_file", json!({ "path": "/workspace/a ü.txt" })),
            ("call_b", "read_file", json!({ "path": "b", "deep": { "n": [1, 2.5, null] } })),
            ("call_c", "list_files", json!({})),
        ];
        assert_eq!(calls, expected, "{wire:?}");
        assert_eq!(answer.stop, Stop::Done, "{wire:?}");
    }
}

#[tokio::test]
async fn ids_are_unique_in_an_answer_and_in_the_run() {
    for (wire, model) in WIRES {
        let reply = || {
            Reply::text("").call("call_0", "read_file", "{}").call("call_0", "read_file", "{}").call(
                "",
                "read_file",
                "{}",
            )
        };
        // Anthropic itself never sends an empty id.
        let reply = || {
            if wire == FakeWire::Messages { Reply { calls: reply().calls[..2].to_vec(), ..reply() } } else { reply() }
        };
        let fake = FakeProvider::scripted([reply().into(), reply().into(), Reply::text("Done.").into()]).await.unwrap();
        let providers = providers(&fake, "");
        let mut ask = Ask::new(model);
        let mut ids = Vec::new();
        for _ in 0..2 {
            let answer = ask.turn(&providers).await.unwrap();
            ids.extend(answer.calls.iter().map(|call| call.id.clone()));
            ask.go_on(answer, vec![Outcome::Ok(json!("x")); 3]);
        }
        assert_eq!(ask.turn(&providers).await.unwrap().text, "Done.", "{wire:?}");
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all, "{wire:?}: {ids:?}");
    }
}

#[tokio::test]
async fn how_a_model_stops() {
    for (wire, model) in WIRES {
        let steps = [FakeStop::Length, FakeStop::Refused].map(|stop| Reply::text("I cannot go on.").stop(stop).into());
        let fake = FakeProvider::scripted(steps).await.unwrap();
        let providers = providers(&fake, "");
        for stop in [Stop::Length, Stop::Refused] {
            let answer = Ask::new(model).turn(&providers).await.unwrap();
            assert_eq!((answer.stop, answer.text.as_str()), (stop, "I cannot go on."), "{wire:?}");
        }
    }
}

#[tokio::test]
async fn keys_and_the_long_context_are_headers() {
    let headers = [
        ("x-api-key", KEY),
        ("authorization", "Bearer sk-very-secret"),
        ("authorization", "Bearer sk-very-secret"),
        ("x-goog-api-key", KEY),
    ];
    for ((wire, model), (name, value)) in WIRES.into_iter().zip(headers) {
        let fake = FakeProvider::scripted([Reply::text("Hm.").into(), Reply::text("Hm.").into()]).await.unwrap();
        let providers = providers(&fake, "");
        for model in [model.to_owned(), format!("{model}[1m]")] {
            Ask::new(&model).turn(&providers).await.unwrap();
        }
        let beta: Vec<_> = fake.requests().iter().map(|asked| asked.headers.get("anthropic-beta").cloned()).collect();
        let expected = (wire == FakeWire::Messages).then(|| "context-1m-2025-08-07".to_owned());
        assert_eq!(beta, [None, expected], "{wire:?}");
        assert!(fake.requests().iter().all(|asked| asked.model == model), "{wire:?}");
        assert_eq!(fake.requests()[0].headers[name], value, "{wire:?}");
    }
}

#[tokio::test]
async fn the_opening_of_a_build_arrives_in_order() {
    let image = |url: &str| Part::InputImage { detail: None, file_id: None, url: Some(url.to_owned()) };
    let text = |text: &str| Part::InputText { text: text.to_owned() };
    let seed = vec![
        SeedTurn {
            role: Speaker::User,
            parts: vec![
                text("Look at this:"),
                image("data:image/png;base64,cGl4"),
                image("https://pics.example/a.webp"),
            ],
        },
        SeedTurn { role: Speaker::Assistant, parts: vec![text("I see.")] },
    ];
    for (wire, model) in WIRES {
        let fake = FakeProvider::scripted([Reply::text("Hm.").into()]).await.unwrap();
        Ask { seed: seed.clone(), ..Ask::new(model) }.turn(&providers(&fake, "")).await.unwrap();
        let body = fake.requests()[0].body.to_string();
        let places: Vec<_> = ["Look at this:", "cGl4", "https://pics.example/a.webp", "I see.", "Count the invoices."]
            .iter()
            .map(|part| body.find(part).unwrap_or_else(|| panic!("{wire:?} lost {part}: {body}")))
            .collect();
        assert!(places.is_sorted(), "{wire:?}: {places:?}");
    }
}

#[tokio::test]
async fn somebody_always_speaks_first() {
    for (wire, model) in WIRES {
        let fake = FakeProvider::scripted([Reply::text("Hm.").into()]).await.unwrap();
        let ask = Ask { lines: Vec::new(), tools: Vec::new(), ..Ask::new(model) };
        assert_eq!(ask.turn(&providers(&fake, "")).await.unwrap().text, "Hm.", "{wire:?}");
    }
}

#[tokio::test]
async fn a_person_has_the_last_word() {
    let said = |role, text: &str| SeedTurn { role, parts: vec![Part::InputText { text: text.to_owned() }] };
    let seed = vec![said(Speaker::User, "Look."), said(Speaker::Assistant, "I see.")];
    for (wire, model) in WIRES {
        let model = if wire == FakeWire::Messages { "claude-opus-4-7" } else { model };
        let fake = FakeProvider::scripted([Reply::text("Hm.").into()]).await.unwrap();
        let ask = Ask { lines: Vec::new(), seed: seed.clone(), ..Ask::new(model) };
        assert_eq!(ask.turn(&providers(&fake, "")).await.unwrap().text, "Hm.", "{wire:?}");
        let body = fake.requests()[0].body.to_string();
        assert!(body.find("Begin.") > body.find("I see."), "{wire:?}: {body}");
    }
}

#[tokio::test]
async fn blank_texts_are_not_sent() {
    let blank = Part::InputText { text: " ".to_owned() };
    let text = |text: &str| Part::InputText { text: text.to_owned() };
    let seed = vec![
        SeedTurn { role: Speaker::User, parts: vec![blank.clone(), text("Look.")] },
        SeedTurn { role: Speaker::Assistant, parts: vec![blank] },
    ];
    for (wire, model) in WIRES {
        let fake = FakeProvider::scripted([Reply::text(" \n").call("c1", "read_file", "{}").into()]).await.unwrap();
        let providers = providers(&fake, "");
        let mut ask = Ask { lines: vec![Line::User("\t\n ".to_owned())], seed: seed.clone(), ..Ask::new(model) };
        let answer = ask.turn(&providers).await.unwrap();
        ask.go_on(answer, [Outcome::Ok(json!("  "))]);
        ask.lines.push(Line::User("Go on.".to_owned()));
        ask.lines.push(Line::Assistant { text: "\n".to_owned(), calls: Vec::new(), carry: None });
        fake.then(Reply::text("Hm."));
        assert_eq!(ask.turn(&providers).await.unwrap().text, "Hm.", "{wire:?}");
        let asked = &fake.requests()[1];
        assert_eq!(asked.assistant_turns, 1, "{wire:?}: only the answer with a call: {}", asked.body);
        assert!(asked.body.to_string().contains("(empty message)"), "{wire:?}: {}", asked.body);
    }
}

#[tokio::test]
async fn two_messages_in_a_row_are_one_turn() {
    for (wire, model) in WIRES {
        let fake = FakeProvider::scripted([Reply::text("Hm.").into()]).await.unwrap();
        let mut ask = Ask::new(model);
        ask.lines.push(Line::User("And quickly.".to_owned()));
        ask.turn(&providers(&fake, "")).await.unwrap();
        let body = &fake.requests()[0].body;
        let users = body.to_string().matches("\"role\":\"user\"").count();
        assert_eq!(users, 1, "{wire:?}: {body}");
        assert!(body.to_string().contains("And quickly."), "{wire:?}");
    }
}

//! A Build's settings of a model call: what arrives, and what is left out and said.

use agent::models::Model as _;
use domain::builds::{Detail, Part, Sampling, SeedTurn, Speaker};
use serde_json::{Value, json};
use testkit::fake_provider::{FakeProvider, FakeWire, Reply};

use super::support::{Ask, WIRES, providers};

/// Temperature and top_p as a Build sets them.
type Knobs = (Option<f64>, Option<f64>);

/// A model, what the Build sets, whether each arrives, and what is said about the rest.
type Case = (&'static str, Knobs, (bool, bool), &'static [&'static str]);

#[tokio::test]
async fn the_settings_of_a_build_arrive() {
    let sampling =
        Sampling { temperature: Some(1.5), top_p: Some(0.9), max_output_tokens: Some(77), store: Some(true) };
    let expected: [&[(&str, Value)]; 4] = [
        &[("/temperature", json!(1.0)), ("/max_tokens", json!(77))],
        &[
            ("/temperature", json!(1.5)),
            ("/top_p", json!(0.9)),
            ("/max_output_tokens", json!(77)),
            ("/store", json!(true)),
            ("/text/format/type", json!("json_object")),
        ],
        &[("/temperature", json!(1.5)), ("/top_p", json!(0.9)), ("/max_tokens", json!(77)), ("/store", json!(true))],
        &[
            ("/generationConfig/temperature", json!(1.5)),
            ("/generationConfig/topP", json!(0.9)),
            ("/generationConfig/maxOutputTokens", json!(77)),
        ],
    ];
    for ((wire, model), fields) in WIRES.into_iter().zip(expected) {
        let fake = FakeProvider::scripted([Reply::text("{}").into()]).await.unwrap();
        let ask = Ask { sampling, json_object: true, ..Ask::new(model) };
        ask.turn(&providers(&fake, "")).await.unwrap();
        let asked = &fake.requests()[0];
        for (pointer, value) in fields {
            assert_eq!(asked.body.pointer(pointer), Some(value), "{wire:?} {pointer}: {}", asked.body);
        }
        assert!(asked.body.to_string().contains("JSON object"), "{wire:?}: the rule is said in words too");
        assert!(asked.body.to_string().contains("You are careful."), "{wire:?}");
        assert_eq!(asked.model, model);
    }
}

#[tokio::test]
async fn what_a_build_leaves_open_is_left_to_the_provider() {
    for (wire, model) in WIRES {
        let fake = FakeProvider::scripted([Reply::text("Hm.").into()]).await.unwrap();
        Ask::new(model).turn(&providers(&fake, "")).await.unwrap();
        let body = &fake.requests()[0].body;
        for key in [
            "temperature",
            "top_p",
            "response_format",
            "text",
            "max_output_tokens",
            "generationConfig",
            "reasoning",
            "thinking",
        ] {
            assert!(body.get(key).is_none(), "{wire:?} sets {key}");
        }
        // The one wire that insists gets the documented maximum of the model.
        assert_eq!(body["max_tokens"].as_u64(), (wire == FakeWire::Messages).then_some(64_000));
    }
}

#[tokio::test]
async fn reasoning_models_keep_their_own_temperature_and_their_names() {
    let fake = FakeProvider::scripted([Reply::text("Hm.").into()]).await.unwrap();
    let sampling = Sampling { temperature: Some(0.2), ..Sampling::default() };
    Ask { sampling, ..Ask::new("gpt-5.1-codex-max") }.turn(&providers(&fake, "")).await.unwrap();
    let body = &fake.requests()[0].body;
    assert_eq!(body["model"], "gpt-5.1-codex-max");
    assert!(body.get("temperature").is_none());
    assert_eq!((body.get("reasoning"), &body["include"]), (None, &json!(["reasoning.encrypted_content"])));
}

#[tokio::test]
async fn a_setting_that_a_model_refuses_is_left_out_and_said() {
    let both = (Some(0.2), Some(0.9));
    let cases: [Case; 11] = [
        ("claude-sonnet-4-20250514", both, (true, true), &[]),
        ("claude-opus-4-1-20250805", both, (true, false), &["top_p 0.9"]),
        ("d1-max", both, (true, false), &["top_p 0.9"]),
        ("claude-sonnet-4-5", (None, Some(0.9)), (false, true), &[]),
        ("claude-sonnet-4-5", (Some(0.2), Some(1.0)), (true, false), &[]),
        ("claude-opus-4-7[1m]", both, (false, false), &["temperature 0.2", "top_p 0.9"]),
        ("claude-opus-5", (None, Some(0.9)), (false, false), &["top_p 0.9"]),
        ("gpt-5.1-codex-max", both, (false, false), &["temperature 0.2", "top_p 0.9"]),
        ("gpt-4.1", both, (true, true), &[]),
        ("qwen3", both, (true, true), &[]),
        ("gemini-2.5-pro", both, (true, true), &[]),
    ];
    for (model, (temperature, top_p), sent, notes) in cases {
        let fake = FakeProvider::scripted([Reply::text("Hm.").into()]).await.unwrap();
        let providers = providers(&fake, "");
        let sampling = Sampling { temperature, top_p, ..Sampling::default() };
        Ask { sampling, ..Ask::new(model) }.turn(&providers).await.unwrap();
        let body = &fake.requests()[0].body;
        let body = body.get("generationConfig").unwrap_or(body);
        let top_p = body.get("top_p").or(body.get("topP"));
        assert_eq!((body.get("temperature").is_some(), top_p.is_some()), sent, "{model}: {body}");
        let said = providers.notes(model, &sampling);
        assert_eq!(said.len(), notes.len(), "{model}: {said:?}");
        assert!(said.iter().zip(notes).all(|(said, note)| said.contains(note)), "{model}: {said:?}");
    }
}

#[tokio::test]
async fn what_no_provider_can_do_with_store_is_said() {
    let fake = FakeProvider::scripted([]).await.unwrap();
    let providers = providers(&fake, "");
    for (wire, model) in WIRES {
        let notes = |store| providers.notes(model, &Sampling { store: Some(store), ..Sampling::default() }).len();
        let expected = usize::from(matches!(wire, FakeWire::Messages | FakeWire::Gemini));
        assert_eq!((notes(true), notes(false)), (expected, 0), "{wire:?}");
    }
}

#[tokio::test]
async fn only_openai_is_told_json_beside_tools() {
    let toml = "[models.\"gpt-4.1\"]\nwire = \"chat\"\n[models.\"gpt-4o\"]\nprovider = \"compatible\"\n[providers.compatible]\n\
        api_key = \"k\"\nbase_url = ";
    for (model, with_tools) in [("gpt-4.1", true), ("gpt-4o", false), ("qwen3", false)] {
        let fake = FakeProvider::with(|_| Reply::text("{}")).await.unwrap();
        let providers = providers(&fake, &format!("{toml}\"{}\"", fake.openai_url()));
        let with = Ask { json_object: true, ..Ask::new(model) };
        with.turn(&providers).await.unwrap();
        Ask { tools: Vec::new(), json_object: true, ..Ask::new(model) }.turn(&providers).await.unwrap();
        let set: Vec<_> = fake.requests().iter().map(|asked| asked.body.get("response_format").is_some()).collect();
        assert_eq!(set, [with_tools, true], "{model}");
        assert!(fake.requests()[0].body.to_string().contains("one JSON object"), "{model}: the rule is said in words");
    }
}

#[tokio::test]
async fn how_closely_to_look_arrives() {
    let image = |detail| Part::InputImage { detail, file_id: None, url: Some("https://pics.example/a.png".to_owned()) };
    let seed = vec![SeedTurn { role: Speaker::User, parts: vec![image(Some(Detail::Low)), image(None)] }];
    let details = [
        ("gpt-4.1", ["/input/0/content/0/detail", "/input/0/content/1/detail"], [Some("low"), Some("auto")]),
        (
            "qwen3",
            ["/messages/1/content/0/image_url/detail", "/messages/1/content/1/image_url/detail"],
            [Some("low"), None],
        ),
    ];
    for (model, places, expected) in details {
        let fake = FakeProvider::scripted([Reply::text("Hm.").into()]).await.unwrap();
        Ask { seed: seed.clone(), ..Ask::new(model) }.turn(&providers(&fake, "")).await.unwrap();
        let body = &fake.requests()[0].body;
        assert_eq!(places.map(|place| body.pointer(place).and_then(Value::as_str)), expected, "{model}: {body}");
    }
}

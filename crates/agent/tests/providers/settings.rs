//! `errand.toml` and the environment, and where a name leads because of them.

use agent::models::Model as _;
use agent::providers::Providers;
use agent::recorded::{RecordedModel, Recording};
use agent::settings::{ModelSettings, Origin, Service, SettingsError};
use serde_json::json;
use testkit::fake_provider::{FakeProvider, FakeWire, Reply};

use super::support::{Ask, providers};

fn read(toml: &str, env: &[(&str, &str)]) -> Result<ModelSettings, SettingsError> {
    let env = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    ModelSettings::read(&toml.parse().unwrap(), "errand.toml", &env)
}

#[test]
fn the_environment_is_read_as_the_vendors_do() {
    let settings = read(
        "",
        &[("ANTHROPIC_API_KEY", "a"), ("OPENAI_API_KEY", " "), ("GEMINI_API_KEY", "g"), ("GOOGLE_API_KEY", "wins")],
    )
    .unwrap();
    let known: Vec<_> = settings
        .services
        .iter()
        .map(|(service, at)| (*service, at.base_url.as_str(), at.key.as_ref().unwrap().expose()))
        .collect();
    let expected = [
        (Service::Anthropic, "https://api.anthropic.com", "a"),
        (Service::Gemini, "https://generativelanguage.googleapis.com", "wins"),
    ];
    assert_eq!(known, expected, "an empty variable is none");
    let local =
        read("", &[("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1/"), ("GEMINI_BASE_URL", "http://g.example/v1beta/")])
            .unwrap();
    assert_eq!(local.services[&Service::OpenAi].base_url, "http://127.0.0.1:8000/v1");
    assert_eq!(local.services[&Service::OpenAi].key, None);
    assert_eq!(local.services[&Service::Gemini].base_url, "http://g.example");
}

#[test]
fn the_file_wins_value_by_value() {
    let toml =
        "[providers.anthropic]\nbase_url = \"https://proxy.example\"\n[providers.openai]\napi_key_env = \"MINE\"\n";
    let env = [
        ("ANTHROPIC_API_KEY", "a"),
        ("ANTHROPIC_BASE_URL", "https://other.example"),
        ("OPENAI_API_KEY", "o"),
        ("MINE", "mine"),
    ];
    let settings = read(toml, &env).unwrap();
    let anthropic = &settings.services[&Service::Anthropic];
    assert_eq!((anthropic.base_url.as_str(), anthropic.origin), ("https://proxy.example", Origin::File));
    assert_eq!(anthropic.key.as_ref().unwrap().expose(), "a");
    assert_eq!(settings.services[&Service::OpenAi].key.as_ref().unwrap().expose(), "mine");
}

#[test]
fn mistakes_are_named_with_file_and_key() {
    let mistakes = [
        ("[providers.anthropic]\nbase = \"x\"", "providers.anthropic.base"),
        ("[providers.mistral]\napi_key = \"x\"", "providers"),
        ("[providers.gemini]\nwire = \"chat\"", "providers.gemini.wire"),
        ("[providers.openai]\nwire = \"grpc\"", "providers.openai.wire"),
        ("[providers.openai]\nbase_url = \"ftp://x\"", "providers.openai.base_url"),
        ("[providers.compatible]\napi_key = \"x\"", "providers.compatible.base_url"),
        ("[providers.openai]\napi_key_env = \"NOT_SET\"", "providers.openai.api_key_env"),
        ("[providers.openai]\napi_key_env = \"A\"\napi_key = \"b\"", "providers.openai.api_key_env"),
        ("[models.\"a\"]\ninput_price = \"dear\"", "models.a.input_price"),
        ("[models_default]\nretries = 3", "models_default.retries"),
        ("[models_default]\nidle_timeout_secs = 0", "models_default.idle_timeout_secs"),
        ("[models.\"a\"]\noutput_price = -1.0", "models.a"),
        ("[models.\"a\"]\nfallbacks = [\"b\", \"a\"]", "models.a.fallbacks"),
    ];
    for (toml, key) in mistakes {
        let error = read(toml, &[]).unwrap_err();
        assert!(error.key.starts_with(key), "{toml}: {error}");
        assert!(error.to_string().starts_with("errand.toml: "), "{error}");
    }
}

#[test]
fn a_reasoning_model_may_be_silent_for_minutes() {
    let defaults = read("", &[]).unwrap().defaults;
    assert_eq!((defaults.idle_timeout_secs, defaults.turn_timeout_secs), (600, 1200));
}

#[tokio::test]
async fn names_lead_where_the_operator_says() {
    let toml = r#"
        [providers.compatible]
        base_url = "BASE"
        api_key = "own"
        [models."claude-sonnet-4-5"]
        use = "qwen3"
        [models."gpt-4.1"]
        wire = "chat"
        [models."gemini-2.5-pro"]
        provider = "compatible"
        wire = "responses"
    "#;
    let fake = FakeProvider::with(|_| Reply::text("Yes.")).await.unwrap();
    let providers = providers(&fake, &toml.replace("BASE", &fake.openai_url()));
    let paths = [
        ("claude-sonnet-4-5", FakeWire::Chat, "qwen3", "Bearer own"),
        ("claude-sonnet-4-5[1m]", FakeWire::Chat, "qwen3", "Bearer own"),
        ("gpt-4.1", FakeWire::Chat, "gpt-4.1", "Bearer sk-very-secret"),
        ("gemini-2.5-pro", FakeWire::Responses, "gemini-2.5-pro", "Bearer own"),
        ("org/model:8b", FakeWire::Chat, "org/model:8b", "Bearer own"),
    ];
    for (name, wire, model, key) in paths {
        Ask::new(name).turn(&providers).await.unwrap();
        let asked = fake.requests().pop().unwrap();
        assert_eq!(
            (asked.wire, asked.model.as_str(), asked.headers["authorization"].as_str()),
            (wire, model, key),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_product_name_is_a_real_model() {
    let fake = FakeProvider::with(|_| Reply::text("Yes.")).await.unwrap();
    Ask::new("duvo-1-max-sonnet-4.5-1m").turn(&providers(&fake, "")).await.unwrap();
    let asked = fake.requests().pop().unwrap();
    assert_eq!((asked.wire, asked.model.as_str()), (FakeWire::Messages, "claude-sonnet-4-5-20250929"));
    assert!(asked.headers.contains_key("anthropic-beta"));
}

#[tokio::test]
async fn tokens_cost_what_the_operator_says() {
    let toml = "[models.\"qwen3\"]\ninput_price = 3.0\noutput_price = 15\ncached_price = 0.3\n";
    let fake = FakeProvider::with(|_| Reply::text("Yes.")).await.unwrap();
    let answer = Ask::new("qwen3").turn(&providers(&fake, toml)).await.unwrap();
    // 100 fresh at 3, 20 cached at 0.3, 30 written at 15.
    assert_eq!(answer.usage.cost_micro_usd, Some(300 + 6 + 450));
}

#[tokio::test]
async fn without_a_provider_a_turn_says_how_to_get_one() {
    let none = Providers::new(ModelSettings::default()).unwrap();
    assert!(none.is_empty());
    let failure = Ask::new("d1-max").turn(&none).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retryable), ("no_model", false));
    for part in ["d1-max", "anthropic", "ANTHROPIC_API_KEY", "errand.toml", "Ollama"] {
        assert!(failure.message.contains(part), "{failure:?}");
    }
}

#[tokio::test]
async fn a_recording_answers_only_what_it_knows() {
    let file = json!({ "format": "errand-recording-1", "about": "A count", "model": "claude-sonnet-4-5", "turns": [
        { "turn": 1, "people": [], "reply": { "text": "I read.", "calls": [{ "name": "read_file", "arguments": { "path": "a" } }], "stop": "done",
          "usage": { "input_tokens": 1, "output_tokens": 2 } } },
        { "turn": 2, "people": ["yes"], "reply": { "text": "Done.", "stop": "done" } } ] });
    let recording: Recording = serde_json::from_value(file).unwrap();
    let model = RecordedModel::new(recording);
    let people = ["yes".to_owned()];
    for (turn, people, expected) in [
        (1, &people[..0], Some("I read.")),
        (2, &people[..], Some("Done.")),
        (2, &people[..0], None),
        (3, &people[..], None),
    ] {
        let ask = Ask { turn, ..Ask::new("any") };
        match (model.turn(ask.request(people)).await, expected) {
            (Ok(answer), Some(text)) => assert_eq!(answer.text, text),
            (Err(failure), None) => {
                assert_eq!((failure.code.as_str(), failure.retryable), ("no_recorded_turn", false));
                assert!(failure.message.contains(&format!("turn {turn}")), "{failure:?}");
            }
            (got, _) => panic!("turn {turn} after {people:?}: {got:?}"),
        }
    }
    let newer = json!({ "format": "errand-recording-2", "model": "m", "turns": [] });
    assert!(serde_json::from_value::<Recording>(newer).is_err());
}

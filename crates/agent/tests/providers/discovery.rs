//! Which model is taken when nobody named one.

use agent::discover::discover;
use agent::settings::ModelSettings;
use serde_json::json;
use testkit::fake_provider::{Asked, FakeProvider, FakeWire, Reply, Step};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::support::Ask;

/// A server that answers everybody with the same bytes.
async fn parrot(bytes: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _gone = stream.write_all(bytes.as_bytes()).await;
        }
    });
    port
}

/// A local server: its test question is not streamed.
async fn local_server() -> FakeProvider {
    let rule = |asked: &Asked| match asked.body["stream"].as_bool() {
        Some(true) => Step::Answer(Reply::text("Streamed.")),
        _ => Step::Status(
            200,
            Vec::new(),
            json!({ "choices": [{ "index": 0, "message": { "role": "assistant", "content": "yes" } }] }),
        ),
    };
    FakeProvider::start(([127, 0, 0, 1], 0).into(), testkit::fake_provider::Behaviour::Rule(Box::new(rule)))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_local_server_answers_every_name() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let odd = parrot("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n<html>hi!").await;
    let web = parrot("no http at all\r\n\r\n").await;
    let fake = local_server().await;
    let ports = [
        (9, "nobody"),
        (silent.local_addr().unwrap().port(), "silent"),
        (odd, "odd"),
        (web, "web"),
        (fake.address().port(), "Ollama"),
    ];
    let found = discover(ModelSettings::default(), &ports, None).await.unwrap();
    let base = fake.openai_url();
    assert!(
        found.said.contains("\"fake-model\"") && found.said.contains(&base) && found.said.contains("Ollama"),
        "{}",
        found.said
    );
    assert_eq!(found.said.matches("Passed over").count(), 3, "{}", found.said);
    let probe = &fake.requests()[0];
    assert_eq!((&probe.body["max_tokens"], &probe.body["model"]), (&json!(8), &json!("fake-model")));

    for name in ["d1-max", "gpt-4.1", "gemini-2.5-pro", "qwen3"] {
        let answer = Ask::new(name).turn(&found.providers).await.unwrap();
        assert_eq!((answer.text.as_str(), answer.model.as_str()), ("Streamed.", "fake-model"), "{name}");
    }
    assert!(fake.requests().iter().all(|asked| asked.wire == FakeWire::Chat));
}

#[tokio::test]
async fn the_first_of_four_models_that_answers_is_taken() {
    let rule = |asked: &Asked| match asked.model.as_str() {
        "fake-model-late" => Step::Status(200, Vec::new(), json!({ "choices": [{ "message": { "content": "yes" } }] })),
        _ => Step::Status(400, Vec::new(), json!({ "error": "does not support chat" })),
    };
    let behaviour = testkit::fake_provider::Behaviour::Rule(Box::new(rule));
    let fake = FakeProvider::start(([127, 0, 0, 1], 0).into(), behaviour).await.unwrap();
    let ports = [(fake.address().port(), "Ollama")];
    fake.list(&["fake-model-Embed", "fake-model-a", "fake-model-b", "fake-model-late"]);
    let found = discover(ModelSettings::default(), &ports, None).await.unwrap();
    assert!(found.said.contains("\"fake-model-late\""), "{}", found.said);
    let tried: Vec<_> = fake.requests().into_iter().map(|asked| asked.model).collect();
    assert_eq!(tried, ["fake-model-a", "fake-model-b", "fake-model-late"]);

    // A name is only a hint: where there is nothing else it is tried. And a long list is not gone through.
    fake.list(&["fake-model-a", "fake-model-b", "fake-model-c", "fake-model-embed", "fake-model-late"]);
    assert!(!discover(ModelSettings::default(), &ports, None).await.unwrap().providers.is_empty());
    fake.list(&["fake-model-a", "fake-model-b", "fake-model-c", "fake-model-d", "fake-model-late"]);
    let found = discover(ModelSettings::default(), &ports, None).await.unwrap();
    assert!(found.providers.is_empty() && !found.said.contains("late"), "{}", found.said);
    fake.list(&["fake-model-embed"]);
    discover(ModelSettings::default(), &ports, None).await.unwrap();
    assert_eq!(fake.requests().last().unwrap().model, "fake-model-embed");
}

#[tokio::test]
async fn our_own_port_is_not_a_model() {
    let fake = local_server().await;
    let port = fake.address().port();
    let found = discover(ModelSettings::default(), &[(port, "Ollama")], Some(port)).await.unwrap();
    assert!(found.providers.is_empty() && found.said.starts_with("No model"), "{}", found.said);
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn a_server_whose_model_fails_is_passed_over() {
    let fake = FakeProvider::scripted([]).await.unwrap();
    let found = discover(ModelSettings::default(), &[(fake.address().port(), "Ollama")], None).await.unwrap();
    assert!(found.providers.is_empty() && found.said.contains("gave no answer to a test question"), "{}", found.said);
}

#[tokio::test]
async fn who_has_a_provider_is_not_looked_for() {
    let fake = local_server().await;
    let env = |name: &str| (name == "ANTHROPIC_API_KEY").then(|| "sk-very-secret".to_owned());
    let from_env = ModelSettings::read(&toml::Table::new(), "errand.toml", &env).unwrap();
    let found = discover(from_env, &[(fake.address().port(), "Ollama")], None).await.unwrap();
    assert_eq!(found.said, "Models from the environment: anthropic at https://api.anthropic.com.");
    let table = "[providers.compatible]\nbase_url = \"http://me:pw@10.0.0.1/v1\"".parse().unwrap();
    let from_file = ModelSettings::read(&table, "errand.toml", &|_| None).unwrap();
    let found = discover(from_file, &[(fake.address().port(), "Ollama")], None).await.unwrap();
    assert_eq!(found.said, "Models from errand.toml: compatible at http://10.0.0.1/v1, without a key.");
    assert!(fake.requests().is_empty());
}

//! A question to a model, and providers that lead to the fake.

use std::collections::HashMap;
use std::net::SocketAddr;

use agent::models::{Answer, Model as _, Pictures, TurnRequest};
use agent::providers::Providers;
use agent::settings::ModelSettings;
use domain::builds::{Sampling, SeedTurn};
use domain::runs::ModelFailure;
use domain::turns::{ImageRef, Line, Outcome, Replay, ToolCall, ToolSpec};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use serde_json::json;
use testkit::fake_provider::{FakeProvider, FakeWire};
use uuid::Uuid;

/// A wire, and a model whose name leads to it.
pub(crate) const WIRES: [(FakeWire, &str); 4] = [
    (FakeWire::Messages, "claude-sonnet-4-5"),
    (FakeWire::Responses, "gpt-4.1"),
    (FakeWire::Chat, "qwen3"),
    (FakeWire::Gemini, "gemini-2.5-pro"),
];

/// The key in every request of these tests.
pub(crate) const KEY: &str = "sk-very-secret";

/// What is asked; tests change what they are about.
pub(crate) struct Ask {
    pub(crate) model: String,
    pub(crate) seed: Vec<SeedTurn>,
    pub(crate) lines: Vec<Line>,
    pub(crate) tools: Vec<ToolSpec>,
    pub(crate) sampling: Sampling,
    pub(crate) json_object: bool,
    pub(crate) turn: u32,
}

/// Every picture has the same bytes, but for one that is gone and one that nobody may ask for.
struct Album;

impl Pictures for Album {
    fn load(&self, image: &ImageRef) -> BoxFuture<'static, Option<Vec<u8>>> {
        assert_ne!(image.path, "/workspace/unasked.png", "a picture that is not shown was read");
        let bytes = (image.path != "/workspace/gone.png").then(|| b"pixels".to_vec());
        ready(bytes).boxed()
    }
}

impl Ask {
    pub(crate) fn new(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            seed: Vec::new(),
            lines: vec![Line::User("Count the invoices.".to_owned())],
            tools: vec![ToolSpec {
                name: "read_file".into(),
                description: "Reads a file.".into(),
                parameters: json!({ "type": "object", "properties": { "path": { "type": "string" } }, "required": ["path"] }),
            }],
            sampling: Sampling::default(),
            json_object: false,
            turn: 1,
        }
    }

    pub(crate) async fn turn(&self, providers: &Providers) -> Result<Answer, ModelFailure> {
        providers.turn(self.request(&[])).await
    }

    pub(crate) fn request<'a>(&'a self, people: &'a [String]) -> TurnRequest<'a> {
        TurnRequest {
            model: &self.model,
            instructions: "You are careful.",
            seed: &self.seed,
            lines: &self.lines,
            tools: &self.tools,
            sampling: &self.sampling,
            json_object: self.json_object,
            turn: self.turn,
            people,
            pictures: &Album,
        }
    }

    /// Takes the answer into the conversation and goes on to the next turn with these outcomes of its calls.
    pub(crate) fn go_on(&mut self, answer: Answer, outcomes: impl IntoIterator<Item = Outcome>) {
        let calls = answer.calls.into_iter().map(|call| ToolCall {
            id: call.id,
            key: Uuid::nil(),
            name: call.name,
            arguments: call.arguments,
            replay: Replay::Safe,
            target: None,
        });
        let calls: Vec<_> = calls.collect();
        let results = calls.iter().zip(outcomes);
        let results: Vec<_> = results
            .map(|(call, outcome)| Line::ToolResult { call_id: call.id.clone(), name: call.name.clone(), outcome })
            .collect();
        self.lines.push(Line::Assistant { text: answer.text, calls, carry: answer.carry });
        self.lines.extend(results);
        self.turn += 1;
    }
}

pub(crate) fn picture(path: &str) -> Outcome {
    picture_of(path, 6)
}

/// A picture that is said to be as large as this.
pub(crate) fn picture_of(path: &str, size_bytes: u64) -> Outcome {
    let (media_type, sha256) = ("image/png".to_owned(), String::new());
    Outcome::Image(ImageRef { path: path.to_owned(), media_type, sha256, size_bytes })
}

/// Every vendor at the fake, and `toml` on top.
pub(crate) fn providers(fake: &FakeProvider, toml: &str) -> Providers {
    providers_at(fake.address(), toml)
}

/// Every vendor at this address.
pub(crate) fn providers_at(address: SocketAddr, toml: &str) -> Providers {
    let (url, openai_url) = (format!("http://{address}"), format!("http://{address}/v1"));
    let environment: HashMap<&str, String> = HashMap::from([
        ("ANTHROPIC_API_KEY", KEY.to_owned()),
        ("ANTHROPIC_BASE_URL", url.clone()),
        ("OPENAI_API_KEY", KEY.to_owned()),
        ("OPENAI_BASE_URL", openai_url),
        ("GEMINI_API_KEY", KEY.to_owned()),
        ("GEMINI_BASE_URL", url),
    ]);
    let table = toml.parse().unwrap();
    let settings = ModelSettings::read(&table, "errand.toml", &|name| environment.get(name).cloned()).unwrap();
    Providers::new(settings).unwrap()
}

//! Every example of the documentation is sent just as it can be copied, and answered as it says.
//!
//! The examples tell one story, so they are sent in its order; between them a worker does its part. The ids of the documentation stand for those
//! that the server gives: the first time that an id comes up it is learned, and from then on it must be the same.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use axum::http::Request;
use domain::Ambient;
use domain::human_requests::{HumanRequest, Kind};
use domain::runs::{Event, Status};
use serde_json::Value;

use crate::house::{House, KEY};

struct Story {
    house: House,
    document: Value,
    /// From an id of the documentation to the one it stands for.
    ids: BTreeMap<String, String>,
    told: BTreeSet<String>,
}

#[tokio::test]
async fn every_example_can_be_copied_and_is_answered_as_shown() {
    let house = House::new().await;
    let mut story = Story { house, document: server::openapi_document(), ids: BTreeMap::new(), told: BTreeSet::new() };
    for id in ["health.alive", "health.ready", "documentation.page", "documentation.openapi", "documentation.older"] {
        story.tell(id).await;
    }
    for id in ["agent.create", "agent.list", "agent.get", "build.get", "build.list"] {
        story.tell(id).await;
    }
    for id in ["sandbox.create", "sandbox.upload", "sandbox.list_files", "sandbox.download"] {
        story.tell(id).await;
    }
    for id in ["file.push", "file.list", "file.download", "file.remove"] {
        story.tell(id).await;
    }
    for id in ["upload_url.create", "upload_url.put", "upload_url.post", "run.start", "run.list"] {
        story.tell(id).await;
    }
    let mut claimed = story.house.claim().await;
    let ambient = &story.house.ambient;
    let request = HumanRequest {
        description: Some("Invoice 7 is due tomorrow.".into()),
        ..HumanRequest::new(ambient.id(ambient.now()), Kind::Approval, "Pay 80 EUR to Acme?")
    };
    story.house.step(&mut claimed, vec![Event::PersonAsked { request }], Status::Waiting).await;
    story.house.give_up_deliveries().await;
    for id in ["dead_letter.list", "dead_letter.replay"] {
        story.tell(id).await;
    }
    for id in ["run.get", "message.list", "human_request.respond", "message.post", "build.create", "run.stop"] {
        story.tell(id).await;
    }
    let mut claimed = story.house.claim().await;
    let stopped = Event::Interrupted { by: "stop_request".into() };
    story.house.step(&mut claimed, vec![stopped], Status::Interrupted).await;
    story.tell("event.stream").await;

    let methods = story.document["paths"].as_object().expect("paths").values();
    let operations = methods.flat_map(|methods| methods.as_object().expect("methods").values());
    let all: BTreeSet<_> =
        operations.map(|operation| operation["operationId"].as_str().expect("an id").to_owned()).collect();
    assert_eq!(story.told, all, "each operation has its place in the story");
}

impl Story {
    /// Sends the example of an operation.
    async fn tell(&mut self, id: &str) {
        let operation = self.operation(id);
        let source = operation["x-codeSamples"][0]["source"].as_str().expect("a command");
        let request = sent(&self.real(source));
        let responses = operation["responses"].as_object().expect("responses");
        let (status, response) = responses.iter().find(|(status, _)| status.starts_with('2')).expect("a success");
        let (kind, content) = response["content"].as_object().and_then(|kinds| kinds.iter().next()).expect("a content");
        let answer = self.house.send(request).await;
        let body = String::from_utf8(answer.body.to_vec()).expect("text");
        assert_eq!(answer.status.to_string(), *status, "{id}: {body}");
        let sent_kind = answer.header("content-type").expect("a content type");
        // A file comes as what its name says.
        assert!(sent_kind.starts_with(kind.as_str()) || kind == "*/*", "{id}: {sent_kind}");
        match content.get("example") {
            None => assert!(id.starts_with("documentation."), "{id} has no example of its answer"),
            Some(Value::String(text)) => assert_eq!(body, self.real(text), "{id}"),
            Some(example) => {
                let body: Value = serde_json::from_str(&body).expect("JSON");
                self.learn(example, &body);
                let shown: Value = serde_json::from_str(&self.real(&example.to_string())).expect("JSON");
                assert_eq!(body, shown, "{id}");
            }
        }
        assert!(self.told.insert(id.to_owned()), "{id} twice");
    }

    fn operation(&self, id: &str) -> Value {
        let methods = self.document["paths"].as_object().expect("paths").values();
        let mut operations = methods.flat_map(|methods| methods.as_object().expect("methods").values());
        operations.find(|operation| operation["operationId"] == id).expect(id).clone()
    }

    /// Text of the documentation with the server's ids.
    fn real(&self, text: &str) -> String {
        self.ids.iter().fold(text.to_owned(), |text, (shown, real)| text.replace(shown, real))
    }

    fn learn(&mut self, shown: &Value, real: &Value) {
        match (shown, real) {
            (Value::String(shown), Value::String(real)) if shown.contains(UPLOADS) => {
                let token = |url: &str| url.split_once(UPLOADS).expect("an upload URL").1.to_owned();
                self.ids.entry(token(shown)).or_insert_with(|| token(real));
            }
            (Value::String(shown), Value::String(real)) if is_id(shown) && is_id(real) => {
                self.ids.entry(shown.clone()).or_insert_with(|| real.clone());
            }
            (Value::Object(shown), Value::Object(real)) => {
                for (name, shown) in shown {
                    self.learn(shown, real.get(name).unwrap_or(&Value::Null));
                }
            }
            (Value::Array(shown), Value::Array(real)) => {
                for (shown, real) in shown.iter().zip(real) {
                    self.learn(shown, real);
                }
            }
            _ => {}
        }
    }
}

/// Before the token of an upload URL.
const UPLOADS: &str = "/v1/uploads/";

fn is_id(text: &str) -> bool {
    text.starts_with("sbx_") || text.starts_with("msg_") || uuid::Uuid::parse_str(text).is_ok()
}

/// The request that a call of `curl` sends.
fn sent(command: &str) -> Request<Body> {
    let words = words(command);
    let mut words = words.iter().map(String::as_str);
    assert_eq!(words.next(), Some("curl"));
    let (mut method, mut url, mut body, mut request) = ("GET", None, None, Request::builder());
    while let Some(word) = words.next() {
        match word {
            "-sS" | "-sSN" => {}
            "-X" => method = words.next().expect("a method"),
            "-H" => {
                let (name, value) = words.next().and_then(|header| header.split_once(": ")).expect("a header");
                request = request.header(name, value);
            }
            "-d" | "--data-binary" => {
                method = if method == "GET" { "POST" } else { method };
                body = words.next();
            }
            at => assert_eq!(url.replace(at), None, "two addresses"),
        }
    }
    let body = Body::from(body.unwrap_or_default().to_owned());
    request.method(method).uri(url.expect("an address")).body(body).expect("a request")
}

/// The words of a command as a shell reads them, as far as the examples need it.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None, None);
    let mut letters = command.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (None, '\\') => assert_eq!(letters.next(), Some('\n'), "only line ends are escaped"),
            (None, ' ') => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_with(String::new);
            }
            (Some(open), letter) if letter == open => quote = None,
            (_, letter) => word.get_or_insert_with(String::new).push(letter),
        }
    }
    assert_eq!(quote, None, "an open quote");
    words.extend(word);
    let known = |word: String| word.replace("$ERRAND_BASE_URL", "").replace("$ERRAND_API_KEY", KEY);
    words.into_iter().map(known).collect()
}

//! Streams of model providers: no bytes make the reader panic, wherever a chunk ends the answer is the same, and no more is read or kept than
//! is allowed.

#![no_main]

use std::cell::Cell;
use std::sync::LazyLock;

use agent::models::{Pictures, TurnRequest};
use agent::providers::Providers;
use agent::settings::{Endpoint, ModelDefaults, ModelSettings, Origin, Service};
use domain::builds::Sampling;
use domain::turns::ImageRef;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use libfuzzer_sys::fuzz_target;

/// One model a language: Messages, Responses, Chat Completions, Gemini.
const MODELS: [&str; 4] = ["claude-fuzz", "gpt-fuzz", "local-fuzz", "gemini-fuzz"];
/// The most bytes of an answer, and of a chunk, where that is tried.
const MOST: usize = 256;
const CHUNK: usize = 32;

fuzz_target!(|bytes: &[u8]| {
    static ROOMY: LazyLock<Providers> = LazyLock::new(|| providers(u64::MAX));
    static NARROW: LazyLock<Providers> = LazyLock::new(|| providers(MOST as u64));
    let [which, cut, stream @ ..] = bytes else { return };
    let sampling = Sampling::default();
    let request = TurnRequest {
        model: MODELS[usize::from(*which) % MODELS.len()],
        instructions: "",
        seed: &[],
        lines: &[],
        tools: &[],
        sampling: &sampling,
        json_object: false,
        turn: 1,
        people: &[],
        pictures: &NoPictures,
    };
    let whole = ROOMY.read(&request, [stream]);
    for size in [1, 1 + usize::from(*cut)] {
        assert_eq!(ROOMY.read(&request, stream.chunks(size)), whole, "in chunks of {size}");
    }
    if let Ok(answer) = &whole {
        let kept = answer.text.len() + answer.calls.iter().map(|call| call.name.len()).sum::<usize>();
        assert!(kept <= stream.len(), "{kept} bytes are kept of {}", stream.len());
    }
    let read = Cell::new(0);
    let narrow = NARROW.read(&request, stream.chunks(CHUNK).inspect(|chunk| read.set(read.get() + chunk.len())));
    assert!(read.get() <= MOST + CHUNK, "{} bytes were read, {MOST} are allowed", read.get());
    if stream.len() <= MOST {
        assert_eq!(narrow, whole);
    }
});

fn providers(max_answer_bytes: u64) -> Providers {
    let services = [
        (Service::Anthropic, "http://127.0.0.1:9"),
        (Service::OpenAi, "http://127.0.0.1:9/v1"),
        (Service::Compatible, "http://127.0.0.1:9/v1"),
        (Service::Gemini, "http://127.0.0.1:9"),
    ];
    let endpoint = |url: &str| Endpoint { base_url: url.to_owned(), key: None, wire: None, origin: Origin::File };
    Providers::new(ModelSettings {
        services: services.map(|(service, url)| (service, endpoint(url))).into(),
        defaults: ModelDefaults { max_answer_bytes, ..ModelDefaults::default() },
        ..ModelSettings::default()
    })
    .expect("clients")
}

struct NoPictures;

impl Pictures for NoPictures {
    fn load(&self, _: &ImageRef) -> BoxFuture<'static, Option<Vec<u8>>> {
        ready(None).boxed()
    }
}

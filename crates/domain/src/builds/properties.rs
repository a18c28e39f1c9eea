//! Properties of normalising that hold for any JSON, not only for the examples.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// Any JSON, but with the key names a config has, so that it gets past the first check now and then.
fn arbitrary_json() -> impl Strategy<Value = Value> {
    let keys = "version|data|model|models|agent|browsing|input|tools|headers|type|options|files|[a-z/~]{0,3}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "v1|v2|mcp|gpt-5|user|input_text|\\PC{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys, inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// An object in which each key is missing, null or one of its values.
fn object_of(fields: Vec<(&'static str, Vec<Value>)>) -> impl Strategy<Value = Value> {
    let (keys, values): (Vec<_>, Vec<_>) = fields
        .into_iter()
        .map(|(key, values)| {
            let choice = prop_oneof![
                1 => Just(None),
                1 => Just(Some(Value::Null)),
                3 => prop::sample::select(values).prop_map(Some),
            ];
            (key, choice)
        })
        .unzip();
    values.prop_map(move |values| {
        let present = keys.iter().zip(values).filter_map(|(key, value)| Some(((*key).to_owned(), value?)));
        Value::Object(present.collect::<Map<_, _>>())
    })
}

fn with_version(data: impl Strategy<Value = Value>, version: &'static str) -> impl Strategy<Value = Value> {
    let versions = prop::sample::select(vec![json!(null), json!(version)]);
    (versions, data).prop_map(|(version, data)| json!({"version": version, "data": data}))
}

fn inputs() -> Vec<Value> {
    vec![
        json!("Do it."),
        json!([]),
        json!([{"role": "user", "type": null, "content": [
            {"type": "input_text", "text": "x"}, {"type": "input_image", "detail": null, "url": null},
            {"type": "input_image", "detail": "low", "file_id": "f"}, {"type": "input_file", "file_id": "f"}]}]),
        json!([{"role": "system", "content": "x", "type": "message"}, {"role": "assistant", "content": []}]),
    ]
}

fn likely_v1() -> impl Strategy<Value = Value> {
    let tool = |key: &str, value: Value| {
        let mut tool = json!({"type": "mcp", "server_label": "crm", "server_url": "https://crm.example"});
        tool[key] = value;
        json!([tool])
    };
    let data = object_of(vec![
        ("model", vec![json!("m"), json!("claude-opus-4-7")]),
        ("input", inputs()),
        ("temperature", vec![json!(0), json!(1), json!(1.0), json!(0.1), json!(-0.0)]),
        ("max_output_tokens", vec![json!(0.5), json!(u64::MAX), json!(1e300)]),
        ("top_p", vec![json!(1), json!(f64::MIN_POSITIVE)]),
        ("store", vec![json!(true), json!(false)]),
        ("text", vec![json!({"format": null}), json!({"format": {"type": "json_object"}})]),
        ("files", vec![json!(["a"])]),
        (
            "tools",
            vec![
                json!([]),
                tool("headers", json!({"Authorization": "s3cret", "X-Other": ""})),
                tool("headers", json!(null)),
                tool("allowed_tools", json!({"tool_names": null})),
                tool("allowed_tools", json!(["a"])),
                tool("require_approval", json!({"always": {"tool_names": ["a"]}, "never": null})),
                tool("require_approval", json!("never")),
            ],
        ),
    ]);
    with_version(data, "v1")
}

fn likely_v2() -> impl Strategy<Value = Value> {
    let agent = json!({"model": "gpt-5"});
    let pair = |provider: &str, model: &str| json!({"agent": {"model": "d1-max"}, "browsing": {"provider": provider, "model": model}});
    let data = object_of(vec![
        (
            "models",
            vec![
                json!({"agent": agent}),
                json!({"agent": agent, "browsing": null}),
                pair("browserbase", "gpt-4o"),
                pair("browser-use", "claude-opus-4-1"),
                pair("google", "claude-opus-4-1"),
                pair("other", "gemini-2.5-pro"),
            ],
        ),
        ("input", inputs()),
        ("skills", vec![json!(["s", "s"])]),
        ("plugins", vec![json!([]), json!(["https://example.com/x"])]),
        (
            "options",
            vec![
                json!({}),
                json!({"browserProvider": "browser-use", "mine": [1.0, null, {"x": -0.0}]}),
                json!({"browserProvider": null, "evaluationSchemaId": "e"}),
                json!({"benchmarkExpectedOutcomes": [{"description": "", "criteria": ""}]}),
            ],
        ),
    ]);
    with_version(data, "v2")
}

fn normalised(submitted: &Value, previous: Option<&Secrets>) -> Result<Normalised, Flaw> {
    normalise(submitted, "/config", &Defaults::default(), previous)
}

/// Nulls where the contract does not allow them under its strict reading.
fn has_illegal_null(config: &Value) -> bool {
    fn any_null(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Array(items) => items.iter().any(any_null),
            Value::Object(fields) => fields.values().any(any_null),
            _ => false,
        }
    }
    let mut closed = config.clone();
    if let Some(options) = closed.pointer_mut("/data/options").and_then(Value::as_object_mut) {
        options.retain(|key, _| {
            matches!(key.as_str(), "browserProvider" | "evaluationSchemaId" | "benchmarkExpectedOutcomes")
        });
    }
    any_null(&closed)
}

/// What must hold of every accepted config.
fn check_accepted(accepted: &Normalised) {
    let text = serde_json::to_string(&accepted.config).unwrap();
    assert!(!text.contains("s3cret"));
    let stored: Config = serde_json::from_str(&text).unwrap();
    assert_eq!(stored, accepted.config, "storing changed it");
    assert_eq!(serde_json::to_string(&stored).unwrap(), text);
    let served: Value = serde_json::from_str(&text).unwrap();
    assert!(!has_illegal_null(&served), "{served}");
    let again = normalised(&served, Some(&accepted.secrets)).unwrap();
    assert_eq!(again.config, accepted.config, "normalising twice changed it");
    assert_eq!(again.secrets, accepted.secrets);
    assert!(again.notes.is_empty());
    for turn in stored.seed_turns() {
        assert!(!turn.parts.is_empty());
    }
    stored.unserved();
}

proptest! {
    #[test]
    fn any_json_is_answered_at_a_pointer_within_it(submitted in arbitrary_json()) {
        match normalised(&submitted, None) {
            Ok(accepted) => check_accepted(&accepted),
            Err(flaw) => prop_assert!(flaw.pointer.starts_with("/config"), "{}", flaw),
        }
        redact_submitted(&submitted);
    }

    #[test]
    fn likely_configs_settle_at_once(submitted in prop_oneof![likely_v1(), likely_v2()]) {
        match normalised(&submitted, None) {
            Ok(accepted) => check_accepted(&accepted),
            // The generator leaves out or nulls only what it may, but for the required keys.
            Err(flaw) => prop_assert!(
                ["version", "model", "models", "input"].iter().any(|key| flaw.pointer.ends_with(key)),
                "{}", flaw
            ),
        }
    }

    #[test]
    fn what_is_kept_of_a_submission_shows_no_header_value(submitted in likely_v1()) {
        prop_assert!(!redact_submitted(&submitted).to_string().contains("s3cret"));
    }
}

//! Configs as they are submitted, and what a run gets to see of them.

use serde_json::{Value, json};

use super::*;
use crate::builds::{Defaults, normalise};

fn config(submitted: &Value) -> Config {
    normalise(submitted, "", &Defaults::default(), None).expect("accepted").config
}

fn v1(key: &str, value: Value) -> Config {
    let mut submitted = json!({"data": {"model": "qwen3:8b", "input": "Do it."}});
    submitted["data"][key] = value;
    config(&submitted)
}

fn v2(key: &str, value: Value) -> Config {
    let mut submitted = json!({"data": {"models": {"agent": {"model": "d1-max"}}, "input": "Do it."}});
    submitted["data"][key] = value;
    config(&submitted)
}

#[test]
fn a_string_is_the_sop_and_opens_no_conversation() {
    for config in [v1("files", json!([])), v2("files", json!([]))] {
        assert_eq!(config.instructions(), "Do it.");
        assert!(config.seed_turns().is_empty());
        assert!(config.unserved().is_empty());
        assert_eq!(config.sampling(), Sampling::default());
    }
    assert_eq!(v1("files", json!([])).model_name(), "qwen3:8b");
    assert_eq!(v2("files", json!([])).model_name(), "d1-max");
}

#[test]
fn messages_split_into_sop_and_opening_turns() {
    let config = v2(
        "input",
        json!([
            {"role": "system", "content": "Rule one."},
            {"role": "user", "content": [
                {"type": "input_text", "text": "Look:"},
                {"type": "input_image", "url": "https://example.com/a.png", "file_id": "f0"},
                {"type": "input_file", "file_id": "f1"},
            ]},
            {"role": "assistant", "content": "Seen."},
            {"role": "system", "content": [{"type": "input_text", "text": "Rule two."}]},
            {"role": "user", "content": [{"type": "input_file", "file_id": "f1"}]},
            {"role": "user", "content": "  "},
        ]),
    );
    assert_eq!(config.instructions(), "Rule one.\n\nRule two.");
    let text = |text: &str| Part::InputText { text: text.to_owned() };
    let image = Part::InputImage {
        detail: None,
        file_id: Some("f0".to_owned()),
        url: Some("https://example.com/a.png".to_owned()),
    };
    assert_eq!(
        config.seed_turns(),
        [
            SeedTurn { role: Speaker::User, parts: vec![text("Look:"), image] },
            SeedTurn { role: Speaker::Assistant, parts: vec![text("Seen.")] },
        ]
    );
    assert_eq!(config.unserved(), [unused("The team file \"f1\"")]);
}

#[test]
fn a13_an_image_without_a_source_is_skipped_and_said() {
    let config = v1("input", json!([{"role": "user", "content": [{"type": "input_image"}]}]));
    assert!(config.seed_turns().is_empty());
    assert_eq!(config.unserved(), ["An input_image has neither file_id nor url, so it was skipped."]);
}

#[test]
fn images_that_cannot_be_shown_are_said() {
    let url = json!({"type": "input_image", "url": "https://example.com/a.png"});
    let file = json!({"type": "input_image", "file_id": "f1"});
    let config = v1("input", json!([{"role": "system", "content": [url]}, {"role": "user", "content": [file]}]));
    assert_eq!(config.unserved(), [unused("An input_image in a system message"), unused("The team file \"f1\""),]);
}

#[test]
fn a39_temperature_is_handed_on_unclamped() {
    assert_eq!(v1("temperature", json!(2)).sampling().temperature, Some(2.0));
    assert_eq!(v1("top_p", json!(0.5)).sampling().top_p, Some(0.5));
    assert_eq!(v1("store", json!(false)).sampling().store, Some(false));
}

#[test]
fn a40_tokens_are_whole_and_at_least_one() {
    for (given, tokens) in [(json!(0.5), 1), (json!(99.9), 99), (json!(4096), 4096), (json!(1e300), u32::MAX)] {
        assert_eq!(v1("max_output_tokens", given).sampling().max_output_tokens, Some(tokens));
    }
}

#[test]
fn a_json_answer_is_wanted_only_when_asked_for() {
    assert!(v1("text", json!({"format": {"type": "json_object"}})).wants_json_object());
    assert!(!v1("text", json!({"format": {"type": "text"}})).wants_json_object());
    assert!(!v1("text", json!({})).wants_json_object());
    assert!(!v2("files", json!([])).wants_json_object());
}

#[test]
fn of_tools_with_one_label_the_first_is_used_and_that_is_said() {
    let tool = |label: &str, url: &str| json!({"type": "mcp", "server_label": label, "server_url": url});
    let config = v1("tools", json!([tool("crm", "https://a"), tool("bank", "https://b"), tool("crm", "https://c")]));
    let urls: Vec<_> = config.servers().into_iter().map(|server| server.server_url).collect();
    assert_eq!(urls, ["https://a", "https://b"]);
    let said = config.unserved();
    assert!(said.len() == 1 && said[0].contains("the first of the tools with the server_label \"crm\""), "{said:?}");
}

#[test]
fn everything_stored_but_unused_is_said_once() {
    let submitted = json!({"data": {
        "models": {"agent": {"model": "d1-max"}}, "input": "x",
        "files": ["f1", "f1"], "skills": ["s1"], "plugins": ["p1"],
        "options": {
            "browserProvider": "browser-use", "evaluationSchemaId": "e1", "mine": null,
            "benchmarkExpectedOutcomes": [{"description": "d", "criteria": "c"}],
        },
    }});
    assert_eq!(config(&submitted).files(), ["f1"]);
    assert_eq!(
        config(&submitted).unserved(),
        [
            "The skill \"s1\"",
            "The plugin \"p1\"",
            "The option browserProvider (browser-use)",
            "The option evaluationSchemaId",
            "The option benchmarkExpectedOutcomes",
            "The option \"mine\"",
            "The browsing model claude-sonnet-4-5 (anthropic)",
        ]
        .map(unused)
    );
}

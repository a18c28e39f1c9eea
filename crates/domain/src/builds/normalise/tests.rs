//! Each rule of acceptance and each ambiguity of the contract that concerns a config, by example.

use serde_json::{Value, json};

use super::*;
use crate::builds::REDACTED;

fn run(submitted: &Value) -> Result<Normalised, Flaw> {
    normalise(submitted, "/config", &Defaults::default(), None)
}

fn served(submitted: &Value) -> Value {
    serde_json::to_value(run(submitted).expect("accepted").config).unwrap()
}

fn flaw(submitted: &Value) -> Flaw {
    run(submitted).expect_err("refused")
}

fn v1(key: &str, value: Value) -> Value {
    let mut config = json!({"version": "v1", "data": {"model": "m", "input": "Do it."}});
    config["data"][key] = value;
    config
}

fn v2(key: &str, value: Value) -> Value {
    let models = json!({"agent": {"model": "gpt-5"}, "browsing": {"provider": "google", "model": "gemini-2.5-pro"}});
    let mut config = json!({"version": "v2", "data": {"models": models, "input": "Do it."}});
    config["data"][key] = value;
    config
}

fn server(url: &str) -> Value {
    json!({"type": "mcp", "server_label": "x", "server_url": url})
}

#[test]
fn a_server_url_is_any_text_without_a_user() {
    for url in ["https://x/@a?b=c@d#e@f", "errand://mcp/files", "nonsense", "", "https://x\\@y"] {
        assert_eq!(served(&v1("tools", json!([server(url)])))["data"]["tools"][0]["server_url"], url);
    }
    let told = flaw(&v1("tools", json!([server("https://u:hush@x/")]))).to_string();
    assert!(told.contains(": expected a URL without") && !told.contains("hush"), "{told}");
}

#[test]
fn c1_the_documented_example_is_served_as_the_contract_shows() {
    let submitted = json!({"version": "v2", "data": {
        "models": {
            "agent": {"model": "claude-sonnet-4-20250514"},
            "browsing": {"provider": "browserbase", "model": "gpt-4o"}
        },
        "input": "Process invoices from the uploaded files and extract line items.",
        "files": [], "skills": []
    }});
    let normalised = run(&submitted).unwrap();
    assert_eq!(
        serde_json::to_string(&normalised.config).unwrap(),
        concat!(
            r#"{"version":"v2","data":{"#,
            r#""models":{"agent":{"model":"claude-sonnet-4-20250514"},"#,
            r#""browsing":{"provider":"anthropic","model":"claude-sonnet-4-5"}},"#,
            r#""input":"Process invoices from the uploaded files and extract line items.","#,
            r#""files":[],"skills":[],"plugins":[],"options":{"browserProvider":"browserbase"}}}"#,
        )
    );
    assert_eq!(normalised.notes, ["data.options.browserProvider", "data.models.browsing"]);
    assert!(normalised.secrets.is_empty());
}

#[test]
fn c1_an_option_already_set_wins() {
    let mut config = v2("options", json!({"browserProvider": "browser-use", "mine": null}));
    config["data"]["models"]["browsing"] = json!({"provider": "browserbase", "model": "claude-haiku-4-5"});
    let normalised = run(&config).unwrap();
    let data = &serde_json::to_value(normalised.config).unwrap()["data"];
    assert_eq!(data["options"], json!({"browserProvider": "browser-use", "mine": null}));
    assert_eq!(data["models"]["browsing"]["provider"], "anthropic");
    assert_eq!(normalised.notes, ["data.models.browsing"]);
}

#[test]
fn c1_only_strings_are_repaired() {
    let mut config = v2("skills", json!([]));
    config["data"]["models"]["browsing"] = json!({"provider": "google", "model": "gpt-4o"});
    let repaired = &served(&config)["data"];
    assert_eq!(repaired["models"]["browsing"], json!({"provider": "anthropic", "model": "claude-sonnet-4-5"}));
    assert!(repaired.get("options").is_none());
    config["data"]["models"]["browsing"] = json!({"provider": "google"});
    assert_eq!(flaw(&config).pointer, "/config/data/models/browsing/model");
    config["data"]["models"]["browsing"] = json!({"provider": 1, "model": "gpt-4o"});
    assert_eq!(flaw(&config).pointer, "/config/data/models/browsing/provider");
}

#[test]
fn a3b_null_optional_keys_are_dropped() {
    for key in ["temperature", "max_output_tokens", "top_p", "store", "tools", "text"] {
        assert!(served(&v1(key, Value::Null))["data"].get(key).is_none(), "{key}");
    }
    assert_eq!(served(&v1("text", json!({"format": null})))["data"]["text"], json!({}));
}

#[test]
fn a5_what_could_not_be_served_is_refused_where_it_stands() {
    for (submitted, pointer) in [
        (json!(null), "/config"),
        (json!({}), "/config/data"),
        (json!({"version": "v2"}), "/config/data"),
        (json!({"version": "v3", "data": {}}), "/config/version"),
        (json!({"version": "v1", "data": []}), "/config/data"),
        (json!({"version": "v1", "data": {"input": ""}}), "/config/data/model"),
        (json!({"version": "v1", "data": {"model": null, "input": ""}}), "/config/data/model"),
        (v1("plugins", json!([])), "/config/data/plugins"),
        (v1("temperature", json!(2.01)), "/config/data/temperature"),
        (v1("temperature", json!("1")), "/config/data/temperature"),
        (v1("max_output_tokens", json!(0)), "/config/data/max_output_tokens"),
        (v1("top_p", json!(-0.1)), "/config/data/top_p"),
        (v1("store", json!("yes")), "/config/data/store"),
        (v1("tools", json!([{"type": "mcp", "server_label": "x"}])), "/config/data/tools/0/server_url"),
        (v1("tools", json!([server("https://u:p@x/mcp")])), "/config/data/tools/0/server_url"),
        (v1("tools", json!([server("u@x")])), "/config/data/tools/0/server_url"),
        (v1("text", json!({"format": {"type": "json_schema"}})), "/config/data/text/format/type"),
        (v1("files", json!(["a", 1])), "/config/data/files/1"),
        (v2("input", json!(null)), "/config/data/input"),
        (v2("temperature", json!(1)), "/config/data/temperature"),
        (v2("models", json!({"agent": {"model": "gpt-5"}, "extra": 1})), "/config/data/models/extra"),
        (v2("options", json!([])), "/config/data/options"),
    ] {
        assert_eq!(flaw(&submitted).pointer, pointer, "{submitted}");
    }
}

#[test]
fn a6_a_missing_version_is_inferred_and_noted() {
    for (mut config, version) in [(v1("files", json!([])), "v1"), (v2("files", json!([])), "v2")] {
        for absent in [Value::Null, json!("gone")] {
            config["version"] = absent;
            if config["version"] == "gone" {
                config.as_object_mut().unwrap().remove("version");
            }
            assert_eq!(served(&config)["version"], version);
            assert_eq!(run(&config).unwrap().notes, ["version"]);
        }
    }
    assert_eq!(flaw(&json!({"data": {"input": "x"}})).pointer, "/config/version");
}

#[test]
fn a7_missing_browsing_is_filled_and_an_unknown_agent_model_refused() {
    for models in [json!({"agent": {"model": "gpt-5"}}), json!({"agent": {"model": "gpt-5"}, "browsing": null})] {
        let normalised = run(&v2("models", models)).unwrap();
        assert_eq!(normalised.notes, ["data.models.browsing"]);
    }
    let flaw = flaw(&v2("models", json!({"agent": {"model": "gpt-9"}})));
    assert_eq!(flaw.pointer, "/config/data/models/agent/model");
    assert!(flaw.expected.starts_with("one of \"claude-sonnet-4-20250514\", "), "{flaw}");
    assert!(flaw.expected.ends_with("\"gpt-5.1\", got \"gpt-9\""), "{flaw}");
}

#[test]
fn a8_a_v1_config_takes_any_model_name() {
    assert_eq!(served(&v1("model", json!("qwen3:8b")))["data"]["model"], "qwen3:8b");
}

#[test]
fn a9_header_values_leave_the_config() {
    let tool = json!([{"type": "mcp", "server_label": "crm", "server_url": "u", "headers": {"X-Key": "s3cret"}}]);
    let first = run(&v1("tools", tool)).unwrap();
    let config = serde_json::to_value(&first.config).unwrap();
    assert_eq!(config["data"]["tools"][0]["headers"]["X-Key"], REDACTED);
    assert!(!format!("{first:?}").contains("s3cret"));
    let again = normalise(&config, "/config", &Defaults::default(), Some(&first.secrets)).unwrap();
    assert_eq!(again, first);
    assert_eq!(flaw(&config).pointer, "/config/data/tools/0/headers/X-Key");
}

#[test]
fn a10_lists_are_always_there() {
    for absent in [json!(null), json!([])] {
        assert_eq!(served(&v1("files", absent.clone()))["data"]["skills"], json!([]));
        assert_eq!(served(&v1("files", absent.clone()))["data"]["files"], json!([]));
        assert_eq!(served(&v2("plugins", absent))["data"]["plugins"], json!([]));
    }
}

#[test]
fn a11_null_options_are_dropped() {
    assert!(served(&v2("options", json!(null)))["data"].get("options").is_none());
    assert_eq!(served(&v2("options", json!({})))["data"]["options"], json!({}));
}

#[test]
fn a12_any_allowed_provider_goes_with_any_allowed_model() {
    let models = json!({"agent": {"model": "gpt-5"}, "browsing": {"provider": "google", "model": "claude-opus-4-1"}});
    let normalised = run(&v2("models", models.clone())).unwrap();
    assert!(normalised.notes.is_empty());
    assert_eq!(serde_json::to_value(normalised.config).unwrap()["data"]["models"], models);
}

#[test]
fn numbers_are_served_as_they_were_written() {
    for text in ["1", "1.0", "0.30000000000000004", "0"] {
        let number: Value = serde_json::from_str(text).unwrap();
        assert_eq!(served(&v1("temperature", number))["data"]["temperature"].to_string(), text);
    }
    assert_eq!(served(&v1("max_output_tokens", json!(0.5)))["data"]["max_output_tokens"], 0.5);
}

#[test]
fn the_operators_default_pair_must_be_servable() {
    assert!(Defaults::new("google", "gemini-2.5-flash").is_ok());
    assert_eq!(Defaults::new("browserbase", "gemini-2.5-flash").unwrap_err().pointer, "/browsing/provider");
    assert_eq!(Defaults::new("google", "gpt-4o").unwrap_err().pointer, "/browsing/model");
}

//! What the demo brings along: the papers of one small accounts job, its SOP, and recorded model turns for a machine without a model.

use agent::recorded::Recording;
use agent::settings::{ModelSettings, Service};
use anyhow::Context;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

/// Where the files go in the sandbox.
pub(super) const INBOX: &str = "/workspace/in";

/// The file that the SOP demands.
pub(super) const RESULT: &str = "/workspace/summary.csv";

/// Name and content of each paper. One invoice does not agree with its order.
pub(super) const FILES: [(&str, &[u8]); 4] = [
    ("purchase-orders.csv", include_bytes!("../../demo/in/purchase-orders.csv")),
    ("invoice-halden-HP-2291.pdf", include_bytes!("../../demo/in/invoice-halden-HP-2291.pdf")),
    ("invoice-kestrel-KIT-5530.csv", include_bytes!("../../demo/in/invoice-kestrel-KIT-5530.csv")),
    ("invoice-brightwater-BW-0310.md", include_bytes!("../../demo/in/invoice-brightwater-BW-0310.md")),
];

const SOP: &str = include_str!("../../demo/sop.md");

/// The config of the Assignment's first Build, for a model that these settings reach.
pub(super) fn config(settings: &ModelSettings) -> anyhow::Result<Box<RawValue>> {
    let has = |service: Service| settings.services.contains_key(&service);
    let v2 = |model: &str| json!({ "version": "v2", "data": { "models": { "agent": { "model": model } }, "input": SOP, "files": [], "skills": [] } });
    let config = if !has(Service::Anthropic) && has(Service::OpenAi) {
        v2("gpt-5.1")
    } else if !has(Service::Anthropic) && has(Service::Gemini) {
        // The names of a v2 config hold none of Google's.
        json!({ "version": "v1", "data": { "model": "gemini-2.5-flash", "input": SOP } })
    } else {
        v2("claude-sonnet-4-6")
    };
    Ok(to_raw_value(&config)?)
}

/// Whether these settings reach a model under a name that the demo knows. A compatible server of the operator's own has names of its own.
pub(super) fn reaches(settings: &ModelSettings) -> bool {
    let only_compatible = settings.services.keys().all(|service| *service == Service::Compatible);
    settings.services.is_empty() || !only_compatible || settings.models.contains_key("claude-sonnet-4-6")
}

/// The turns that a model would give, for both answers to the question.
pub(super) fn recording() -> anyhow::Result<Recording> {
    serde_json::from_str(include_str!("../../demo/recording.json")).context("the bundled recording")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recording_has_an_end_for_each_option_it_offers() {
        let recording = recording().unwrap();
        let asking =
            recording.turns.iter().flat_map(|turn| &turn.reply.calls).find(|call| call.name == "ask_person").unwrap();
        let question = &asking.arguments["questions"][0];
        for option in question["options"].as_array().unwrap() {
            let text = question["question"].as_str().unwrap().to_owned();
            let said = json!({ text: option["label"] }).to_string();
            let last = recording.turns.iter().rfind(|turn| turn.people == [said.as_str()]).unwrap();
            assert_eq!((last.turn, last.reply.calls[0].name.as_str()), (5, "finish"), "{said}");
        }
    }

    #[test]
    fn every_bundled_file_is_read_in_the_recording() {
        let text = include_str!("../../demo/recording.json");
        for (name, _) in FILES {
            assert!(text.contains(&format!("{INBOX}/{name}")), "{name}");
        }
        assert!(text.contains(RESULT) && SOP.contains(RESULT) && SOP.contains(INBOX));
    }
}

//! `options` of a v2 config: three known keys, and any others kept verbatim.
//!
//! Here: the shape and how it is read. Not here: moving a browser provider into it (`normalise.rs`).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::shape::{Cursor, Flaw};

/// The open object `options`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Options {
    /// Whose browsers would be used.
    #[serde(rename = "browserProvider", default, skip_serializing_if = "Option::is_none")]
    pub browser_provider: Option<BrowserProvider>,
    /// The schema by which runs would be evaluated.
    #[serde(rename = "evaluationSchemaId", default, skip_serializing_if = "Option::is_none")]
    pub evaluation_schema_id: Option<String>,
    /// What a benchmark would expect of a run.
    #[serde(rename = "benchmarkExpectedOutcomes", default, skip_serializing_if = "Option::is_none")]
    pub benchmark_expected_outcomes: Option<Vec<ExpectedOutcome>>,
    /// Every other key with its value, nulls included (contract A11).
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// Browser infrastructure that a config can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BrowserProvider {
    /// `browserbase`
    Browserbase,
    /// `browser-use`
    BrowserUse,
}

/// One expected outcome of a benchmark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedOutcome {
    /// What should happen.
    pub description: String,
    /// How to tell that it did.
    pub criteria: String,
}

impl Options {
    pub(super) fn read(at: &Cursor<'_>) -> Result<Self, Flaw> {
        let options = at.open_object()?;
        let known = ["browserProvider", "evaluationSchemaId", "benchmarkExpectedOutcomes"];
        Ok(Self {
            browser_provider: options.read("browserProvider", |at| at.choice(&BrowserProvider::NAMES))?,
            evaluation_schema_id: options.read("evaluationSchemaId", |at| at.string().map(str::to_owned))?,
            benchmark_expected_outcomes: options.read("benchmarkExpectedOutcomes", |at| {
                at.array()?.map(|item| ExpectedOutcome::read(&item)).collect()
            })?,
            others: options
                .entries()
                .filter(|(key, _)| !known.contains(key))
                .map(|(key, at)| (key.to_owned(), at.value().clone()))
                .collect(),
        })
    }
}

impl BrowserProvider {
    const NAMES: [(&str, Self); 2] = [("browserbase", Self::Browserbase), ("browser-use", Self::BrowserUse)];

    /// The provider of this name, if it is browser infrastructure at all.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, provider)| *provider)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Browserbase => "browserbase",
            Self::BrowserUse => "browser-use",
        }
    }
}

impl ExpectedOutcome {
    fn read(at: &Cursor<'_>) -> Result<Self, Flaw> {
        let outcome = at.object(&["description", "criteria"])?;
        Ok(Self {
            description: outcome.required("description")?.string()?.to_owned(),
            criteria: outcome.required("criteria")?.string()?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_keys_stay_and_known_nulls_go() {
        let submitted = json!({
            "browserProvider": "browser-use", "evaluationSchemaId": null,
            "benchmarkExpectedOutcomes": [{"description": "d", "criteria": "c"}],
            "mine": {"deep": [null, 1.5]}, "empty": null,
        });
        let options = Options::read(&Cursor::new(&submitted, "")).unwrap();
        let mut expected = submitted;
        expected.as_object_mut().unwrap().remove("evaluationSchemaId");
        assert_eq!(serde_json::to_value(&options).unwrap(), expected);
        assert_eq!(serde_json::from_value::<Options>(expected).unwrap(), options);
    }

    #[test]
    fn known_keys_are_strict() {
        for (options, pointer) in [
            (json!({"browserProvider": "chrome"}), "/o/browserProvider"),
            (json!({"evaluationSchemaId": 1}), "/o/evaluationSchemaId"),
            (json!({"benchmarkExpectedOutcomes": [{"description": "d"}]}), "/o/benchmarkExpectedOutcomes/0/criteria"),
        ] {
            assert_eq!(Options::read(&Cursor::new(&options, "/o")).unwrap_err().pointer, pointer);
        }
    }

    #[test]
    fn names_and_json_agree() {
        for provider in [BrowserProvider::Browserbase, BrowserProvider::BrowserUse] {
            assert_eq!(serde_json::to_value(provider).unwrap(), provider.name());
            assert_eq!(BrowserProvider::named(provider.name()), Some(provider));
        }
        assert_eq!(BrowserProvider::named("anthropic"), None);
    }
}

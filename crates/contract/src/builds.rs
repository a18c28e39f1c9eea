//! Builds on the wire: immutable, numbered snapshots of an agent's config.
//!
//! A config crosses this room as JSON text in both directions: what was submitted stays as it was
//! written, and what is stored goes out without being parsed again. What it may say is the
//! domain's business.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::agents::AgentRef;
use crate::configs::Config;
use crate::fields;

/// The first build of an agent, inside `POST /v1/agents`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBuild {
    /// At least one character; kept exactly as sent.
    #[serde(deserialize_with = "fields::filled")]
    #[schemars(length(min = 1))]
    pub name: String,
    /// What the agent is to do and with what; see `Config`. It is kept exactly as sent, too.
    #[serde(deserialize_with = "fields::object_text")]
    #[schemars(with = "Map<String, Value>")]
    pub config: Box<RawValue>,
}

/// Body of `POST /v1/builds`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateBuild {
    /// The agent that gets the build.
    #[serde(deserialize_with = "fields::uuid")]
    #[schemars(extend("format" = "uuid"))]
    pub agent_id: String,
    /// At least one character; kept exactly as sent.
    #[serde(deserialize_with = "fields::filled")]
    #[schemars(length(min = 1))]
    pub name: String,
    /// What the agent is to do and with what; see `Config`. It is kept exactly as sent, too.
    #[serde(deserialize_with = "fields::object_text")]
    #[schemars(with = "Map<String, Value>")]
    pub config: Box<RawValue>,
}

/// A build as the API shows it. Errand never makes any of these null.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Build {
    /// The build's id.
    #[schemars(extend("format" = "uuid"))]
    pub id: String,
    /// The agent it belongs to.
    #[schemars(extend("format" = "uuid"))]
    pub agent_id: String,
    /// As it was sent.
    pub name: String,
    /// The config, normalised.
    #[schemars(with = "Option<Config>")]
    pub config: Box<RawValue>,
    /// 1, 2, 3 … per agent, without gaps.
    #[schemars(with = "Option<f64>")]
    pub revision_number: u64,
    /// When it was created: RFC 3339, UTC, milliseconds, `Z`.
    #[schemars(with = "Option<String>")]
    pub created_at: String,
    /// The same time: a build never changes.
    #[schemars(with = "Option<String>")]
    pub updated_at: String,
}

/// Answer of `GET /v1/builds/{build_id}`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct BuildAnswer {
    /// The build.
    pub build: Build,
}

/// Answer of `POST /v1/builds` (201): here, unlike elsewhere, the agent is only its id.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct NewBuildAnswer {
    /// The build just made.
    pub build: Build,
    /// The agent it was made for.
    pub agent: AgentRef,
}

/// Answer of `GET /v1/agents/{agent_id}/builds`, highest revision first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct BuildPage {
    /// At most `limit` builds.
    pub builds: Vec<Build>,
    /// All builds of the agent.
    #[schemars(with = "f64")]
    pub total: u64,
    /// The page size in effect.
    #[schemars(with = "f64")]
    pub limit: u32,
    /// How many builds were skipped.
    #[schemars(with = "f64")]
    pub offset: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strict_json::from_slice;

    #[test]
    fn an_agent_id_is_a_hyphenated_uuid() {
        let body = |id: &str| format!(r#"{{"agent_id":"{id}","name":"v2","config":{{}}}}"#);
        let good = body("0190A0c5-7e3f-7c1a-9d2b-000000000001");
        assert!(from_slice::<CreateBuild>(good.as_bytes()).is_ok());

        for bad in ["", "x", "0190a0c57e3f7c1a9d2b000000000001", "{0190a0c5-7e3f-7c1a-9d2b-0000000000}"] {
            let flaw = from_slice::<CreateBuild>(body(bad).as_bytes()).expect_err(bad);
            assert_eq!(flaw.pointer(), Some("/agent_id"));
            assert!(flaw.sentence().contains("UUID"), "{flaw}");
        }
    }

    #[test]
    fn a_stored_config_goes_out_byte_for_byte() {
        let config = RawValue::from_string(r#"{"version":"v2", "n":1.0}"#.to_owned());
        let build = Build {
            id: "b".to_owned(),
            agent_id: "a".to_owned(),
            name: "v1".to_owned(),
            config: config.expect("JSON"),
            revision_number: 1,
            created_at: "t".to_owned(),
            updated_at: "t".to_owned(),
        };
        let sent = serde_json::to_string(&BuildAnswer { build }).expect("plain");
        assert!(sent.contains(r#""config":{"version":"v2", "n":1.0},"revision_number":1,"#), "{sent}");

        let read: BuildAnswer = serde_json::from_str(&sent).expect("a client can read it");
        assert_eq!(read.build.config.get(), r#"{"version":"v2", "n":1.0}"#);
    }
}

//! Agents on the wire: a named worker, to be told apart from its numbered builds in [`crate::builds`].
//!
//! No rule lives here; the longest allowed name, for example, is the domain's business.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builds::{Build, NewBuild};
use crate::{fields, shapes};

/// Body of `POST /v1/agents`. Without `build` the agent is created bare.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAgent {
    /// At least one character; kept exactly as sent. It need not be unique.
    #[serde(deserialize_with = "fields::filled")]
    #[schemars(length(min = 1))]
    pub name: String,
    /// The first build. May be left out, may not be null.
    #[serde(default, deserialize_with = "fields::given_object", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "NewBuild")]
    pub build: Option<NewBuild>,
}

/// An agent as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Agent {
    /// The agent's id.
    #[schemars(extend("format" = "uuid"))]
    pub id: String,
    /// As it was sent.
    pub name: String,
    /// When it was created: RFC 3339, UTC, milliseconds, `Z`. Never null from Errand.
    #[schemars(schema_with = "shapes::loose_time")]
    pub created_at: String,
    /// When it last changed, in the same format.
    #[schemars(schema_with = "shapes::loose_time")]
    pub updated_at: String,
}

/// Answer of `POST /v1/agents` (201) and `GET /v1/agents/{agent_id}` (200).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AgentAnswer {
    /// The agent.
    pub agent: Agent,
    /// Its newest build. The key is absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Build")]
    pub build: Option<Build>,
}

/// Answer of `GET /v1/agents`, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AgentPage {
    /// At most `limit` agents.
    pub agents: Vec<Agent>,
    /// All agents that the key may see, on whatever page.
    #[schemars(with = "f64")]
    pub total: u64,
    /// The page size in effect.
    #[schemars(with = "f64")]
    pub limit: u32,
    /// How many agents were skipped.
    #[schemars(with = "f64")]
    pub offset: u64,
}

/// An agent reduced to its id, as `POST /v1/builds` answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AgentRef {
    /// The agent's id.
    #[schemars(extend("format" = "uuid"))]
    pub id: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strict_json::{Flaw, from_slice};

    fn read(body: &str) -> Result<CreateAgent, Flaw> {
        from_slice(body.as_bytes())
    }

    fn refusal(body: &str) -> String {
        read(body).expect_err(body).to_string()
    }

    #[test]
    fn keeps_the_config_exactly_as_it_was_written() {
        let agent = read(r#"{"name":"A","build":{"name":"v1","config": { "b":1.50,  "a":[ ] } }}"#);
        let build = agent.expect("valid").build.expect("has a build");
        assert_eq!(build.config.get(), r#"{ "b":1.50,  "a":[ ] }"#);
    }

    #[test]
    fn an_agent_may_come_without_a_build() {
        let agent = read(r#"{"name":" "}"#).expect("one space is a name");
        assert!(agent.build.is_none());
        assert_eq!(serde_json::to_string(&agent).expect("plain"), r#"{"name":" "}"#);
    }

    #[test]
    fn names_the_unknown_key_and_the_known_ones() {
        assert_eq!(
            refusal(r#"{"name":"A","build":{"nmae":"v1","config":{}}}"#),
            "/build/nmae: unknown field `nmae`, expected `name` or `config`"
        );
    }

    #[test]
    fn refuses_null_where_leaving_out_is_meant() {
        assert_eq!(
            refusal(r#"{"name":"A","build":null}"#),
            "/build: null is not allowed here; leave the key out instead"
        );
        assert_eq!(refusal(r#"{"name":null}"#), "/name: invalid type: null, expected a non-empty string");
    }

    #[test]
    fn refuses_an_empty_name_and_a_missing_one() {
        assert_eq!(refusal(r#"{"name":""}"#), "/name: must have at least one character");
        assert_eq!(refusal("{}"), "the body: missing field `name`");
    }

    #[test]
    fn a_config_must_be_an_object() {
        for (config, kind) in [("null", "null"), ("[]", "an array"), ("\"v2\"", "a string")] {
            let body = format!(r#"{{"name":"A","build":{{"name":"v1","config":{config}}}}}"#);
            assert_eq!(refusal(&body), format!("/build/config: expected an object, got {kind}"));
        }
    }

    #[test]
    fn an_array_does_not_pass_for_an_object() {
        assert_eq!(refusal(r#"["A"]"#), "the body: invalid type: sequence, expected an object");
        assert_eq!(refusal(r#"{"name":"A","build":["v1",{}]}"#), "/build: invalid type: sequence, expected an object");
    }
}

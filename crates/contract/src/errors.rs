//! The body of every answer that is not a success.
//!
//! It is closed and small by contract: a request id or further detail goes into headers. Which
//! status goes with which code is written down in the server, in one place.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The error body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ErrorBody {
    /// A stable snake_case code, for programs.
    pub error: String,
    /// What was wrong, where, and what to do, for the person who sent the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub message: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_message_is_a_missing_key() {
        let body = ErrorBody { error: "not_found".to_owned(), message: None };
        assert_eq!(serde_json::to_string(&body).expect("plain"), r#"{"error":"not_found"}"#);
    }
}

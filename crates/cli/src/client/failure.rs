//! Why a request was not answered as hoped, in words for the person who made it, and the exit code for the script that did.

use reqwest::StatusCode;

/// Why the server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// There is no key to send.
    #[error("no API key: set ERRAND_API_KEY or give --api-key; on the server's machine `errand keys create` makes one")]
    NoKey,
    /// 401.
    #[error("the server refused the API key: {0}")]
    Unauthorized(String),
    /// 404, or the like of it in the data folder.
    #[error("{0}")]
    NotFound(String),
    /// Any other status.
    #[error("the server answered {status}: {message}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// The server's words.
        message: String,
    },
    /// No answer.
    #[error(
        "no answer from {base}: {why}; is `errand serve` running there? (--base-url or ERRAND_BASE_URL says where to look)"
    )]
    Unreachable {
        /// Where.
        base: String,
        /// The innermost cause.
        why: String,
    },
}

impl Failure {
    /// The exit code that scripts see.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NoKey | Self::Unauthorized(_) => 2,
            Self::NotFound(_) => 3,
            Self::Refused { .. } | Self::Unreachable { .. } => 1,
        }
    }

    /// Whether the same request may succeed later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_exit_code() {
        let refused = Failure::Refused { status: StatusCode::BAD_REQUEST, message: String::new() };
        let codes = [Failure::NoKey, Failure::Unauthorized(String::new()), Failure::NotFound(String::new()), refused];
        assert_eq!(codes.map(|failure| failure.exit_code()), [2, 2, 3, 1]);
    }
}

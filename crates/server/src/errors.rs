//! Everything that can be wrong with a request or behind it, and the only place where errors meet status codes.
//!
//! The client gets a stable code and a sentence. What only the operator may know travels beside the answer as a [`Cause`] and is logged once,
//! with the request's id, in `edge.rs`.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use contract::errors::ErrorBody;
use contract::pages::BadParameter;
use domain::api_keys::Scope;
use domain::sandboxes::FileError;
use domain::shape::Flaw;
use storage::StoreError;

/// The longest name that is repeated, in bytes. Ids are shorter.
const NAME_MAX: usize = 64;
/// How much of a path is repeated, in bytes.
const PATH_MAX: usize = 200;

/// Why a request gets no success.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// The key is missing, malformed, unknown or revoked.
    InvalidToken(&'static str),
    /// The key is valid and may not do this.
    InsufficientScope(Scope),
    /// What an upload URL carries allows nothing, or nothing any more; the sentence says why.
    InvalidUploadUrl(&'static str),
    /// The key made as many requests this minute as it may.
    RateLimited {
        /// Requests a minute.
        limit: u32,
        /// Until the next minute, in seconds.
        wait: u64,
    },
    /// So many unknown keys were looked for in this second that this one is not.
    TooManyStrangers,
    /// A request with this `Idempotency-Key` is being done.
    IdempotencyKeyInUse,
    /// The `Idempotency-Key` was sent with another body before.
    IdempotencyKeyReused,
    /// Nothing that this key may see has that name; another team's is no different from none.
    NotFound(String),
    /// The path exists, the method on it does not.
    MethodNotAllowed,
    /// The request says something that cannot be meant; the sentence names the place.
    InvalidRequest(String),
    /// More bytes than are taken.
    PayloadTooLarge(String),
    /// The body is not of a kind that this operation reads; what to do.
    UnsupportedMediaType(&'static str),
    /// A run needs a Build to be pinned to (contract A29).
    AgentHasNoBuild,
    /// The run failed: no message moves it any more.
    RunNotResumable,
    /// The human request is closed; the sentence says how it came to that.
    RequestAlreadyAnswered(&'static str),
    /// The run was told as much as it can keep.
    RunFull,
    /// The sandbox holds as much as it may.
    SandboxFull(String),
    /// The team's files take up as much as they may; the sentence says how much that is, and what to do.
    TeamFull(String),
    /// As many as there may be at once are under way; the words say of what.
    Busy(&'static str),
    /// The head or the body of the request did not come in the time there is for it.
    TooSlow,
    /// The path with its query string is longer than any that means something.
    UriTooLong,
    /// The headers are more, or larger, than are taken.
    HeadTooLarge,
    /// What came is not HTTP/1.
    NoHttp,
    /// As many connections as are taken at once are open.
    TooManyConnections,
    /// The request was given up after so many seconds.
    TookTooLong(u64),
    /// The server is going away.
    NotReady,
    /// The bucket that files are kept in does not answer; the sentence names the file.
    FilesUnreachable(String),
    /// The store failed.
    Store(StoreError),
    /// Something of ours failed; the text is for the log.
    Internal(String),
}

/// What the operator has to know about an answer, and nobody else.
#[derive(Debug, Clone)]
pub(crate) struct Cause(pub(crate) String);

impl ApiError {
    /// No such `noun`, or it is another team's: the same words for both (contract A32).
    pub(crate) fn no_such(noun: &str) -> Self {
        Self::NotFound(format!("There is no such {noun}, or this API key may not see it."))
    }

    pub(crate) fn no_such_path(path: &str) -> Self {
        let names = path.split('/').map(repeated).collect::<Vec<_>>().join("/");
        Self::NotFound(format!("There is nothing at {:?}.", &names[..names.floor_char_boundary(PATH_MAX)]))
    }

    pub(crate) fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::InvalidToken(_) => (StatusCode::UNAUTHORIZED, "invalid_token"),
            Self::InsufficientScope(_) => (StatusCode::FORBIDDEN, "insufficient_scope"),
            Self::InvalidUploadUrl(_) => (StatusCode::FORBIDDEN, "invalid_upload_url"),
            Self::RateLimited { .. } | Self::TooManyStrangers => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            Self::IdempotencyKeyInUse => (StatusCode::CONFLICT, "idempotency_key_in_use"),
            Self::IdempotencyKeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::InvalidRequest(_) | Self::NoHttp => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::PayloadTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            Self::UnsupportedMediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::AgentHasNoBuild => (StatusCode::BAD_REQUEST, "agent_has_no_build"),
            Self::RunNotResumable => (StatusCode::BAD_REQUEST, "run_not_resumable"),
            Self::RequestAlreadyAnswered(_) => (StatusCode::BAD_REQUEST, "request_already_answered"),
            Self::RunFull => (StatusCode::PAYLOAD_TOO_LARGE, "run_full"),
            Self::SandboxFull(_) => (StatusCode::PAYLOAD_TOO_LARGE, "sandbox_full"),
            Self::TeamFull(_) => (StatusCode::PAYLOAD_TOO_LARGE, "team_full"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Self::UriTooLong => (StatusCode::URI_TOO_LONG, "uri_too_long"),
            Self::HeadTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large"),
            Self::Busy(_)
            | Self::FilesUnreachable(_)
            | Self::NotReady
            | Self::TooManyConnections
            | Self::TookTooLong(_)
            | Self::Store(
                StoreError::Closed
                | StoreError::Busy
                | StoreError::Exhausted(_)
                | StoreError::Unreachable(_)
                | StoreError::InDoubt(_),
            ) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Store(StoreError::Full) => (StatusCode::INSUFFICIENT_STORAGE, "storage_full"),
            Self::Store(_) | Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        }
    }

    fn message(&self) -> String {
        let fixed = match self {
            Self::NotFound(text)
            | Self::InvalidRequest(text)
            | Self::PayloadTooLarge(text)
            | Self::SandboxFull(text)
            | Self::TeamFull(text)
            | Self::FilesUnreachable(text) => {
                return text.clone();
            }
            Self::InsufficientScope(scope) => {
                let scope = scope.word();
                return format!("This needs an API key with the scope {scope}, which this one does not have.");
            }
            Self::RateLimited { limit, wait } => {
                return format!("This API key may make {limit} requests a minute. Try again in {wait} s.");
            }
            Self::UnsupportedMediaType(advice) => return format!("The body must be JSON: {advice}."),
            Self::TookTooLong(secs) => {
                return format!(
                    "This was not done after {secs} s and was given up: it may have happened or not. Look before you send it again."
                );
            }
            Self::InvalidToken(text)
            | Self::InvalidUploadUrl(text)
            | Self::RequestAlreadyAnswered(text)
            | Self::Busy(text) => text,
            Self::TooSlow => "The request did not arrive in time: it was silent, or slow, for too long. Send it again.",
            Self::UriTooLong => "The path and its query string are too long: 8192 bytes at the most.",
            Self::HeadTooLarge => "The headers are too large: 100 of them with 32 KiB in all at the most.",
            Self::TooManyStrangers => {
                "The server is being asked for many keys that it does not know, and did not look for this one. Try again after a second."
            }
            Self::NoHttp => "This is not a valid HTTP/1.1 request.",
            Self::TooManyConnections => "Too many connections are open at this moment. Try again after a second.",
            Self::IdempotencyKeyInUse => "A request with this Idempotency-Key is being done. Ask again in a moment.",
            Self::IdempotencyKeyReused => {
                "This Idempotency-Key was sent with another body in the last 24 hours. Use a new key for a new request."
            }
            Self::MethodNotAllowed => "This path does not take that method; the header Allow lists those it takes.",
            Self::AgentHasNoBuild => "The agent has no build yet. Create one with POST /v1/builds, then start the run.",
            Self::RunNotResumable => {
                "The run has failed and takes no more messages. Its last message says why; start a new run."
            }
            Self::RunFull => "The run was told 16 MiB in all, which is as much as it can keep. Start a new run.",
            Self::NotReady | Self::Store(StoreError::Closed) => "The server is shutting down. Try again in a moment.",
            Self::Store(StoreError::Full) => {
                "The server's disk is full, nothing was stored. Reading still works; its operator has to make room."
            }
            Self::Store(StoreError::Busy | StoreError::Exhausted(_) | StoreError::Unreachable(_)) => {
                "The database does not answer at this moment, nothing was stored. Try again in a moment."
            }
            Self::Store(StoreError::InDoubt(_)) => {
                "The database broke off while this was being stored: it may have happened or not. Look before you send it again."
            }
            Self::Store(_) | Self::Internal(_) => {
                "The server failed to do this. Its log has the cause under the id in the header x-request-id."
            }
        };
        fixed.to_owned()
    }

    fn cause(&self) -> Option<Cause> {
        match self {
            Self::Store(error) => Some(Cause(error.to_string())),
            Self::TookTooLong(secs) => Some(Cause(format!("not done after {secs} s"))),
            Self::Internal(text) => Some(Cause(text.clone())),
            _ => None,
        }
    }

    /// A header that belongs to it.
    pub(crate) fn told(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::InvalidToken(_) => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Self::RateLimited { wait, .. } => Some((header::RETRY_AFTER, (*wait).into())),
            Self::Busy(_)
            | Self::FilesUnreachable(_)
            | Self::TooManyConnections
            | Self::TooManyStrangers
            | Self::IdempotencyKeyInUse
            | Self::Store(
                StoreError::Busy | StoreError::Exhausted(_) | StoreError::Unreachable(_) | StoreError::InDoubt(_),
            ) => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
            // What of the body is still on its way would be taken for the next request.
            Self::TooSlow => Some((header::CONNECTION, HeaderValue::from_static("close"))),
            _ => None,
        }
    }

    pub(crate) fn body(&self) -> ErrorBody {
        ErrorBody { error: self.status().1.to_owned(), message: Some(self.message()) }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status().0, Json(self.body())).into_response();
        if let Some((name, value)) = self.told() {
            response.headers_mut().insert(name, value);
        }
        if let Some(cause) = self.cause() {
            response.extensions_mut().insert(cause);
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<BadParameter> for ApiError {
    fn from(bad: BadParameter) -> Self {
        Self::InvalidRequest(bad.to_string())
    }
}

impl From<Flaw> for ApiError {
    fn from(flaw: Flaw) -> Self {
        Self::InvalidRequest(flaw.to_string())
    }
}

impl From<contract::strict_json::Flaw> for ApiError {
    fn from(flaw: contract::strict_json::Flaw) -> Self {
        Self::InvalidRequest(flaw.to_string())
    }
}

impl From<FileError> for ApiError {
    fn from(error: FileError) -> Self {
        let text = error.to_string();
        match error {
            FileError::NotFound(_) => Self::NotFound(text),
            FileError::NotAFile { .. } | FileError::NotAFolder { .. } | FileError::BadPath(_) => {
                Self::InvalidRequest(text)
            }
            FileError::TooLarge { .. } => Self::PayloadTooLarge(text),
            FileError::Quota(_) => Self::SandboxFull(text),
            FileError::DiskFull(_) => Self::Store(StoreError::Full),
            FileError::Exhausted(cause) => Self::Store(StoreError::Exhausted(cause)),
            FileError::Unreachable(_) => Self::FilesUnreachable(text),
            FileError::Io(cause) => Self::Internal(format!("sandbox file: {cause}")),
        }
    }
}

/// What a client wrote, as a message repeats it. What is as long as a token may be one, of a URL with a slip in it.
pub(crate) fn repeated(text: &str) -> &str {
    if text.len() > NAME_MAX { "…" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_store_is_told_by_kind_and_its_words_go_to_the_log_only() {
        for (error, status) in [
            (StoreError::Full, 507),
            (StoreError::Closed, 503),
            (StoreError::Busy, 503),
            (StoreError::Exhausted(String::new()), 503),
            (StoreError::Unreachable(String::new()), 503),
            (StoreError::InDoubt(String::new()), 503),
            (StoreError::Sql("SELECT secret".into()), 500),
        ] {
            let said = error.to_string();
            let error = ApiError::from(error);
            assert!(!error.message().contains("SELECT"));
            let response = error.into_response();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.extensions().get::<Cause>().map(|Cause(text)| text.clone()), Some(said));
        }
        assert!(ApiError::MethodNotAllowed.into_response().extensions().get::<Cause>().is_none());
    }
}

//! Reading the ids in a path. A malformed one is a 400 before anything is looked up (contract A33).

use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use domain::webhooks::DeliveryId;
use domain::{AgentId, BuildId, RunId};
use uuid::Uuid;

use crate::errors::{ApiError, repeated};

/// An id from the path, by the name that its type has there.
pub(crate) struct Id<T>(pub(crate) T);

/// A type that stands in paths.
pub(crate) trait PathId: FromStr {
    /// The name of its parameter in the router's table.
    const NAME: &'static str;
}

/// The id of a human request.
pub(crate) struct RequestId(pub(crate) Uuid);

/// The id of a sandbox: opaque, so any text is well-formed (contract 2.7).
pub(crate) struct SandboxId(pub(crate) String);

/// The id of a team file, or its name: any text.
pub(crate) struct FileName(pub(crate) String);

impl PathId for FileName {
    const NAME: &'static str = "file_id";
}

impl FromStr for FileName {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// What an upload URL carries: any text, of which most is refused.
pub(crate) struct UploadToken(pub(crate) String);

/// The id of a delivery that was given up: opaque, too. Nothing has one that cannot be read.
pub(crate) struct DeadLetterId(pub(crate) Option<DeliveryId>);

impl PathId for DeadLetterId {
    const NAME: &'static str = "letter_id";
}

impl FromStr for DeadLetterId {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.parse().ok()))
    }
}

impl PathId for AgentId {
    const NAME: &'static str = "agent_id";
}

impl PathId for BuildId {
    const NAME: &'static str = "build_id";
}

impl PathId for RunId {
    const NAME: &'static str = "run_id";
}

impl PathId for RequestId {
    const NAME: &'static str = "request_id";
}

impl PathId for SandboxId {
    const NAME: &'static str = "sandbox_id";
}

impl PathId for UploadToken {
    const NAME: &'static str = "upload_token";
}

impl FromStr for UploadToken {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for RequestId {
    type Err = domain::ids::NotAnId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // One spelling for all ids, whatever they name.
        text.parse::<RunId>().map(|id| Self(id.0))
    }
}

impl FromStr for SandboxId {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl<T: PathId, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let bad = |text: &str| {
            let (name, text) = (T::NAME, repeated(text));
            ApiError::InvalidRequest(format!(
                "{name} in the path: expected a UUID, 8-4-4-4-12 hex digits, got {text:?}"
            ))
        };
        let parameters = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::InvalidRequest(format!("{} in the path: is no UTF-8", T::NAME)))?;
        let text = parameters.iter().find(|(name, _)| *name == T::NAME).map(|(_, text)| text);
        let text = text.ok_or_else(|| ApiError::Internal(format!("a route has no {}", T::NAME)))?;
        if text.contains('\0') {
            return Err(ApiError::InvalidRequest(format!("{} in the path: holds U+0000, which no id may", T::NAME)));
        }
        text.parse().map(Self).map_err(|_| bad(text))
    }
}

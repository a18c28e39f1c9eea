//! Reading a JSON body: of the right kind (else 415), not too large (413), not too slow (408), and strictly what the contract says (400).
//!
//! What a body means is judged in the file of its noun. Files are not JSON: see `uploads.rs`.

use axum::body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderName, header};
use contract::strict_json;
use domain::audit::{self, Hash};
use futures_util::TryStreamExt;
use serde::de::DeserializeOwned;

use crate::connections::TooSlow;
use crate::errors::ApiError;

/// The most bytes a JSON body may have: twice the longest string in it, and no one's config is longer.
pub(crate) const BODY_MAX: usize = 2 * 1024 * 1024;

/// A request read from a JSON body, and the SHA-256 of its bytes, by which a repeated request is known.
pub(crate) struct Body<T>(pub(crate) T, pub(crate) Hash);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::UnsupportedMediaType("send the header Content-Type: application/json"));
        }
        if let Some(encoding) = foreign(request.headers()) {
            return Err(ApiError::UnsupportedMediaType(encoding));
        }
        // What announces itself as too large is refused before a byte of it is read.
        if declared_length(request.headers()).is_some_and(|length| length > BODY_MAX as u64) {
            return Err(too_large());
        }
        let bytes = whole(request.into_body()).await?;
        Ok(Self(strict_json::from_slice(&bytes)?, audit::hash(&bytes)))
    }
}

/// The SHA-256 of whatever came to an operation that has no body: it means nothing, but a repeated request has the same.
pub(crate) struct Ignored(pub(crate) Hash);

impl<S: Send + Sync> FromRequest<S> for Ignored {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        Ok(Self(audit::hash(&whole(request.into_body()).await?)))
    }
}

/// Everything, in one piece. It is copied: pieces of a byte each would otherwise keep the whole buffers that they were read into.
async fn whole(body: body::Body) -> Result<Vec<u8>, ApiError> {
    let mut pieces = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.try_next().await.map_err(|error| cut_off(&error))? {
        if bytes.len() + piece.len() > BODY_MAX {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Why a body did not come to its end.
pub(crate) fn cut_off(error: &axum::Error) -> ApiError {
    if TooSlow::is_beneath(error) {
        return ApiError::TooSlow;
    }
    ApiError::InvalidRequest("The body ended before it was complete.".into())
}

/// How many bytes the request says it has.
pub(crate) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The media type in lower case, without its parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(text.split(';').next().unwrap_or(text).trim().to_ascii_lowercase())
}

pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers)
        .and_then(|kind| kind.strip_prefix("application/").map(|rest| rest == "json" || rest.ends_with("+json")))
        .unwrap_or(false)
}

/// What to do about a body that is JSON in no encoding that is read here.
fn foreign(headers: &HeaderMap) -> Option<&'static str> {
    if is_encoded(headers) {
        return Some("send it as it is, without a Content-Encoding");
    }
    let kind = says(headers, header::CONTENT_TYPE)?;
    let charset = kind.split(';').find_map(|parameter| parameter.trim().strip_prefix("charset="))?;
    let utf8 = ["utf-8", "utf8", "us-ascii"].contains(&charset.trim_matches('"'));
    (!utf8).then_some("send it in UTF-8")
}

/// Whether a body is not sent as it is.
pub(crate) fn is_encoded(headers: &HeaderMap) -> bool {
    says(headers, header::CONTENT_ENCODING).is_some_and(|encoding| encoding.trim() != "identity")
}

fn says(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default().to_ascii_lowercase())
}

fn too_large() -> ApiError {
    ApiError::PayloadTooLarge(format!("A JSON body may have at most {BODY_MAX} bytes."))
}

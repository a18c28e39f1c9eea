//! Who is asking: the API key of a request, and the team it speaks for.
//!
//! [`authenticate`] is a layer before all of the API, so that nothing about a request is judged before its key. [`Caller`] is what handlers get
//! of it: the only source of a [`TeamId`], without which no query can be asked. Scopes of keys will be further types beside it.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use domain::{TeamId, api_keys as keys};
use storage::api_keys;

use crate::Shared;
use crate::errors::ApiError;

/// Whoever sent a request with a valid key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// The team that the key belongs to: what it may see, and where what it makes belongs.
    pub(crate) team: TeamId,
}

/// Lets a request with a valid key pass. The key is looked up each time, so that a revocation holds at once.
pub(crate) async fn authenticate(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let hash = keys::hash(bearer(request.headers())?);
    let found = shared.app.db.read::<_, ApiError, _>(async |tx| Ok(api_keys::find(tx, hash).await?)).await?;
    let (_, team) = found.ok_or(ApiError::InvalidToken("This API key is unknown or was revoked."))?;
    request.extensions_mut().insert(Caller { team });
    Ok(next.run(request).await)
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get().copied();
        caller.ok_or_else(|| ApiError::Internal("a route stands outside of the authentication layer".into()))
    }
}

/// The key of the header `Authorization: Bearer <key>`; the scheme in any case, as HTTP has it.
fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    const WANTED: ApiError = ApiError::InvalidToken("Send your API key as one header Authorization: Bearer <key>.");
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(WANTED) };
    let (scheme, key) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(WANTED)?;
    let key = key.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || key.is_empty() {
        return Err(WANTED);
    }
    Ok(key)
}

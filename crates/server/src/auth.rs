//! Who is asking: the API key of a request, and the team it speaks for.
//!
//! [`authenticate`] is a layer before all of the API, so that nothing about a request is judged before its key. [`Caller`] is what handlers get
//! of it: the only source of a [`TeamId`], without which no query can be asked. Scopes of keys will be further types beside it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use domain::{TeamId, Timestamp, api_keys as keys};
use storage::api_keys;

use crate::Shared;
use crate::errors::ApiError;

/// Whoever sent a request with a valid key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// The team that the key belongs to: what it may see, and where what it makes belongs.
    pub(crate) team: TeamId,
}

/// How long a key that was found valid is taken for valid without another look, in milliseconds: so much later a revocation holds at the latest.
const TRUST_MS: u64 = 250;
/// Keys remembered at once; past this all are forgotten.
const KNOWN_MAX: usize = 10_000;

/// Keys that were found valid a moment ago. A busy script asks hundreds of times a second with one.
#[derive(Default)]
pub(crate) struct KnownKeys(Mutex<HashMap<[u8; 32], (Caller, Timestamp)>>);

impl KnownKeys {
    fn get(&self, hash: &[u8; 32], now: Timestamp) -> Option<Caller> {
        let (caller, found) = *self.lock().get(hash)?;
        // A clock that was set back trusts nobody.
        (found <= now && now.ms_since(found) < TRUST_MS).then_some(caller)
    }

    fn remember(&self, hash: [u8; 32], caller: Caller, now: Timestamp) {
        let mut known = self.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(hash, (caller, now));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Caller, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets a request with a valid key pass.
pub(crate) async fn authenticate(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let hash = keys::hash(bearer(request.headers())?);
    let now = shared.app.ambient.now();
    let caller = if let Some(caller) = shared.known_keys.get(&hash, now) {
        caller
    } else {
        let found = shared.app.db.read::<_, ApiError, _>(async |tx| Ok(api_keys::find(tx, hash).await?)).await?;
        let (_, team) = found.ok_or(ApiError::InvalidToken("This API key is unknown or was revoked."))?;
        let caller = Caller { team };
        shared.known_keys.remember(hash, caller, now);
        caller
    };
    request.extensions_mut().insert(caller);
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

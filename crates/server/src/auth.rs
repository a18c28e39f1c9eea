//! Who is asking: the API key of a request, the team it speaks for, and what it may do.
//!
//! [`authenticate`] is a layer before all of the API, so that nothing about a request is judged before its key. [`Caller`] is what handlers get
//! of it: the only source of a [`TeamId`], without which no query can be asked. It names the right that the handler needs, so that none can be
//! written without one. How many requests a key may make is counted in `rates.rs`, how many keys may be guessed in `strangers.rs`.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::api_keys::{ApiKey, Scope};
use domain::{ApiKeyId, TeamId, Timestamp, api_keys as keys};
use storage::{Db, api_keys};
use tracing::field::display;
use tracing::{Instrument as _, Span};

use crate::Shared;
use crate::errors::ApiError;

/// Whoever sent a request with a valid key that has the right `R`.
#[derive(Debug)]
pub(crate) struct Caller<R> {
    /// The team that the key belongs to: what it may see, and where what it makes belongs.
    pub(crate) team: TeamId,
    /// The key.
    pub(crate) key: ApiKeyId,
    right: PhantomData<R>,
}

/// What a handler may ask of a key.
pub(crate) trait Right: Send {
    const SCOPE: Scope;
}

/// To look.
#[derive(Debug)]
pub(crate) struct MayRead;
/// To start runs and deal with them.
#[derive(Debug)]
pub(crate) struct MayRun;
/// To change what runs.
#[derive(Debug)]
pub(crate) struct MayManage;

impl Right for MayRead {
    const SCOPE: Scope = Scope::Read;
}

impl Right for MayRun {
    const SCOPE: Scope = Scope::Run;
}

impl Right for MayManage {
    const SCOPE: Scope = Scope::Manage;
}

/// How long a key that was found valid is taken for valid without another look, in milliseconds: so much later a revocation holds at the latest.
const TRUST_MS: u64 = 250;
/// Keys remembered at once; past this all are forgotten.
const KNOWN_MAX: usize = 10_000;
/// How often it is noted that a key is used, in milliseconds.
const NOTED_EVERY_MS: u64 = 60_000;

/// Keys that were found valid a moment ago. A busy script asks hundreds of times a second with one.
#[derive(Default)]
pub(crate) struct KnownKeys(Mutex<Known>);

/// By hash: the key, and when it was found.
type Known = HashMap<[u8; 32], (Arc<ApiKey>, Timestamp)>;

impl KnownKeys {
    fn get(&self, hash: &[u8; 32], now: Timestamp) -> Option<Arc<ApiKey>> {
        let known = self.lock();
        let (key, found) = known.get(hash)?;
        // A clock that was set back trusts nobody.
        (*found <= now && now.ms_since(*found) < TRUST_MS).then(|| Arc::clone(key))
    }

    fn remember(&self, hash: [u8; 32], key: Arc<ApiKey>, now: Timestamp) {
        let mut known = self.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(hash, (key, now));
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets a request with a valid key pass, if the key has made no more requests than it may; every answer to a valid key says how many are left.
pub(crate) async fn authenticate(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let hash = keys::hash(bearer(request.headers())?);
    let now = shared.app.ambient.now();
    let key = match shared.known_keys.get(&hash, now) {
        Some(key) => key,
        None => shared.find_key(hash, now).await?,
    };
    if key.expires_at.is_some_and(|end| end <= now) {
        return Err(ApiError::InvalidToken("This API key has expired."));
    }
    let span = Span::current();
    span.record("team", display(key.team)).record("key", display(key.id));
    let count = shared.rates.count(&shared.app.db, &key, now).await;
    let mut response = if let Some(refusal) = count.refusal() {
        refusal.into_response()
    } else {
        request.extensions_mut().insert(key);
        next.run(request).await
    };
    count.tell(response.headers_mut());
    Ok(response)
}

impl Shared {
    async fn find_key(&self, hash: [u8; 32], now: Timestamp) -> Result<Arc<ApiKey>, ApiError> {
        if !self.strangers.may_look(&hash, now) {
            return Err(ApiError::TooManyStrangers);
        }
        let found = self.app.db.read::<_, ApiError, _>(async |tx| Ok(api_keys::find(tx, hash).await?)).await?;
        let Some(key) = found else {
            self.strangers.missed(&hash);
            return Err(ApiError::InvalidToken("This API key is unknown or was revoked."));
        };
        self.strangers.found(hash);
        if key.last_used_at.is_none_or(|noted| now.ms_since(noted) >= NOTED_EVERY_MS) {
            note_use(self.app.db.clone(), key.id, now);
        }
        let key = Arc::new(key);
        self.known_keys.remember(hash, Arc::clone(&key), now);
        Ok(key)
    }
}

/// Beside the request: a full disk must not keep anybody from reading.
fn note_use(db: Db, id: ApiKeyId, now: Timestamp) {
    let noting = async move {
        if let Err(error) = db.write(async move |tx| api_keys::used(tx, id, now).await).await {
            tracing::debug!(%error, key = %id, "it is not noted that a key was used");
        }
    };
    tokio::spawn(noting.in_current_span());
}

impl<R: Right, S: Sync> FromRequestParts<S> for Caller<R> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(key) = parts.extensions.get::<Arc<ApiKey>>() else {
            return Err(ApiError::Internal("a route stands outside of the authentication layer".into()));
        };
        if !key.scopes.allow(R::SCOPE) {
            return Err(ApiError::InsufficientScope(R::SCOPE));
        }
        Ok(Self { team: key.team, key: key.id, right: PhantomData })
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

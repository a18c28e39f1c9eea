//! How many requests a key may make a minute, and what its answers say about it.
//!
//! Minutes are those of the clock, so that all nodes and all clients mean the same ones. Where one process has the database for itself, it counts
//! in memory. Where several may serve, each takes a few requests of the key's minute out of the database and serves them by itself: never more
//! than the limit in all, and less only by what a node took and was not asked for, a sixty-fourth of what was left then. While the
//! database takes no writes each node counts for itself: to count requests must not be a reason not to serve them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use domain::api_keys::ApiKey;
use domain::{ApiKeyId, Timestamp};
use storage::rates::{self, Share};
use storage::{Db, StoreError};
use tokio::sync::Mutex;

use crate::errors::ApiError;

/// What the published API allows.
pub const REQUESTS_PER_MINUTE: u32 = 300;

/// A node takes this part of what is left at a time.
const PART: u32 = 64;
/// Without an answer of the database it takes this part of the whole, and asks again after that.
const PART_ALONE: u32 = 8;
/// How long a share of a minute is waited for.
const PATIENCE: Duration = Duration::from_millis(200);
/// Keys counted at once before those of past minutes are forgotten.
const KEYS: usize = 10_000;
const MINUTE_MS: i64 = 60_000;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// What is counted.
pub(crate) struct Rates {
    usual: u32,
    keys: std::sync::Mutex<HashMap<ApiKeyId, Arc<Mutex<Minute>>>>,
}

/// A key's minute as this node sees it.
#[derive(Default)]
struct Minute {
    /// Counted from 1970.
    number: i64,
    /// Requests that this node may still serve.
    own: u32,
    /// Requests that any node may still take, as far as this one knows.
    left: u32,
    /// Requests that this node took, those included of which the database knows nothing.
    taken: u32,
}

/// How one request came out.
pub(crate) struct Count(Option<Counted>);

struct Counted {
    limit: u32,
    /// `None`: there was none left for this request.
    remaining: Option<u32>,
    /// In seconds since 1970.
    reset: i64,
    /// In seconds.
    wait: u64,
}

impl Rates {
    /// For keys that have no limit of their own; 0 is none.
    pub(crate) fn new(usual: u32) -> Self {
        Self { usual, keys: std::sync::Mutex::default() }
    }

    /// Counts one request.
    pub(crate) async fn count(&self, db: &Db, key: &ApiKey, now: Timestamp) -> Count {
        let limit = key.requests_per_minute.unwrap_or(self.usual);
        if limit == 0 {
            return Count(None);
        }
        let number = now.0.div_euclid(MINUTE_MS);
        let minute = self.minute(key.id, number);
        // Held while the database is asked, so that a burst does not take a share a request.
        let mut minute = minute.lock().await;
        if minute.number != number {
            *minute = Minute { number, own: 0, left: limit, taken: 0 };
        }
        if minute.own == 0 && minute.left > 0 {
            minute.take(db, key.id, limit).await;
        }
        let remaining = minute.own.checked_sub(1).map(|own| {
            minute.own = own;
            own + minute.left
        });
        let reset = (number + 1) * MINUTE_MS;
        let wait = now.ms_since(Timestamp(reset - MINUTE_MS));
        let wait = u64::try_from(MINUTE_MS).unwrap_or_default().saturating_sub(wait).div_ceil(1000);
        Count(Some(Counted { limit, remaining, reset: reset / 1000, wait }))
    }

    fn minute(&self, key: ApiKeyId, number: i64) -> Arc<Mutex<Minute>> {
        let mut keys = self.keys.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if keys.len() >= KEYS {
            keys.retain(|_, minute| minute.try_lock().map_or(true, |minute| minute.number >= number));
        }
        Arc::clone(keys.entry(key).or_default())
    }
}

impl Minute {
    async fn take(&mut self, db: &Db, key: ApiKeyId, limit: u32) {
        let (number, want) = (self.number, (self.left / PART).max(1));
        let taken = if db.is_shared() {
            let share = db.write::<_, StoreError, _>(async move |tx| rates::take(tx, key, number, want, limit).await);
            tokio::time::timeout(PATIENCE, share).await.ok().and_then(Result::ok)
        } else {
            None
        };
        // Without the others this node counts for itself, but not for longer than that lasts. What it takes so, the database does not learn of.
        let alone = (limit / PART_ALONE).clamp(1, self.left);
        let share = taken.unwrap_or(Share { got: alone, left: self.left - alone });
        let room = limit.saturating_sub(self.taken);
        self.own = share.got.min(room);
        self.taken += self.own;
        self.left = share.left.min(room - self.own);
    }
}

impl Count {
    /// The answer to a request too many.
    pub(crate) fn refusal(&self) -> Option<ApiError> {
        let counted = self.0.as_ref().filter(|counted| counted.remaining.is_none())?;
        Some(ApiError::RateLimited { limit: counted.limit, wait: counted.wait })
    }

    /// Says in an answer's headers how it stands. Nothing where there is no limit.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        let Some(counted) = &self.0 else { return };
        headers.insert(LIMIT, counted.limit.into());
        headers.insert(REMAINING, counted.remaining.unwrap_or_default().into());
        headers.insert(RESET, HeaderValue::from(counted.reset));
    }
}

//! Reading query strings. Every operation says which parameters it has; any other is a 400 that names it.
//!
//! The parameters of lists are read in the contract room; here are the extractor around it and the few others.

use axum::extract::FromRequestParts;
use axum::extract::Query as Pairs;
use axum::http::request::Parts;
use contract::pages::{PageQuery, RunQuery};
use storage::Tx;

use crate::Shared;
use crate::errors::{ApiError, repeated};

/// From this offset on a page is read beside the point reads, since the rows before it must be walked.
const DEEP: u64 = 1_000;

/// The parameters of a request.
pub(crate) struct Query<Q>(pub(crate) Q);

/// A set of parameters that some operation has.
pub(crate) trait Parameters: Sized {
    /// Reads decoded pairs.
    fn read(pairs: &[(String, String)]) -> Result<Self, ApiError>;
}

/// No parameters at all.
pub(crate) struct Nothing;

/// `path`: where in a sandbox.
pub(crate) struct FilePath(pub(crate) Option<String>);

/// `after`: the last event that the client has.
pub(crate) struct After(pub(crate) Option<String>);

impl Parameters for PageQuery {
    fn read(pairs: &[(String, String)]) -> Result<Self, ApiError> {
        Ok(Self::parse(pairs)?)
    }
}

impl Parameters for RunQuery {
    fn read(pairs: &[(String, String)]) -> Result<Self, ApiError> {
        Ok(Self::parse(pairs)?)
    }
}

impl Parameters for Nothing {
    fn read(pairs: &[(String, String)]) -> Result<Self, ApiError> {
        match pairs.first() {
            None => Ok(Self),
            Some((name, _)) => Err(bad(name, "unknown, this operation has no parameters")),
        }
    }
}

impl Parameters for FilePath {
    fn read(pairs: &[(String, String)]) -> Result<Self, ApiError> {
        only("path", pairs).map(Self)
    }
}

impl Parameters for After {
    fn read(pairs: &[(String, String)]) -> Result<Self, ApiError> {
        only("after", pairs).map(Self)
    }
}

impl<Q: Parameters, S: Sync> FromRequestParts<S> for Query<Q> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let pairs = Pairs::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| ApiError::InvalidRequest(format!("the query string cannot be read: {error}")))?;
        if let Some((name, _)) = pairs.iter().find(|(name, value)| name.contains('\0') || value.contains('\0')) {
            return Err(bad(name, "holds U+0000, which no text may"));
        }
        Q::read(&pairs.0).map(Self)
    }
}

impl Shared {
    /// Reads a page of a list that is found by an index: at once, unless it lies deep.
    pub(crate) async fn read_page<T, F>(&self, page: PageQuery, job: F) -> Result<T, ApiError>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, ApiError> + Send + 'static,
        T: Send + 'static,
    {
        if page.offset > DEEP { self.app.db.read_slow(job).await } else { self.app.db.read(job).await }
    }
}

fn only(known: &str, pairs: &[(String, String)]) -> Result<Option<String>, ApiError> {
    if let Some((name, _)) = pairs.iter().find(|(name, _)| name != known) {
        return Err(bad(name, &format!("unknown, expected {known}")));
    }
    match pairs {
        [] => Ok(None),
        [(_, value)] => Ok(Some(value.clone())),
        _ => Err(bad(known, "given twice, expected once")),
    }
}

fn bad(name: &str, sentence: &str) -> ApiError {
    ApiError::InvalidRequest(format!("query parameter `{}`: {sentence}", repeated(name)))
}

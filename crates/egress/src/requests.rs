//! What is asked for, and what it may cost.

use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, StatusCode};
use url::Url;

use crate::errors::Error;
use crate::headers;

/// How large an answer may be, in bytes, unless the request says otherwise.
pub const MOST: u64 = 10 * 1024 * 1024;
/// How long it may take from the first name to be resolved to the last byte of the answer, unless the request says otherwise.
pub const TOTAL: Duration = Duration::from_secs(30);
/// How long it may take to resolve a name and connect, and as long again for TLS, unless the request says otherwise. A connection that does
/// not come about, whatever the reason, takes exactly so long.
pub const CONNECT: Duration = Duration::from_secs(5);
/// How many redirects are followed for a file.
const HOPS: u8 = 3;

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) most: u64,
    pub(crate) total: Duration,
    pub(crate) connect: Duration,
    /// Redirects that may still be followed.
    pub(crate) hops: Option<u8>,
}

impl Request {
    /// A request whose answer is what comes, also if that is a redirect: for webhooks and tools.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            most: MOST,
            total: TOTAL,
            connect: CONNECT,
            hops: None,
        }
    }

    /// A `GET` that follows up to three redirects: for files. To another origin it takes along nothing but what kind of answer is wanted.
    pub fn file(url: Url) -> Self {
        Self { hops: Some(HOPS), ..Self::new(Method::GET, url) }
    }

    /// With a header. Its value may be a secret and is not shown by `Debug`.
    ///
    /// # Errors
    /// [`Error::Header`], if it belongs to the connection or holds what headers do not.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let (name, value) = headers::check(name, value)?;
        self.headers.append(name, value);
        Ok(self)
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// How large the answer's body may be, in bytes, as it comes: nothing is unpacked. [`MOST`] without it.
    #[must_use]
    pub fn most(mut self, bytes: u64) -> Self {
        self.most = bytes;
        self
    }

    /// How long all of it may take. [`TOTAL`] without it.
    #[must_use]
    pub fn total(mut self, total: Duration) -> Self {
        self.total = total;
        self
    }

    /// How long a connection may take to come about. [`CONNECT`] without it.
    #[must_use]
    pub fn connect(mut self, connect: Duration) -> Self {
        self.connect = connect;
        self
    }

    /// The request that a redirect asks for.
    pub(crate) fn redirected(mut self, url: Url) -> Self {
        if url.origin() != self.url.origin() {
            let given = std::mem::take(&mut self.headers);
            let harmless = given.iter().filter(|(name, _)| headers::is_harmless(name));
            self.headers = harmless.map(|(name, value)| (name.clone(), value.clone())).collect();
        }
        self.url = url;
        self
    }
}

/// Whether a status asks to look elsewhere.
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_origin_keeps_what_it_was_given() {
        let request = Request::file("https://a.example/1".parse().unwrap());
        let request = request.header("Authorization", "Bearer 1").unwrap().header("X-Api-Key", "2").unwrap();
        let request = request.header("Cookie", "c=3").unwrap().header("Accept", "image/*").unwrap();
        let kept = |to: &str| {
            let mut names: Vec<_> =
                request.clone().redirected(to.parse().unwrap()).headers.keys().map(ToString::to_string).collect();
            names.sort();
            names.join(" ")
        };
        for same in ["https://a.example/2", "https://a.example:443/3", "https://A.example/4?5"] {
            assert_eq!(kept(same), "accept authorization cookie x-api-key", "{same}");
        }
        for other in ["https://b.example/", "https://a.example:8443/", "http://a.example/", "https://www.a.example/"] {
            assert_eq!(kept(other), "accept", "{other}");
        }
        assert!(!format!("{request:?}").contains("Bearer"));
    }
}

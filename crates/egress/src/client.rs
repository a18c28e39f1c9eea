//! The walk: look at the URL, connect to what was vetted, ask, and, for a file, go on where a redirect leads and begin again.
//!
//! One request, one connection: none is kept for another, so none outlives the look at its address, and teams share none. HTTP/1.1 only. What
//! comes is not unpacked, and no cookie is kept.

use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, HOST, HeaderMap, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use url::Position;

use crate::answers::Answer;
use crate::connect::{Connection, Way};
use crate::errors::{Error, UrlFlaw};
use crate::parts::{NoTls, Parts};
use crate::policy::Policy;
use crate::requests::{Request, is_redirect};
use crate::urls::{self, place};

/// The largest head of an answer, in bytes.
const HEAD: usize = 64 * 1024;
/// The most headers of an answer.
const HEADERS: usize = 100;
/// Who asks, unless the request says.
const AGENT: &str = concat!("errand/", env!("CARGO_PKG_VERSION"));

/// The way out. Clones are the same one.
#[derive(Clone)]
pub struct Client {
    policy: Arc<Policy>,
    parts: Parts,
}

impl Client {
    /// Over the real network.
    ///
    /// # Errors
    /// When this machine has no certificates to trust.
    pub fn new(policy: Policy) -> Result<Self, NoTls> {
        Ok(Self::with_parts(policy, Parts::real()?))
    }

    /// Over another network: for tests.
    pub fn with_parts(policy: Policy, parts: Parts) -> Self {
        Self { policy: Arc::new(policy), parts }
    }

    /// The rules, to look at a URL when it is given.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Asks, and returns with the head of the answer. Whatever its status is, it is an answer. Nothing is tried twice.
    ///
    /// # Errors
    /// Each of [`Error`] but [`Error::Header`] and [`Error::TooLarge`].
    pub async fn send(&self, mut request: Request) -> Result<Answer, Error> {
        let now = Instant::now();
        let deadline = now.checked_add(request.total).unwrap_or(now);
        loop {
            let target = self.policy.target(&request.url)?;
            let way = Way { policy: &self.policy, parts: &self.parts, target: &target, deadline };
            let connection = way.open(place(&request.url), request.connect).await?;
            let answer = ask(connection, &request, deadline).await?;
            match self.redirected(&request, &answer)? {
                Some(next) => request = next,
                None => return Ok(answer),
            }
        }
    }

    /// What to ask for next, if the answer redirects and the request wants to follow.
    fn redirected(&self, request: &Request, answer: &Answer) -> Result<Option<Request>, Error> {
        let (Some(hops), true) = (request.hops, is_redirect(answer.status())) else { return Ok(None) };
        let Some(location) = answer.headers().get(LOCATION) else { return Ok(None) };
        let refused = |why: String| Error::Redirect { place: place(&request.url), why };
        let hops = hops.checked_sub(1).ok_or_else(|| refused("one too many in a row".into()))?;
        let location = location.to_str().map_err(|_| refused("its Location is no URL".into()))?;
        let url = urls::join(&request.url, location).and_then(|url| self.policy.target(&url).map(|_| url));
        let url = url.map_err(|flaw| refused(format!("to a URL that is refused: {flaw}")))?;
        Ok(Some(Request { hops: Some(hops), ..request.clone().redirected(url) }))
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the client that everybody else is to use")]
async fn ask(connection: Connection, request: &Request, deadline: Instant) -> Result<Answer, Error> {
    let place = place(&request.url);
    let written = written(request)?;
    let broken = |error: hyper::Error| Error::Broken { place: place.clone(), why: said(&error) };
    let asked = async {
        let mut http = http1::Builder::new();
        http.max_header_size(HEAD).max_headers(HEADERS);
        let (mut sender, connection) = http.handshake(TokioIo::new(connection)).await.map_err(broken)?;
        // Ends with the answer that it belongs to. What goes wrong is told to whoever waits for that.
        let mut driving = JoinSet::new();
        driving.spawn(async { drop(connection.await) });
        let response: Response<Incoming> = sender.send_request(written).await.map_err(broken)?;
        Ok::<_, Error>((response, driving))
    };
    let (response, driving) = match timeout_at(deadline, asked).await {
        Ok(asked) => asked?,
        Err(_) => return Err(Error::TimedOut { place, total: request.total }),
    };
    if response.status().is_informational() {
        return Err(Error::Broken { place, why: "it wants to speak another protocol".into() });
    }
    Ok(Answer::new(response, driving, request, deadline, place))
}

/// The request as hyper sends it: with the path alone, and everything about the connection from us.
fn written(request: &Request) -> Result<hyper::Request<Full<Bytes>>, Error> {
    let url = &request.url;
    let unfit = |flaw: &dyn std::fmt::Display| Error::Url(UrlFlaw::NoUrl(flaw.to_string()));
    let path: Uri = url[Position::BeforePath..Position::AfterQuery].parse().map_err(|flaw| unfit(&flaw))?;
    let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]).map_err(|flaw| unfit(&flaw))?;
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    // Those of the request, in place of these.
    headers.extend(request.headers.clone());
    headers.insert(HOST, host);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let mut written = hyper::Request::new(Full::new(request.body.clone()));
    *written.method_mut() = request.method.clone();
    *written.uri_mut() = path;
    *written.headers_mut() = headers;
    Ok(written)
}

/// What an error says with all that caused it.
pub(crate) fn said(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |said, cause| format!("{said}: {cause}"))
}

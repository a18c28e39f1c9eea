//! What comes back: status and headers at once, the body as it comes, never more of it and never longer than the request allows.

use futures_util::{Stream, TryStreamExt as _, stream};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::client::said;
use crate::errors::Error;
use crate::requests::Request;

/// An answer. Dropping it closes its connection.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    url: Url,
    body: Incoming,
    place: String,
    /// Bytes that the request allows, and those that came.
    most: u64,
    came: u64,
    request_total: std::time::Duration,
    deadline: Instant,
    _driving: JoinSet<()>,
}

impl Answer {
    pub(crate) fn new(
        response: Response<Incoming>,
        driving: JoinSet<()>,
        request: &Request,
        deadline: Instant,
        place: String,
    ) -> Self {
        let (head, body) = response.into_parts();
        Self {
            status: head.status,
            headers: head.headers,
            url: request.url.clone(),
            body,
            place,
            most: request.most,
            came: 0,
            request_total: request.total,
            deadline,
            _driving: driving,
        }
    }

    /// Its status, of whatever kind.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Where it came from: the last of the redirects, if there were any.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The whole body, as it was sent: not unpacked.
    ///
    /// # Errors
    /// [`Error::TooLarge`], before anything is read if the answer says its size itself; [`Error::TimedOut`]; [`Error::Broken`].
    pub async fn bytes(self) -> Result<Bytes, Error> {
        let whole = Vec::new();
        let whole = self.into_stream().try_fold(whole, async |mut whole, part| {
            whole.extend_from_slice(&part);
            Ok(whole)
        });
        whole.await.map(Bytes::from)
    }

    /// The body in parts, as they come. An error is its last item; it is one of those of [`Answer::bytes`].
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send {
        stream::try_unfold(self, async |mut answer| Ok(answer.part().await?.map(|part| (part, answer))))
    }

    async fn part(&mut self) -> Result<Option<Bytes>, Error> {
        let left = self.most.saturating_sub(self.came);
        if self.body.size_hint().lower() > left {
            return Err(self.too_large());
        }
        loop {
            // What never has to be waited for never runs into a timeout.
            if Instant::now() >= self.deadline {
                return Err(self.timed_out());
            }
            let frame = match timeout_at(self.deadline, self.body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => {
                    return Err(Error::Broken { place: self.place.clone(), why: said(&error) });
                }
                Ok(None) => return Ok(None),
                Err(_) => return Err(self.timed_out()),
            };
            // Trailers are nobody's.
            let Ok(part) = frame.into_data() else { continue };
            self.came = self.came.saturating_add(part.len() as u64);
            return if self.came > self.most { Err(self.too_large()) } else { Ok(Some(part)) };
        }
    }

    fn too_large(&self) -> Error {
        Error::TooLarge { place: self.place.clone(), most: self.most }
    }

    fn timed_out(&self) -> Error {
        Error::TimedOut { place: self.place.clone(), total: self.request_total }
    }
}

//! The bodies of a request and its answer, as they pass through a connection: the one has to come fast enough, the other says when it is over.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::guarded::Phase;
use crate::limits::Limits;

/// Why a body was given up.
#[derive(Debug)]
pub(crate) struct TooSlow;

impl TooSlow {
    /// Whether this is what is beneath `error`.
    pub(crate) fn is_beneath(error: &(dyn Error + 'static)) -> bool {
        let mut next = Some(error);
        while let Some(error) = next {
            if error.is::<Self>() {
                return true;
            }
            next = error.source();
        }
        false
    }
}

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body comes too slowly")
    }
}

impl Error for TooSlow {}

/// A request's body. Its timer is made when something has to be waited for: most bodies come with their head.
pub(super) struct Arriving {
    body: Incoming,
    pace: Pace,
    timer: Option<Pin<Box<Sleep>>>,
}

/// How fast a body comes.
struct Pace {
    idle: Duration,
    rate: u32,
    most: Duration,
    began: Option<Instant>,
    last: Option<Instant>,
    bytes: u64,
}

impl Arriving {
    pub(super) fn new(body: Incoming, limits: &Limits, most: Duration) -> Self {
        let pace = Pace { idle: limits.body_idle, rate: limits.body_rate, most, began: None, last: None, bytes: 0 };
        Self { body, pace, timer: None }
    }
}

impl Pace {
    /// Until when something must have come, at the moment when nothing is there.
    fn until(&mut self, now: Instant) -> Instant {
        let began = *self.began.get_or_insert(now);
        let last = *self.last.get_or_insert(now);
        let earned = Duration::from_secs(self.bytes / u64::from(self.rate.max(1)));
        (last + self.idle).min(began + self.idle + earned).min(began + self.most)
    }

    fn came(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.last = None;
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
            this.pace.came(bytes);
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let until = this.pace.until(Instant::now());
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        timer.as_mut().poll(cx).map(|()| Some(Err(TooSlow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body, which tells the connection when nothing of it is left.
pub(super) struct Leaving {
    body: Body,
    phase: Phase,
}

impl Leaving {
    pub(super) fn new(body: Body, phase: Phase) -> Self {
        Self { body, phase }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.phase.answered();
    }
}

impl HttpBody for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_earns_time_by_its_bytes_and_never_more_than_there_is() {
        let [idle, most] = [15, 60].map(Duration::from_secs);
        let mut pace = Pace { idle, rate: 1_024, most, began: None, last: None, bytes: 0 };
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        assert_eq!(pace.until(start), at(15));
        // A byte now and then is silence.
        pace.came(1);
        assert_eq!(pace.until(at(14)), at(15));
        pace.came(20 * 1_024);
        assert_eq!(pace.until(at(14)), at(29), "silent for the idle time");
        pace.came(1);
        assert_eq!(pace.until(at(28)), at(35), "slower than the rate");
        pace.came(1_000_000);
        assert_eq!(pace.until(at(50)), at(60), "longer than in all");
    }
}

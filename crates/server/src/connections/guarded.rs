//! The stream of a connection, with an eye on the clock: between hyper, which knows what the bytes mean, and the socket.
//!
//! It keeps three times that hyper has no timer for: how long the next request may take to come, how long its head may take to be complete, how
//! long a client may leave an answer lying. There is one timer a connection, and it is moved only if it would come too late, or has come too soon: a
//! busy connection moves it once in the time that it may be idle. And what hyper says by itself, an empty answer to what is no HTTP, is put into the words of the API.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::stream::Stream;
use super::words::words;
use crate::Shared;
use crate::edge::URI_MAX;
use crate::errors::ApiError;
use crate::limits::Limits;

/// What a client must take of an answer in [`Limits::stall`], if so much is there.
const STALL_BYTES: usize = 16 * 1024;

/// What the first line of a request may have beside its URI: a method and a version.
const LINE_EXTRA: usize = 64;

/// Where a connection stands. Shared with the service, which sees requests come, and their answers, which see their own end.
#[derive(Debug, Clone, Default)]
pub(super) struct Phase(Arc<AtomicU8>);

/// Nothing of a request is there, and all that was to be said is said.
const IDLE: u8 = 0;
/// A part of a head is there.
const HEAD: u8 = 1;
/// A request is being answered.
const AT_WORK: u8 = 2;
/// The answer is complete, but maybe not yet sent.
const ANSWERED: u8 = 3;

impl Phase {
    pub(super) fn at_work(&self) {
        self.set(AT_WORK);
    }

    pub(super) fn answered(&self) {
        self.set(ANSWERED);
    }

    /// Whether nobody would miss the connection.
    pub(super) fn is_idle(&self) -> bool {
        self.get() == IDLE
    }

    fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, phase: u8) {
        self.0.store(phase, Ordering::Relaxed);
    }
}

pub(super) struct Guarded {
    stream: Stream,
    shared: Arc<Shared>,
    phase: Phase,
    timer: Pin<Box<Sleep>>,
    /// Until when the next request must begin to come.
    idle_until: Instant,
    /// Until when the head must be complete of which a part is there; set when more of it has to be waited for.
    head_until: Option<Instant>,
    /// Whether the first line of the head is complete.
    line_ended: bool,
    /// How long the first line of this head is, as far as it came.
    line: usize,
    /// Until when the client must have taken how much more of what is there for it.
    stall: Option<(Instant, usize)>,
    /// Our own words in place of hyper's, and how much of them is sent.
    own: Option<(Vec<u8>, usize)>,
    /// Whether the other side has no more to say, or nothing will be said to it.
    over: bool,
}

impl Guarded {
    pub(super) fn new(stream: Stream, shared: Arc<Shared>, phase: Phase) -> Self {
        let idle_until = Instant::now() + shared.limits.head;
        let timer = Box::pin(tokio::time::sleep_until(idle_until));
        let (head_until, stall, own) = (None, None, None);
        Self {
            stream,
            shared,
            phase,
            timer,
            idle_until,
            head_until,
            line_ended: false,
            line: 0,
            stall,
            own,
            over: false,
        }
    }

    /// The stream, if the other side may still be talking.
    pub(super) fn into_talking(self) -> Option<Stream> {
        (!self.over).then_some(self.stream)
    }

    fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Whether it is later than `deadline`; else wakes the task then.
    fn is_over(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        if deadline < self.timer.deadline() {
            self.timer.as_mut().reset(deadline);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return true;
            }
            self.timer.as_mut().reset(deadline);
        }
        false
    }

    /// Nothing came: is it time to give the connection up?
    fn waited(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.phase.get() {
            IDLE if self.is_over(self.idle_until, cx) => {
                // As if the client had closed it, which it may do at any time now.
                self.over = true;
                Poll::Ready(Ok(()))
            }
            HEAD => {
                let until = *self.head_until.get_or_insert_with(|| Instant::now() + self.shared.limits.head);
                if !self.is_over(until, cx) {
                    return Poll::Pending;
                }
                let said = words(&ApiError::TooSlow, self.shared.request_ids.next());
                // All before it was sent, so there is room; and a client that takes nothing is not waited for.
                let _ = Pin::new(&mut self.stream).poll_write(cx, &said);
                let _ = Pin::new(&mut self.stream).poll_flush(cx);
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            _ => Poll::Pending,
        }
    }

    /// Whether what hyper writes now is its own: no request is at work, and all answers are sent.
    fn is_hypers(&self) -> bool {
        matches!(self.phase.get(), IDLE | HEAD)
    }

    /// Says in the API's words what hyper says with an empty answer, `length` bytes of which begin with `hypers`.
    fn say(&mut self, hypers: &[u8], length: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.own.is_none() {
            let error = match hypers.get(9..12) {
                Some(b"414") => ApiError::UriTooLong,
                Some(b"431") if !self.line_ended || self.line > URI_MAX + LINE_EXTRA => ApiError::UriTooLong,
                Some(b"431") => ApiError::HeadTooLarge,
                _ => ApiError::NoHttp,
            };
            self.own = Some((words(&error, self.shared.request_ids.next()), 0));
        }
        while let Some((words, sent)) = self.own.as_mut().filter(|(words, sent)| *sent < words.len()) {
            *sent += ready!(Pin::new(&mut self.stream).poll_write(cx, &words[*sent..]))?;
        }
        Poll::Ready(Ok(length))
    }

    /// Some of an answer was taken, or nothing: is the client still there?
    fn wrote(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(taken)) => {
                if let Some((_, left)) = &mut self.stall {
                    *left = left.saturating_sub(taken);
                    if *left == 0 {
                        self.stall = None;
                    }
                }
                Poll::Ready(Ok(taken))
            }
            Poll::Pending => {
                let patience = self.limits().stall;
                let (until, _) = *self.stall.get_or_insert_with(|| (Instant::now() + patience, STALL_BYTES));
                if self.is_over(until, cx) {
                    tracing::debug!("a client that takes nothing of its answer is cut off");
                    self.over = true;
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                Poll::Pending
            }
            failed @ Poll::Ready(Err(_)) => failed,
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Pending => this.waited(cx),
            Poll::Ready(Ok(())) => {
                let new = &buf.filled()[before..];
                this.over |= new.is_empty();
                if this.is_hypers() && !new.is_empty() {
                    this.phase.set(HEAD);
                    if !this.line_ended {
                        let end = new.iter().position(|byte| *byte == b'\n');
                        this.line += end.unwrap_or(new.len());
                        this.line_ended = end.is_some();
                    }
                }
                Poll::Ready(Ok(()))
            }
            failed @ Poll::Ready(Err(_)) => {
                this.over = true;
                failed
            }
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_hypers() {
            return this.say(buf, buf.len(), cx);
        }
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.wrote(written, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_hypers() {
            let (hypers, length) = (bufs.first().map_or(&[][..], |buf| buf), bufs.iter().map(|buf| buf.len()).sum());
            return this.say(hypers, length, cx);
        }
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.wrote(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called once all that hyper has is written.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if Pin::new(&mut this.stream).poll_flush(cx)?.is_pending() {
            return this.wrote(Poll::Pending, cx).map_ok(|_| ());
        }
        this.stall = None;
        if this.phase.get() == ANSWERED {
            this.phase.set(IDLE);
            this.idle_until = Instant::now() + this.limits().keep_alive;
            (this.head_until, this.line_ended, this.line) = (None, false, 0);
            // Hyper waited for the next request before it wrote this answer, and may not ask again.
            if this.is_over(this.idle_until, cx) {
                cx.waker().wake_by_ref();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

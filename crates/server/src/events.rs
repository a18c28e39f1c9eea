//! The event stream of a run, an extension: its journal, entry by entry, as Server-Sent Events.
//!
//! Each committed entry is sent once and in order, and nothing else is. A client that lost the connection goes on after the last id it saw. The
//! stream ends when the run has and all of it was sent, when its key is revoked or expires, or when the server stops.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName};
use axum::response::IntoResponse;
use axum::response::sse::{self, KeepAlive, Sse};
use contract::events::Event;
use domain::{ApiKeyId, RunId, TeamId};
use futures_util::stream;
use serde_json::value::RawValue;
use storage::bell::RunWatch;
use storage::journal::{self, Line};
use storage::{StoreError, Tx, api_keys, runs};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use crate::Shared;
use crate::auth::{Caller, MayRead};
use crate::errors::{ApiError, repeated};
use crate::path::Id;
use crate::query::{After, Query};
use crate::runs::find;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Asks a proxy in between not to gather events before it passes them on.
const AT_ONCE: [(HeaderName, &str); 1] = [(HeaderName::from_static("x-accel-buffering"), "no")];
/// Entries read at once: what a stream holds in memory.
const BATCH: u32 = 100;
/// How long to trust the bell alone, since another process may have written, and the key: so much later a revocation holds at the latest.
const TRUST: Duration = Duration::from_millis(900);
/// Streams that one key may have open at once on a node, so that one client's are not all of its connections.
pub(crate) const STREAMS: usize = 512;
pub(crate) const BUSY: &str = "This API key has as many event streams open as it may. Close one, or read GET /v1/runs/{run_id} now and then instead.";
/// How often an idle stream says that it is there, so that nothing in between closes it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `event.stream`: from the beginning, or after `Last-Event-ID`, or after `?after=`; the header wins, since a browser that reconnects sends
/// both.
pub(crate) async fn stream(
    caller: Caller<MayRead>,
    Id(run): Id<RunId>,
    Query(After(after)): Query<After>,
    headers: HeaderMap,
    State(shared): State<Arc<Shared>>,
) -> Result<impl IntoResponse, ApiError> {
    let place = shared.listeners.take(caller.key).await?;
    // Also one that does not count must be a number.
    let after = after.map_or(Ok(0), |text| seq("query parameter `after`", &text))?;
    let after = match headers.get(LAST_EVENT_ID) {
        Some(id) => seq("header Last-Event-ID", &String::from_utf8_lossy(id.as_bytes()))?,
        None => after,
    };
    // Watched before the first read: what is committed in between is seen by one of the two.
    let watch = shared.app.bell.watch_run(run.0);
    let newest = shared.app.db.read(async |tx| find(tx, caller.team, run).await).await?.last_seq;
    if after > newest {
        return Err(ApiError::InvalidRequest(format!(
            "There is no event {after} to go on after: the newest is {newest}."
        )));
    }
    let closing = shared.closing.subscribe();
    let after = after + u64::from(after > 0 && faults::sabotaged(faults::Sabotage::SkipOnReturn));
    let Caller { team, key, .. } = caller;
    let tail = Tail {
        shared,
        team,
        key,
        run,
        after,
        read: VecDeque::new(),
        looked: Instant::now(),
        watch,
        closing,
        _place: place,
    };
    let events = stream::try_unfold(tail, async |mut tail| {
        let next = tail
            .next()
            .await
            .inspect_err(|error| tracing::error!(run = %tail.run, %error, "an event stream broke off"))?;
        Ok::<_, StoreError>(next.map(|event| (event, tail)))
    });
    Ok((AT_ONCE, Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))))
}

/// Where a stream stands.
struct Tail {
    shared: Arc<Shared>,
    team: TeamId,
    key: ApiKeyId,
    run: RunId,
    /// The last entry that was read.
    after: u64,
    /// Entries read and not yet sent.
    read: VecDeque<Line>,
    /// When the key was last looked at.
    looked: Instant,
    watch: RunWatch,
    closing: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl Tail {
    async fn next(&mut self) -> Result<Option<sse::Event>, StoreError> {
        loop {
            if *self.closing.borrow() {
                return Ok(None);
            }
            if self.looked.elapsed() < TRUST
                && let Some(line) = self.read.pop_front()
            {
                return event(self.run, &line).map(Some);
            }
            let over = self.read_on().await?;
            if !self.read.is_empty() {
                continue;
            }
            if over {
                return Ok(None);
            }
            tokio::select! {
                () = self.watch.changed() => {}
                () = tokio::time::sleep(TRUST) => {}
                _ = self.closing.changed() => {}
            }
        }
    }

    /// Looks at the key, and reads what is new if all before it was sent; whether, as of the same snapshot, the run has ended and nothing of it is
    /// left to read, or the key is no longer good.
    async fn read_on(&mut self) -> Result<bool, StoreError> {
        let Self { team, key, run, after, .. } = *self;
        let most = if self.read.is_empty() { BATCH } else { 0 };
        let look = async |tx: &mut Tx<'_>| {
            let key = api_keys::get(tx, team, key).await?;
            Ok((key, journal::after(tx, team, run, after, most).await?, runs::get(tx, team, run).await?))
        };
        let (key, lines, row) = self.shared.app.db.read::<_, StoreError, _>(look).await?;
        if key.is_none_or(|key| !key.is_good(self.shared.app.ambient.now())) {
            self.read.clear();
            return Ok(true);
        }
        self.looked = Instant::now();
        self.after = lines.last().map_or(after, |line| line.seq);
        self.read.extend(lines);
        // A run that is gone has no more events either.
        Ok(row.is_none_or(|row| row.completed_at.is_some() && row.last_seq <= self.after))
    }
}

fn event(run: RunId, line: &Line) -> Result<sse::Event, StoreError> {
    let corrupt =
        |what: String| StoreError::Corrupt { what: format!("journal entry {} of run {run}: {what}", line.seq) };
    let sent = sse::Event::default().id(line.seq.to_string()).event(&line.kind);
    let data = Event {
        seq: line.seq,
        kind: line.kind.clone(),
        run_id: run.to_string(),
        timestamp: line.at.to_string(),
        data: RawValue::from_string(line.body.clone()).map_err(|error| corrupt(error.to_string()))?,
    };
    sent.json_data(data).map_err(|error| corrupt(error.to_string()))
}

fn seq(place: &str, text: &str) -> Result<u64, ApiError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse::<u64>().ok().filter(|number| digits && i64::try_from(*number).is_ok());
    number.ok_or_else(|| {
        ApiError::InvalidRequest(format!(
            "{place}: expected the id of an event, a whole number, got {:?}",
            repeated(text)
        ))
    })
}

//! Event streams as a reader gets them, byte for byte: to their end, or until the server is gone, and then on from the last event.

use std::fmt;
use std::time::Duration;

use contract::events::Event;
use domain::{RunId, Timestamp};

use crate::api::Api;
use crate::kills::now;

/// So much of an event is put into words, in bytes.
const SHOWN: usize = 200;
/// Before a reader comes back.
const PAUSE: Duration = Duration::from_millis(20);

/// One event as it was sent: its lines, without the empty one that ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown(String);

/// How a stream came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The server ended it.
    WithAll,
    /// Nobody answered, or the connection broke.
    BrokeOff,
    /// The server will not have it.
    Refused,
}

/// What somebody saw who followed a run from its start, whatever happened to the servers meanwhile.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) run: RunId,
    pub(crate) seen: Vec<Shown>,
    /// How often they came back with the id of the last event.
    pub(crate) returns: usize,
}

impl Shown {
    /// The event, if it can be read.
    pub(crate) fn event(&self) -> Option<Event> {
        serde_json::from_str(self.field("data")?).ok()
    }

    /// Its id, which whoever comes back sends as `Last-Event-ID`.
    pub(crate) fn id(&self) -> Option<&str> {
        self.field("id")
    }

    /// Whether it ends a run.
    fn ends(&self) -> bool {
        self.field("event").is_some_and(domain::runs::Event::ends)
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.lines().filter_map(|line| line.split_once(':'));
        lines.find_map(|(field, value)| (field == name).then(|| value.strip_prefix(' ').unwrap_or(value)))
    }
}

/// On one line, and no more of it than tells which it is.
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0.replace('\n', " | ");
        f.write_str(line.get(..SHOWN).unwrap_or(&line))
    }
}

impl Api {
    /// All events of a run, from the beginning. A stream that does not end is taken as far as it came within the patience for one answer.
    pub(crate) async fn events(&self, run: RunId) -> Vec<Shown> {
        let mut all = Vec::new();
        self.read_on(run, None, |shown| all.push(shown)).await;
        all
    }

    /// Follows a run to its end: each event's kind, and how long after its commit it arrived.
    pub(crate) async fn arrivals(&self, run: RunId) -> Vec<(String, Duration)> {
        let mut arrived = Vec::new();
        self.read_on(run, None, |shown| {
            let event = shown.event().unwrap();
            let at: Timestamp = event.timestamp.parse().unwrap();
            arrived.push((event.kind, Duration::from_millis(now().ms_since(at))));
        })
        .await;
        arrived
    }

    /// Follows a run on any node, and comes back after the last event as often as it must, until the run is over.
    pub(crate) async fn follow(self, run: RunId) -> Followed {
        let mut followed = Followed { run, seen: Vec::new(), returns: 0 };
        loop {
            let last = followed.seen.last().cloned();
            let after = last.as_ref().and_then(Shown::id);
            let before = followed.seen.len();
            let ended = self.read_on(run, after, |shown| followed.seen.push(shown)).await;
            followed.returns += usize::from(after.is_some() && followed.seen.len() > before);
            let over = ended == Ended::WithAll && followed.seen.last().is_some_and(Shown::ends);
            if over || ended == Ended::Refused {
                return followed;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Reads the events of a run behind `after`.
    async fn read_on(&self, run: RunId, after: Option<&str>, mut see: impl FnMut(Shown)) -> Ended {
        let place = after.map(|id| ("last-event-id", id));
        let opened = self.open(&format!("/v1/runs/{run}/events"), place).await;
        let Some(mut stream) = opened else { return Ended::BrokeOff };
        let status = stream.status().as_u16();
        if status == 503 {
            return Ended::BrokeOff;
        }
        if status != 200 {
            let why = stream.text().await.unwrap_or_default();
            self.complain(format!("{run}: the stream after {after:?} was answered {status}: {why}"));
            return Ended::Refused;
        }
        let mut bytes = Vec::new();
        loop {
            match stream.chunk().await {
                Ok(Some(more)) => bytes.extend_from_slice(&more),
                Ok(None) => return Ended::WithAll,
                Err(_) => return Ended::BrokeOff,
            }
            while let Some(end) = bytes.windows(2).position(|two| two == b"\n\n") {
                let shown = String::from_utf8(bytes.drain(..end + 2).collect()).unwrap();
                let shown = shown.trim_end_matches('\n');
                // An idle stream says that it is there.
                if !shown.starts_with(':') {
                    see(Shown(shown.to_owned()));
                }
            }
        }
    }
}

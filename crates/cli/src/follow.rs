//! Follows a run to its end over the event stream: shows each entry, lets the person at the terminal answer, survives a cut connection.
//!
//! The stream's form is in `follow/sse.rs`, who answers in `follow/person.rs`, how an entry looks in [`crate::transcript`].

mod person;
mod sse;

use std::time::Duration;

use anyhow::Context;
use contract::events;
use contract::runs::RunDetail;
use domain::human_requests::HumanRequest;
use domain::runs::{Event, Status};
use reqwest::Response;

pub(crate) use self::person::{Absent, Person};
use self::sse::Parser;
use crate::ask::Asking;
use crate::client::{Api, Failure};
use crate::paint;
use crate::transcript::Transcript;

/// First and longest pause before a cut stream is opened again.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Tries in a row that may bring nothing: about a minute and a half.
const TRIES: u32 = 20;

/// How entries are shown.
pub(crate) enum Show {
    /// For people.
    Transcript(Transcript),
    /// One JSON document a line, as the server sent it.
    Json,
}

/// The entries of one run, each once and in order.
pub(crate) struct Stream<'a> {
    api: &'a Api,
    run: &'a str,
    after: u64,
    open: Option<Response>,
    parser: Parser,
    ending: Option<Status>,
    failures: u32,
}

/// What came of waiting for more.
enum More {
    Bytes,
    /// The stream broke off, or a server that stops has ended it: another one goes on.
    Cut,
    /// The run has ended, and so has its stream.
    Over,
}

/// One entry.
pub(crate) struct Entry {
    /// What happened; `None` for a kind that this version does not know.
    pub(crate) event: Option<Event>,
    /// The server's words.
    pub(crate) json: String,
}

impl<'a> Stream<'a> {
    /// From the first entry on.
    pub(crate) fn new(api: &'a Api, run: &'a str) -> Self {
        Self { api, run, after: 0, open: None, parser: Parser::default(), ending: None, failures: 0 }
    }

    /// The next entry; `None` when the run is over. May be dropped and called again without losing anything.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Entry>> {
        loop {
            if let Some(frame) = self.parser.next() {
                return self.entry(frame.data).map(Some);
            }
            let cut = match self.more().await {
                Ok(More::Bytes) => continue,
                Ok(More::Over) => return Ok(None),
                Ok(More::Cut) => None,
                Err(error) => match error.downcast_ref::<Failure>() {
                    Some(failure) if failure.may_pass() => Some(error),
                    _ => return Err(error),
                },
            };
            self.open = None;
            self.parser = Parser::default();
            self.failures += 1;
            if self.failures > TRIES {
                let cut =
                    cut.unwrap_or_else(|| anyhow::anyhow!("the server ends the stream although the run is not over"));
                return Err(cut.context(format!("lost run {} after entry {}", self.run, self.after)));
            }
            tokio::time::sleep((PAUSE_FIRST * 2_u32.pow(self.failures.min(6))).min(PAUSE_MAX)).await;
        }
    }

    /// How the run ended, once [`Self::next`] has said that it did.
    pub(crate) fn ending(&self) -> Option<Status> {
        self.ending
    }

    async fn more(&mut self) -> anyhow::Result<More> {
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(self.api.events(self.run, self.after).await?),
        };
        let over = match open.chunk().await {
            Ok(Some(bytes)) => {
                self.parser.push(&bytes);
                return Ok(More::Bytes);
            }
            Ok(None) => self.is_over().await?,
            Err(_) => self.ending.is_some(),
        };
        Ok(if over { More::Over } else { More::Cut })
    }

    /// Whether a stream that ended has told all. If no entry said so and the stream before it has ended in vain as well, the run itself is asked:
    /// its end may be told by a kind of entry that this version does not know.
    async fn is_over(&mut self) -> anyhow::Result<bool> {
        if self.ending.is_none() && self.failures > 0 {
            let detail: RunDetail = self.api.get(&["runs", self.run], &[]).await?.read()?;
            self.ending = terminal(&detail.run.status);
        }
        Ok(self.ending.is_some())
    }

    fn entry(&mut self, json: String) -> anyhow::Result<Entry> {
        let sent: events::Event =
            serde_json::from_str(&json).context("an entry of the event stream is not readable")?;
        self.after = sent.seq;
        self.failures = 0;
        let event: Option<Event> = serde_json::from_str(sent.data.get()).ok();
        if sent.kind == "message_received" {
            // It resumes a run that had ended. A claim alone does not: its worker may find nothing to do.
            self.ending = None;
        } else {
            // The entry that ends a run has the name of the status.
            self.ending = terminal(&sent.kind).or(self.ending);
        }
        Ok(Entry { event, json })
    }
}

/// The status of this name, if it is one that a run ends in.
pub(crate) fn terminal(word: &str) -> Option<Status> {
    Status::from_word(word).filter(|status| status.is_terminal())
}

/// Follows `run` until it is over and answers how it ended.
pub(crate) async fn follow(api: &Api, run: &str, mut show: Show, mut person: Person) -> anyhow::Result<Status> {
    let mut stream = Stream::new(api, run);
    let mut asking: Option<Asking> = None;
    loop {
        tokio::select! {
            entry = stream.next() => {
                let Some(entry) = entry? else { break };
                if asking.is_some() {
                    // The prompt stands on a line of its own.
                    paint::print("\n")?;
                }
                print_entry(&mut show, &entry)?;
                match entry.event {
                    Some(Event::PersonAsked { request } | Event::Held { request }) if is_pending(api, run, &request).await? => {
                        asking = person.ask(api, run, request).await?;
                    }
                    Some(Event::PersonAnswered { .. } | Event::MessageReceived(_) | Event::Interrupted { .. }) => asking = None,
                    _ => {}
                }
            }
            line = person.typed(), if asking.is_some() => {
                if let Some(open) = asking.take() {
                    asking = person.answer(api, run, open, line).await?;
                }
            }
        }
    }
    Ok(stream.ending().unwrap_or(Status::Failed))
}

fn print_entry(show: &mut Show, entry: &Entry) -> anyhow::Result<()> {
    match (show, &entry.event) {
        (Show::Json, _) => paint::print(&format!("{}\n", entry.json))?,
        (Show::Transcript(page), Some(event)) => paint::print(&page.show(event))?,
        (Show::Transcript(_), None) => {}
    }
    Ok(())
}

/// An old question of the journal may have been answered long ago.
async fn is_pending(api: &Api, run: &str, request: &HumanRequest) -> anyhow::Result<bool> {
    let detail: RunDetail = api.get(&["runs", run], &[]).await?.read()?;
    Ok(detail.pending_human_request.is_some_and(|pending| pending.id == request.id.to_string()))
}

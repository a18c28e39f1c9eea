//! Afterwards: everything that must not be, from outside, from the ledger and from the database. `judge/calls.rs` holds calls against the
//! ledger, `judge/followed.rs` what readers saw against the streams, `judge/changes.rs` what was started against its keys and the audit chain.

mod calls;
mod changes;
mod followed;

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use domain::runs::Event;
use domain::{RunId, Timestamp};
use futures_util::StreamExt as _;
use storage::{Db, StoreError};
use testkit::checker::{Seen, unknown_outcomes, violations};
use testkit::ledger::{Entry, duplicates};
use uuid::Uuid;

use crate::api::Api;
use crate::job::{Kind, TURNS};
use crate::storm::{Stop, Told};
use crate::totals::number;
use crate::world::{Store, World};

/// How long nothing may happen until what is not over is stuck, in seconds.
const QUIET_SECS: usize = 40;

/// How long deliveries may take after that: what a dead server had claimed waits for its claim to end.
const DELIVERY: Duration = Duration::from_secs(40);
/// How far a node's time may be from ours: it comes nearer to the database's slowly.
const CLOCKS_MS: i64 = 1_000;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// One sentence each; empty is good.
    pub(crate) wrong: Vec<String>,
    pub(crate) runs: usize,
    pub(crate) claims: usize,
    /// Those of them that took a run from a worker which had not let go.
    pub(crate) left: usize,
    pub(crate) calls: usize,
    pub(crate) unknown: usize,
    /// Calls of unknown outcome in runs that nobody asked to stop.
    pub(crate) cut_off: usize,
    /// Milliseconds from a kill to the claim of a run that was held by then.
    pub(crate) takeovers: Vec<u64>,
    /// Runs that somebody followed.
    pub(crate) followed: usize,
    /// How often those readers came back to a stream and saw more of it.
    pub(crate) returns: usize,
}

impl Verdict {
    /// Fails the test if anything is wrong, with the logs.
    pub(crate) fn pass(&self, world: &World) {
        let shown = &self.wrong[..self.wrong.len().min(100)];
        assert!(self.wrong.is_empty(), "VIOLATIONS: {}\n{shown:#?}\n{}", self.wrong.len(), world.logs());
    }
}

/// Waits until all is over and judges it. `kills`: when workers were taken away.
pub(crate) async fn judge(world: &World, api: &Api, told: &Told, kills: &[Timestamp]) -> Verdict {
    api.settle(Duration::from_secs(number("QUIET_SECS", QUIET_SECS) as u64)).await;
    let listed = api.runs().await;
    let mut verdict = Verdict { runs: listed.len(), ..Verdict::default() };
    for run in told.runs.keys().filter(|run| !listed.iter().any(|listed| listed.id == **run)) {
        verdict.wrong.push(format!("{run}: was accepted and is gone"));
    }
    let entries = world.ledger.entries().unwrap();
    verdict.calls = entries.len();
    verdict.wrong.extend(duplicates(&entries));
    verdict.wrong.extend(repeated_lines(&entries));
    let mut ledger: HashMap<Uuid, Vec<&Entry>> = HashMap::new();
    for entry in &entries {
        ledger.entry(entry.run).or_default().push(entry);
    }
    let db = world.database().await;
    // A server that is made to do something wrong must be found by what is wrong, and not by a delivery that is late.
    let sabotaged = std::env::var_os("ERRAND_SABOTAGE").is_some();
    if !sabotaged {
        delivered(&db).await;
    }
    let outbox = outbox(&db).await;
    if !sabotaged {
        verdict.wrong.extend(received(world, &outbox));
    }
    let over: Vec<RunId> = listed.iter().filter(|run| run.is_over()).map(|run| run.id).collect();
    let stuck = listed.iter().filter(|run| !run.is_over());
    verdict.wrong.extend(stuck.map(|run| format!("{}: still {}", run.id, run.status)));
    let mut seen = futures_util::stream::iter(over).map(|run| api.look(run)).buffer_unordered(8);
    let none = vec![];
    while let Some(seen) = seen.next().await {
        let mut found = violations(&seen);
        let events = events(&seen);
        found.extend(calls::wrong(&events, ledger.get(&seen.run.0).unwrap_or(&none)));
        found.extend(heard(&seen, &events, told));
        found.extend(outcome(&seen, &events, told));
        found.extend(stopped(&seen, &events, told));
        if outbox.get(&seen.run).cloned().unwrap_or_default() != told_outside(&events) {
            found.push(format!("outsiders would be told {:?}", outbox.get(&seen.run)));
        }
        let claims = events.iter().filter_map(|(_, _, event)| match event {
            Event::Claimed { attempt } => Some(*attempt),
            _ => None,
        });
        verdict.claims += claims.clone().count();
        verdict.left += claims.filter(|attempt| *attempt > 1).count();
        verdict.unknown += unknown_outcomes(&seen);
        verdict.cut_off += if told.stopped.contains_key(&seen.run) { 0 } else { unknown_outcomes(&seen) };
        verdict.takeovers.extend(takeovers(&events, kills));
        verdict.wrong.extend(found.into_iter().map(|wrong| format!("{}: {wrong}", seen.run)));
    }
    followed::judge(api, told, &mut verdict).await;
    verdict.wrong.extend(changes::wrong(&db, told, &listed).await);
    verdict.wrong.extend(left_behind(world, &db).await);
    verdict.wrong.extend(told.broken.iter().cloned().chain(api.wrong()));
    db.close().await;
    verdict.takeovers.sort_unstable();
    verdict
}

type Lines = Vec<(u64, Timestamp, Event)>;

fn events(seen: &Seen) -> Lines {
    let read = |sent: &contract::events::Event| {
        Some((sent.seq, sent.timestamp.parse().ok()?, serde_json::from_str(sent.data.get()).ok()?))
    };
    seen.events.iter().filter_map(read).collect()
}

/// By key nothing may repeat; but a call that was asked for twice would have two keys.
fn repeated_lines(entries: &[Entry]) -> Vec<String> {
    let mut effects: HashMap<(Uuid, &str), usize> = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.applied && !entry.safe) {
        *effects.entry((entry.run, &entry.line)).or_default() += 1;
    }
    effects
        .into_iter()
        .filter(|(_, times)| *times > 1)
        .map(|((run, line), times)| format!("{run}: {line} was recorded {times} times"))
        .collect()
}

/// What people were told is there, once and in order.
fn heard(seen: &Seen, events: &Lines, told: &Told) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Some(said) = told.said.get(&seen.run) {
        let shown: Vec<&String> =
            seen.messages.iter().map(|message| &message.id).filter(|id| said.contains(id)).collect();
        if shown != said.iter().collect::<Vec<_>>() {
            wrong.push(format!("was told {said:?} and shows {shown:?}"));
        }
    }
    for (_, request) in told.answered.iter().filter(|(run, _)| *run == seen.run) {
        let answers = events.iter().filter(
            |(_, _, event)| matches!(event, Event::PersonAnswered { request_id, .. } if request_id.to_string() == *request),
        );
        let answers = answers.count();
        if answers != 1 {
            wrong.push(format!("the answer to {request} was taken and is journaled {answers} times"));
        }
    }
    wrong
}

/// Whether it ended as its kind of Job ends.
fn outcome(seen: &Seen, events: &Lines, told: &Told) -> Vec<String> {
    let Some(kind) = told.runs.get(&seen.run) else { return vec![] };
    if seen.status == "interrupted" && !matches!(told.stopped.get(&seen.run), None | Some(Stop::TooLate(_))) {
        return vec![];
    }
    let turns = events.iter().filter(|(_, _, event)| matches!(event, Event::Replied { .. })).count();
    let cause = events.iter().rev().find_map(|(_, _, event)| match event {
        Event::Failed { cause } => Some(cause.code.as_str()),
        _ => None,
    });
    let talked = told.said.contains_key(&seen.run);
    match (kind, seen.status.as_str(), cause) {
        (Kind::Endless, "failed", Some("limit_reached")) if talked || turns == TURNS as usize => vec![],
        (Kind::Steps | Kind::Ask | Kind::Edits, "completed", None) => vec![],
        _ => vec![format!("{kind:?} ended {} after {turns} turns, cause {cause:?}", seen.status)],
    }
}

/// Whether a stop did what whoever asked for it was told.
fn stopped(seen: &Seen, events: &Lines, told: &Told) -> Option<String> {
    let stop = told.stopped.get(&seen.run)?;
    let last =
        events.iter().rposition(|(_, _, event)| matches!(event, Event::Interrupted { by } if by == "stop_request"));
    let resumed = |after: usize| events[after..].iter().any(|(_, _, event)| matches!(event, Event::MessageReceived(_)));
    match (stop, last) {
        (Stop::Taken, None) => Some("it was being stopped, somebody was told, and never was".to_owned()),
        (Stop::Taken, Some(at)) if seen.status != "interrupted" && !resumed(at) => {
            Some(format!("it was stopped and is {} although nobody wrote to it", seen.status))
        }
        (Stop::TooLate(_), Some(_)) => {
            Some("it was stopped although there was nothing to stop, as somebody was told".to_owned())
        }
        (Stop::TooLate(at), None) => {
            let over = events.iter().any(|(_, when, event)| Event::ends(event.kind()) && when.0 <= at.0 + CLOCKS_MS);
            (!over).then(|| "somebody was told that it was over, which it was not".to_owned())
        }
        (Stop::Asked | Stop::Taken, _) => None,
    }
}

fn told_outside(events: &Lines) -> BTreeSet<(u64, String)> {
    let told = events.iter().filter_map(|(seq, _, event)| {
        let told = match event {
            Event::PersonAsked { .. } => "human_request",
            Event::Completed { .. } => "run_completed",
            Event::Failed { .. } => "run_failed",
            Event::Interrupted { .. } => "run_interrupted",
            _ => return None,
        };
        Some((*seq, told.to_owned()))
    });
    told.collect()
}

async fn outbox(db: &Db) -> HashMap<RunId, BTreeSet<(u64, String)>> {
    let rows = db.read(async |tx| tx.rows("SELECT run_id, seq, event FROM outbox", &[]).await).await.unwrap();
    let mut all: HashMap<RunId, BTreeSet<(u64, String)>> = HashMap::new();
    for row in rows {
        let run = RunId(row.uuid(0).unwrap());
        all.entry(run).or_default().insert((row.u64(1).unwrap(), row.text(2).unwrap()));
    }
    all
}

/// Waits until nothing is on its way out any more; what still is by then is found missing.
async fn delivered(db: &Db) {
    let began = Instant::now();
    let due = "SELECT count(*) FROM outbox WHERE state = 'due'";
    let left =
        async || db.read::<_, StoreError, _>(async |tx| tx.row(due, &[]).await).await.unwrap().unwrap().int(0).unwrap();
    while left().await > 0 && began.elapsed() < DELIVERY {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Whatever outsiders were to be told has come to them, and each time as the same bytes.
fn received(world: &World, outbox: &HashMap<RunId, BTreeSet<(u64, String)>>) -> Vec<String> {
    let mut bodies: HashMap<String, BTreeSet<Vec<u8>>> = HashMap::new();
    for received in world.hook.received() {
        bodies.entry(received.id).or_default().insert(received.body.to_vec());
    }
    let rows = outbox.iter().flat_map(|(run, told)| told.iter().map(move |(seq, event)| (run, seq, event)));
    let wrong = rows.filter_map(|(run, seq, event)| {
        let bodies = bodies.remove(&format!("msg_{}_{seq}", run.0.simple())).unwrap_or_default();
        (bodies.len() != 1)
            .then(|| format!("{run}: outsiders got {event} ({seq}) as {} different bodies", bodies.len()))
    });
    let mut wrong: Vec<_> = wrong.collect();
    wrong.extend(bodies.into_keys().map(|id| format!("outsiders got {id}, which nobody wrote down")));
    wrong
}

/// From the first kill within a gap that ends with a claim of another worker, to that claim. Where several nodes died in the gap, the worker may
/// have been in a later one: then it took less.
fn takeovers(events: &Lines, kills: &[Timestamp]) -> Vec<u64> {
    let gaps = events.windows(2).filter(|pair| matches!(pair[1].2, Event::Claimed { attempt } if attempt > 1));
    gaps.filter_map(|pair| {
        let (before, claimed) = (pair[0].1, pair[1].1);
        let kill = kills.iter().filter(|kill| (before..=claimed).contains(*kill)).min()?;
        Some(claimed.ms_since(*kill))
    })
    .collect()
}

/// Nothing is left of runs that are over, and the database is whole.
async fn left_behind(world: &World, db: &Db) -> Vec<String> {
    let mut wrong = Vec::new();
    let counts = "SELECT (SELECT count(*) FROM work), (SELECT count(*) FROM inbox), \
        (SELECT count(*) FROM human_requests WHERE closed_at IS NULL)";
    let row = db.read::<_, StoreError, _>(async |tx| tx.row(counts, &[]).await).await.unwrap().unwrap();
    for (column, what) in [(0, "rows of work"), (1, "entries of inboxes"), (2, "open requests")] {
        let left = row.int(column).unwrap();
        if left > 0 {
            wrong.push(format!("{left} {what} are left although every run is over"));
        }
    }
    if matches!(world.store, Store::Sqlite) {
        let whole = "SELECT integrity_check FROM pragma_integrity_check UNION ALL SELECT 'foreign key' FROM pragma_foreign_key_check";
        let rows = db.read::<_, StoreError, _>(async |tx| tx.rows(whole, &[]).await).await.unwrap();
        let told: Vec<String> = rows.iter().map(|row| row.text(0).unwrap()).collect();
        if told != ["ok"] {
            wrong.push(format!("the database is damaged: {told:?}"));
        }
    } else {
        // Nobody may ever wait in a circle, not even where PostgreSQL finds it out and lets go of one.
        let circles = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        let row = db.read::<_, StoreError, _>(async |tx| tx.row(circles, &[]).await).await.unwrap().unwrap();
        if row.int(0).unwrap() > 0 {
            wrong.push(format!("{} times transactions waited for each other", row.int(0).unwrap()));
        }
    }
    wrong
}

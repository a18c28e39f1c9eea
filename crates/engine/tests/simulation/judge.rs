//! The judgement at the end: each run's row, journal, inbox and calls against each other and against what clients were told.

use std::collections::BTreeMap;

use domain::runs::{Entry, Event, Rules, Run, Status};
use domain::turns::{Outcome, Replay};
use domain::{RunId, TeamId};
use storage::runs::RunRow;
use storage::{StoreError, human_requests, journal, runs};
use testkit::checker;
use uuid::Uuid;

use crate::sim::Sim;

const LEFT: &str = "SELECT (SELECT count(*) FROM work) + (SELECT count(*) FROM inbox)";

pub(crate) async fn all(sim: &Sim) {
    let now = sim.now();
    let left = sim.db.read::<_, StoreError, _>(async |tx| tx.row(LEFT, &[]).await).await.unwrap();
    let left = left.unwrap().int(0).unwrap();
    let mut wrong = vec![];
    if left > 0 {
        wrong.push(format!("{left} rows of work and inbox are left when nothing is to be done"));
    }
    let (accepted, told): (Vec<RunId>, Vec<(String, String)>) = {
        let book = sim.book();
        (book.accepted.clone(), book.told.iter().map(|(run, told)| (run.clone(), told.team.clone())).collect())
    };
    for run in accepted {
        if !told.iter().any(|(known, _)| *known == run.0.to_string()) {
            wrong.push(format!("{run:?} was accepted and is not there"));
        }
    }
    for (run, team) in told {
        let (id, team) = (RunId(run.parse().unwrap()), TeamId(team.parse().unwrap()));
        one(sim, team, id, &mut wrong).await;
    }
    let mut book = sim.book();
    for what in wrong {
        book.wrong(now, &what);
    }
}

async fn one(sim: &Sim, team: TeamId, run: RunId, wrong: &mut Vec<String>) {
    let look = async |tx: &mut storage::Tx<'_>| {
        let row = runs::get(tx, team, run).await?;
        let entries = journal::replay(tx, run).await?;
        let shown = journal::after(tx, team, run, 0, 100_000).await?;
        Ok((row, entries, shown, human_requests::pending(tx, team, run).await?))
    };
    let looked = sim.db.read::<_, StoreError, _>(look).await;
    let (Some(row), entries, shown, asked) = looked.unwrap() else {
        wrong.push(format!("{run:?} has no row"));
        return;
    };
    let name = format!("{} {run:?} ({})", row.title, row.status.word());
    let mut found: Vec<String> = checker::journal_violations(&entries);
    if !shown.iter().map(|line| line.seq).eq(1..=entries.len() as u64) {
        found.push("a reader of its events misses some".into());
    }
    at_rest(&row, &entries, asked.is_some(), &mut found);
    said(sim, run, &entries, &mut found);
    calls(sim, run, &entries, &mut found);
    limits(sim, &entries, &mut found);
    let mut book = sim.book();
    for entry in &entries {
        match &entry.event {
            Event::ToolFinished { outcome: Outcome::Unknown, .. } => book.counts.unknown += 1,
            Event::Failed { cause } if cause.code == "limit_reached" => book.counts.limits += 1,
            Event::Failed { cause } if cause.code == "worker_died" => book.counts.quarantined += 1,
            _ => {}
        }
    }
    drop(book);
    let kinds: Vec<&str> = entries.iter().map(|entry| entry.event.kind()).collect();
    wrong.extend(found.into_iter().map(|what| format!("{name}: {what}; its journal: {kinds:?}")));
}

/// It has ended or waits for an answer that somebody can give, and its row says what its journal does.
fn at_rest(row: &RunRow, entries: &[Entry], asked: bool, found: &mut Vec<String>) {
    let waits = row.status == Status::Waiting;
    if !row.status.is_terminal() && !waits {
        found.push("it neither ended nor waits".into());
    }
    if waits != asked {
        found.push(format!("it waits: {waits}; it has an open request: {asked}"));
    }
    match Run::replay(Rules::default(), entries.iter().cloned()) {
        Ok((run, _)) if run.status() == row.status => {}
        Ok((run, _)) => found.push(format!("its journal says it is {}", run.status().word())),
        Err(refused) => found.push(format!("its journal does not replay: {refused}")),
    }
    if row.last_seq != entries.len() as u64 {
        found.push(format!("its row ends at {}, its journal at {}", row.last_seq, entries.len()));
    }
    let shown = entries.iter().filter(|entry| entry.event.is_message()).count();
    if row.message_count != shown as u64 {
        found.push(format!("its row counts {} messages, its journal has {shown}", row.message_count));
    }
    if row.completed_at.is_some() != row.status.is_terminal() {
        found.push("whether it has an end is not what its status says".into());
    }
}

/// What people said is there once, in the order in which it was accepted, and so is each answer that was taken, and a stop.
fn said(sim: &Sim, run: RunId, entries: &[Entry], found: &mut Vec<String>) {
    let book = sim.book();
    let Some(told) = book.told.get(&run.0.to_string()) else { return };
    let mut heard: Vec<String> = vec![];
    let mut answered: BTreeMap<Uuid, u32> = BTreeMap::new();
    for entry in entries {
        match &entry.event {
            Event::MessageReceived(said) => heard.push(said.id.to_string()),
            Event::PersonAnswered { request_id, .. } => *answered.entry(*request_id).or_default() += 1,
            _ => {}
        }
    }
    // The first one came with the run.
    if heard.get(1..).unwrap_or_default() != told.messages {
        found.push(format!("messages {:?} were committed, {heard:?} are in its journal", told.messages));
    }
    if let Some(lost) = told.acknowledged.iter().find(|id| !heard.contains(id)) {
        found.push(format!("the message {lost} was acknowledged and is lost"));
    }
    let stopped = |entry: &Entry| matches!(&entry.event, Event::Interrupted { by } if by == "stop_request");
    // A run that is given up unread is not stopped any more.
    let given_up = |entry: &Entry| matches!(&entry.event, Event::Failed { cause } if cause.code == "worker_died");
    if told.stopped && !entries.iter().any(|entry| stopped(entry) || given_up(entry)) {
        found.push("it was being stopped, a client was told, and never was".into());
    }
    for (request, times) in &told.answered {
        if *times > 1 || answered.get(request) != Some(&1) {
            found.push(format!("{times} answers to {request} were taken, {:?} journaled", answered.get(request)));
        }
    }
    if answered.values().any(|times| *times > 1) {
        found.push("a request is answered twice".into());
    }
}

/// What its calls did is what its journal says that they did.
fn calls(sim: &Sim, run: RunId, entries: &[Entry], found: &mut Vec<String>) {
    let (book, name) = (sim.book(), run.0.to_string());
    let mut outcomes: BTreeMap<Uuid, &Outcome> = BTreeMap::new();
    for entry in entries {
        if let Event::ToolFinished { key, outcome } = &entry.event {
            outcomes.insert(*key, outcome);
        }
    }
    let mut lines: BTreeMap<&str, u32> = BTreeMap::new();
    for (key, called) in book.calls.iter().filter(|(_, called)| called.run == name) {
        let safe = called.replay == Replay::Safe;
        let right = match outcomes.get(key) {
            Some(Outcome::Ok(_)) => called.effects == 1,
            // What timed out says so, and may have happened.
            Some(Outcome::Error(why)) if safe => {
                why.starts_with("tool_timeout") || called.arrivals > 1 || called.effects == 0
            }
            Some(Outcome::Error(_)) => called.effects == 0,
            Some(Outcome::Unknown) => called.effects <= 1,
            Some(Outcome::Skipped(_) | Outcome::Image(_)) | None => false,
        };
        if !right {
            found.push(format!("{called:?} has the outcome {:?}", outcomes.get(key)));
        }
        // Each line is asked for by one call only.
        *lines.entry(&called.line).or_default() += called.effects.max(1);
    }
    found.extend(
        lines.iter().filter(|(_, times)| **times > 1).map(|(line, times)| format!("{line} was done {times} times")),
    );
}

/// The limit on turns, counted once more: since the start or the message that resumed it.
fn limits(sim: &Sim, entries: &[Entry], found: &mut Vec<String>) {
    let (mut turns, mut ended) = (0, false);
    let most = sim.plan.limits.turns;
    for entry in entries {
        match &entry.event {
            // Words alone are the end, unless somebody has written meanwhile.
            Event::Replied { reply, .. } => (turns, ended) = (turns + 1, reply.calls.is_empty()),
            Event::MessageReceived(_) if ended => (turns, ended) = (0, false),
            Event::Completed { .. } | Event::Interrupted { .. } => ended = true,
            Event::Failed { cause } if cause.message.contains("its limit turns") && turns != most => {
                found.push(format!("it reached its limit of {most} turns after {turns}"));
            }
            _ => {}
        }
        if turns > most {
            found.push(format!("it took {turns} turns, {most} are allowed"));
            return;
        }
    }
}

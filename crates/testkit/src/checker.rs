//! The judge of a finished run: given what a reader of the API got to see, says everything that must never be seen.
//!
//! It looks from outside. Crash and fault tests of every room hand it the event stream, the transcript and the files, and expect no
//! [`violations`]. One rule leans on the state machine (the journal replays); the others are stated here once more, on purpose, so that
//! a mistake there does not excuse itself.

use std::collections::{HashMap, HashSet};

use contract::events::Event as Sent;
use contract::messages::Message;
use domain::human_requests::ASK_PERSON;
use domain::runs::{Entry, Event, FINISH, Rules, Run, transcript};
use domain::turns::{Outcome, ToolCall};
use domain::{RunId, Timestamp};
use uuid::Uuid;

/// A run as the API showed it once it was over.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Which one.
    pub run: RunId,
    /// `status` of `GET /v1/runs/{run_id}`.
    pub status: String,
    /// All of `GET …/events`, in the order of arrival.
    pub events: Vec<Sent>,
    /// All of `GET …/messages`.
    pub messages: Vec<Message>,
}

/// What is wrong with a run that should be over, one sentence each; empty is good.
pub fn violations(seen: &Seen) -> Vec<String> {
    let entries = match entries(seen) {
        Ok(entries) => entries,
        Err(unreadable) => return vec![unreadable],
    };
    let mut wrong = journal_violations(&entries);
    over(seen, &entries, &mut wrong);
    shown_as_written(seen, &entries, &mut wrong);
    if let Err(refused) = Run::replay(Rules::default(), entries) {
        wrong.push(format!("the journal does not replay: {refused}"));
    }
    wrong
}

/// What is wrong with a journal, wherever the run stands.
pub fn journal_violations(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    numbered(entries, &mut wrong);
    one_answer_a_turn(entries, &mut wrong);
    calls_in_order(entries, &mut wrong);
    quiet_after_the_end(entries, &mut wrong);
    wrong
}

/// Holds the ledger, a file to which each `edit_file` call of the run adds one line of its own, against the journal: a call that is known to
/// have worked left its line once, one of unknown outcome at most once and was not made again, any other left none.
pub fn ledger_violations(seen: &Seen, ledger: &str) -> Vec<String> {
    let entries = match entries(seen) {
        Ok(entries) => entries,
        Err(unreadable) => return vec![unreadable],
    };
    let mut wrong = Vec::new();
    let mut made = HashSet::new();
    for (call, outcome) in edits(&entries) {
        let line = added_line(call);
        if !made.insert(line) {
            wrong.push(format!("the edit that adds {line:?} was made twice"));
        }
        let times = ledger.lines().filter(|written| *written == line).count();
        let right = match outcome {
            Some(Outcome::Ok(_)) => times == 1,
            Some(Outcome::Unknown) => times <= 1,
            Some(Outcome::Image(_) | Outcome::Error(_) | Outcome::Skipped(_)) | None => times == 0,
        };
        if !right {
            wrong.push(format!("the line {line:?} is there {times} times, but the journal says {outcome:?}"));
        }
    }
    wrong
}

/// How many calls of the run ended with an unknown outcome.
pub fn unknown_outcomes(seen: &Seen) -> usize {
    let unknown = |entry: &Entry| matches!(entry.event, Event::ToolFinished { outcome: Outcome::Unknown, .. });
    entries(seen).map_or(0, |entries| entries.iter().filter(|entry| unknown(entry)).count())
}

fn entries(seen: &Seen) -> Result<Vec<Entry>, String> {
    let read = |sent: &Sent| {
        let broken = |error: &dyn std::fmt::Display| format!("entry {} cannot be read: {error}", sent.seq);
        let at: Timestamp = sent.timestamp.parse().map_err(|error| broken(&error))?;
        let event: Event = serde_json::from_str(sent.data.get()).map_err(|error| broken(&error))?;
        if event.kind() != sent.kind {
            return Err(format!("entry {} is sent as {:?} but is {:?}", sent.seq, sent.kind, event.kind()));
        }
        Ok(Entry { seq: sent.seq, at, event })
    };
    seen.events.iter().map(read).collect()
}

fn numbered(entries: &[Entry], wrong: &mut Vec<String>) {
    for (expected, entry) in (1..).zip(entries) {
        if entry.seq != expected {
            wrong.push(format!("entry {expected} has seq {}", entry.seq));
            return;
        }
    }
}

/// A turn that was under way when the run was stopped keeps its number and is never answered.
fn one_answer_a_turn(entries: &[Entry], wrong: &mut Vec<String>) {
    let (mut answered, mut given_up) = (0, 0);
    for entry in entries {
        match &entry.event {
            Event::Interrupted { .. } => given_up += 1,
            Event::Replied { turn, .. } => {
                if *turn <= answered || *turn > answered + 1 + given_up {
                    let last = format!("the last one answered was {answered}");
                    wrong.push(format!("entry {} answers turn {turn}, but {last}", entry.seq));
                }
                (answered, given_up) = (*turn, 0);
            }
            _ => {}
        }
    }
}

/// Each call starts once, after the answer that asked for it, and finishes once, after it started. Two kinds never finish: what the run does
/// itself, and what was under way when it was stopped.
fn calls_in_order(entries: &[Entry], wrong: &mut Vec<String>) {
    let mut asked: HashSet<Uuid> = HashSet::new();
    let mut open: HashMap<Uuid, &str> = HashMap::new();
    let mut done: HashSet<Uuid> = HashSet::new();
    for entry in entries {
        match &entry.event {
            Event::Replied { reply, .. } => asked.extend(reply.calls.iter().map(|call| call.key)),
            Event::ToolStarted { call } => {
                if !asked.contains(&call.key) {
                    wrong.push(format!("entry {} starts a call nobody asked for", entry.seq));
                }
                if done.contains(&call.key) || open.insert(call.key, &call.name).is_some() {
                    wrong.push(format!("entry {} starts a call of {} again", entry.seq, call.name));
                }
            }
            Event::ToolFinished { key, .. } => {
                done.insert(*key);
                if open.remove(key).is_none() {
                    wrong.push(format!("entry {} finishes a call that is not under way", entry.seq));
                }
            }
            // It was not made: it may be begun once more, after somebody was asked.
            Event::ToolChanged { key, .. } if open.remove(key).is_none() => {
                wrong.push(format!("entry {} is about a call that is not under way", entry.seq));
            }
            Event::Failed { .. } | Event::Interrupted { .. } => open.clear(),
            _ => {}
        }
    }
    open.retain(|_, name| *name != FINISH && *name != ASK_PERSON);
    wrong.extend(open.values().map(|name| format!("a call of {name} never finished")));
}

/// Only what people or the server say may follow the end, and a message begins a new part.
fn quiet_after_the_end(entries: &[Entry], wrong: &mut Vec<String>) {
    let mut ended = false;
    for entry in entries {
        match &entry.event {
            Event::MessageReceived(_) => ended = false,
            Event::Claimed { .. } | Event::Noted { .. } => {}
            event if ended => wrong.push(format!("entry {} ({}) comes after the end", entry.seq, event.kind())),
            event => ended = Event::ends(event.kind()),
        }
    }
}

fn over(seen: &Seen, entries: &[Entry], wrong: &mut Vec<String>) {
    let last = entries.iter().rev().map(|entry| entry.event.kind()).find(|kind| !matches!(*kind, "claimed" | "noted"));
    if !last.is_some_and(Event::ends) {
        wrong.push(format!("the journal does not end: its last word is {last:?}"));
    } else if last != Some(&seen.status) {
        wrong.push(format!("the run says {:?}, its journal {last:?}", seen.status));
    }
}

fn shown_as_written(seen: &Seen, entries: &[Entry], wrong: &mut Vec<String>) {
    let written: Vec<Message> =
        entries.iter().filter_map(|entry| transcript::message(seen.run, entry)).map(as_sent).collect();
    if written.len() != seen.messages.len() {
        wrong.push(format!("the transcript has {} messages, the journal {}", seen.messages.len(), written.len()));
    }
    for (shown, written) in seen.messages.iter().zip(&written) {
        if shown != written {
            wrong.push(format!("the transcript shows {shown:?} for {written:?}"));
            return;
        }
    }
}

/// The wire form of a message, as the contract has it (2.9).
fn as_sent(message: transcript::Message) -> Message {
    Message {
        id: message.id,
        kind: message.kind.into(),
        role: message.role.into(),
        timestamp: message.at.to_string(),
        text_content: message.text,
        tool_call: message.call.map(|call| contract::messages::ToolCall {
            id: call.key.to_string(),
            name: call.name,
            arguments: Some(call.arguments),
        }),
        tool_result: message.result.map(|(key, outcome)| {
            let (result, error) = match transcript::shown(&outcome) {
                Ok(value) => (Some(value), None),
                Err(words) => (None, Some(words)),
            };
            contract::messages::ToolResult { tool_call_id: key.to_string(), result, error }
        }),
    }
}

/// The edits that were started, each with what came of it.
fn edits(entries: &[Entry]) -> Vec<(&ToolCall, Option<&Outcome>)> {
    let outcomes: HashMap<Uuid, &Outcome> = entries
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::ToolFinished { key, outcome } => Some((*key, outcome)),
            _ => None,
        })
        .collect();
    let started = entries.iter().filter_map(|entry| match &entry.event {
        Event::ToolStarted { call } if call.name == "edit_file" => Some(call),
        _ => None,
    });
    started.map(|call| (call, outcomes.get(&call.key).copied())).collect()
}

/// The line that an edit puts before the mark it replaces.
fn added_line(call: &ToolCall) -> &str {
    let new = call.arguments.get("new").and_then(serde_json::Value::as_str).unwrap_or_default();
    new.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests;

//! Golden journals: what each version wrote, kept for all later versions to read.
//!
//! `golden/VERSION.jsonl` holds a story a line: the entries as they are stored, and what the run was by then. A file is never changed once its
//! version is out. When the journal gets a new kind of entry, or writes an old one differently, the version goes up and a new file is added:
//! `ERRAND_WRITE_GOLDEN=1 cargo test -p domain --test golden` writes the one of this version.
#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it loudly")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use domain::Timestamp;
use domain::runs::{Effect, Entry, Event, Rules, Run};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A story as it is kept.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Story {
    title: String,
    json_object: bool,
    journal: Vec<Written>,
    /// What the run is after the last entry, and what is due then.
    status: String,
    due: String,
    lines: usize,
    people: Vec<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Written {
    seq: u64,
    at: i64,
    event: Value,
}

fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn own_file() -> PathBuf {
    files().join(concat!(env!("CARGO_PKG_VERSION"), ".jsonl"))
}

fn read(file: &Path) -> Vec<Story> {
    fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Replays what is stored and says what the run is.
fn replayed(story: &Story) -> (String, String, usize, Vec<String>) {
    let entries = story.journal.iter().map(|written| Entry {
        seq: written.seq,
        at: Timestamp(written.at),
        event: serde_json::from_value(written.event.clone()).unwrap(),
    });
    let rules = Rules { json_object: story.json_object, ..Rules::default() };
    let (run, due) = Run::replay(rules, entries).unwrap();
    (run.status().word().to_owned(), told(due.as_ref()), run.lines().len(), run.people().to_vec())
}

fn told(due: Option<&Effect>) -> String {
    match due {
        None => "nothing".to_owned(),
        Some(Effect::Then(event)) => format!("then {}", event.kind()),
        Some(Effect::CallModel { turn }) => format!("call the model for turn {turn}"),
        Some(Effect::CallTool(call)) => format!("call {}", call.name),
        Some(Effect::Sleep(until)) => format!("sleep until {until}"),
        Some(Effect::Wait) => "wait".to_owned(),
    }
}

#[test]
fn every_journal_that_any_version_wrote_is_read_as_it_was_meant() {
    let mut seen = BTreeSet::new();
    for file in fs::read_dir(files()).unwrap() {
        let file = file.unwrap().path();
        for story in read(&file) {
            let (status, due, lines, people) = replayed(&story);
            let meant = (story.status.clone(), story.due.clone(), story.lines, story.people.clone());
            assert_eq!((status, due, lines, people), meant, "{}: {}", file.display(), story.title);
            seen.extend(story.journal.iter().map(|written| written.event["type"].as_str().unwrap().to_owned()));
        }
    }
    let missing: Vec<&str> = Event::KINDS.into_iter().filter(|kind| !seen.contains(*kind)).collect();
    assert!(missing.is_empty(), "no golden journal has {missing:?}");
}

#[test]
fn this_version_still_writes_what_its_file_says() {
    let written: Vec<Story> = stories();
    if std::env::var_os("ERRAND_WRITE_GOLDEN").is_some() {
        let lines: Vec<String> = written.iter().map(|story| serde_json::to_string(story).unwrap()).collect();
        fs::write(own_file(), lines.join("\n") + "\n").unwrap();
    }
    let kept = read(&own_file());
    for (kept, written) in kept.iter().zip(&written) {
        assert_eq!(kept, written, "the journal's format has changed: see the head of this file");
    }
    assert_eq!(kept.len(), written.len());
}

/// A run told event by event, a second apart, with all that follows at once.
struct Teller {
    run: Run,
    json_object: bool,
    entries: Vec<Written>,
}

impl Teller {
    fn new(json_object: bool) -> Self {
        let run = Run::new(Rules { json_object, ..Rules::default() });
        let created = json!({ "type": "created", "agent_id": id(1), "build_id": id(2) });
        Self { run, json_object, entries: vec![] }.and([created, json!({ "type": "claimed", "attempt": 1 })])
    }

    fn and(mut self, events: impl IntoIterator<Item = Value>) -> Self {
        for event in events {
            let at = Timestamp(1_795_442_400_000 + 1_000 * i64::try_from(self.entries.len()).unwrap());
            let event: Event = serde_json::from_value(event).unwrap();
            let (step, refused) = self.run.advance(at, [event]);
            assert_eq!(refused, []);
            for event in step.events {
                let seq = self.entries.len() as u64 + 1;
                self.entries.push(Written { seq, at: at.0, event: serde_json::to_value(event).unwrap() });
            }
        }
        self
    }

    fn told(self, title: &str) -> Story {
        let mut story = Story {
            title: title.to_owned(),
            json_object: self.json_object,
            journal: self.entries,
            status: String::new(),
            due: String::new(),
            lines: 0,
            people: vec![],
        };
        (story.status, story.due, story.lines, story.people) = replayed(&story);
        story
    }
}

fn id(number: u8) -> String {
    format!("00000000-0000-7000-8000-0000000000{number:02}")
}

fn call(number: u8, name: &str, replay: &str, arguments: &Value) -> Value {
    json!({ "id": format!("call_{number}"), "key": id(number), "name": name, "arguments": arguments, "replay": replay })
}

fn reply(turn: u32, text: &str, stop: &str, calls: &[Value]) -> Value {
    let usage = json!({ "input_tokens": 100, "output_tokens": 20, "cached_tokens": 10, "cost_micro_usd": 42 });
    let reply = json!({ "text": text, "calls": calls, "stop": stop, "model": "some-model-1", "usage": usage });
    json!({ "type": "replied", "turn": turn, "reply": reply })
}

fn finished(number: u8, outcome: &Value) -> Value {
    json!({ "type": "tool_finished", "key": id(number), "outcome": outcome })
}

fn said(number: u8, text: &str) -> Value {
    json!({ "type": "message_received", "id": id(number), "text": text })
}

fn failed_turn(turn: u32, retryable: bool, retry_after_ms: Option<u64>) -> Value {
    let mut failure = json!({ "code": "model_overloaded", "message": "busy (529)", "retryable": retryable });
    if let Some(ms) = retry_after_ms {
        failure["retry_after_ms"] = ms.into();
    }
    json!({ "type": "turn_failed", "turn": turn, "failure": failure, "spread_permille": 500 })
}

fn claimed(attempt: u32) -> Value {
    json!({ "type": "claimed", "attempt": attempt })
}

fn stories() -> Vec<Story> {
    let read = call(11, "read_file", "safe", &json!({ "path": "/workspace/a.txt" }));
    let edit = call(12, "edit_file", "never", &json!({ "path": "/workspace/a.txt", "old": "a", "new": "b" }));
    let image = json!({ "image": { "path": "/workspace/p.png", "media_type": "image/png", "sha256": "0".repeat(64), "size_bytes": 9 } });
    let approval = call(13, "ask_person", "safe", &json!({ "kind": "approval", "title": "Pay 10?" }));
    let options = json!([{ "label": "red" }, { "label": "blue", "description": "as the sky" }]);
    let question =
        json!({ "kind": "question", "title": "Which?", "questions": [{ "question": "Colour?", "options": options }] });
    let question = call(14, "ask_person", "safe", &question);
    let finish = call(15, "finish", "safe", &json!({ "result": "42" }));
    let hold =
        json!({ "type": "held", "request": { "id": id(16), "kind": "approval", "title": "Restored: continue?" } });
    let answered = |number: u8, response: &Value| json!({ "type": "person_answered", "request_id": id(number), "response": response });
    let mut pay = call(17, "bank__pay", "never", &json!({ "amount": 10 }));
    pay["target"] = json!({ "server": "bank", "tool": "pay", "definition": "1".repeat(64), "approval": true });
    let changed = json!({ "type": "tool_changed", "key": id(17), "request": id(18), "definition": "2".repeat(64), "difference": "It says otherwise now." });
    let story = || Teller::new(false);
    let asked = || story().and([reply(1, "", "done", std::slice::from_ref(&pay))]);
    vec![
        story()
            .and([said(21, "hello"), json!({ "type": "noted", "text": "by the server" })])
            .told("a message before the first turn"),
        story().and([reply(1, "done", "done", &[])]).told("a plain answer"),
        story().and([reply(1, "half", "length", &[])]).told("an answer that was cut off"),
        story().and([reply(1, "", "refused", &[])]).told("an answer that was withheld"),
        story().and([reply(1, "", "malformed", &[])]).told("a broken call is asked for again"),
        story()
            .and([reply(1, "reading", "done", &[read.clone(), edit.clone()])])
            .and([
                finished(11, &json!({ "ok": "text of the file" })),
                finished(12, &json!({ "error": "no such text" })),
            ])
            .told("two calls, one after the other"),
        story().and([reply(1, "", "done", std::slice::from_ref(&read)), finished(11, &image)]).told("a picture"),
        story().and([reply(1, "", "done", std::slice::from_ref(&read)), claimed(2)]).told("a crash in a safe call"),
        story().and([reply(1, "", "done", std::slice::from_ref(&edit)), claimed(2)]).told("a crash in an unsafe call"),
        story()
            .and([
                reply(1, "", "done", std::slice::from_ref(&edit)),
                said(21, "wait"),
                finished(12, &json!({ "ok": 1 })),
            ])
            .told("a message during a call"),
        story()
            .and([reply(1, "", "done", &[approval]), claimed(1), answered(13, &json!({ "approved": true }))])
            .told("an approval"),
        story().and([reply(1, "", "done", std::slice::from_ref(&question))]).told("a question is open"),
        story()
            .and([reply(1, "", "done", std::slice::from_ref(&question)), claimed(1)])
            .and([answered(14, &json!({ "answers": { "Colour?": "blue" } }))])
            .told("a question is answered"),
        story()
            .and([reply(1, "", "done", std::slice::from_ref(&question)), claimed(1), said(22, "never mind")])
            .told("a message instead of an answer"),
        story().and([reply(1, "", "done", &[finish, edit.clone()])]).told("finished, and a call after it"),
        story().and([failed_turn(1, true, Some(90_000))]).told("a pause that a provider asked for"),
        story().and([failed_turn(1, true, None), claimed(1), reply(1, "there", "done", &[])]).told("a second try"),
        story().and([failed_turn(1, false, None)]).told("a failure for good"),
        story()
            .and([
                reply(1, "", "done", std::slice::from_ref(&edit)),
                json!({ "type": "interrupted", "by": "stop_request" }),
            ])
            .and([claimed(1), said(23, "go on")])
            .told("stopped in a call and resumed"),
        story().and([reply(1, "done", "done", &[]), claimed(1), said(24, "and now?")]).told("resumed after its end"),
        story().and([reply(1, "", "done", std::slice::from_ref(&edit)), hold.clone()]).told("held"),
        story()
            .and([reply(1, "", "done", &[edit]), hold.clone(), claimed(1), answered(16, &json!({ "approved": true }))])
            .told("held and let go"),
        story().and([hold, claimed(1), answered(16, &json!({ "approved": false }))]).told("held and denied"),
        Teller::new(true)
            .and([reply(1, "no object", "done", &[]), reply(2, "{\"a\":1}", "done", &[])])
            .told("an object"),
        asked().told("a call waits for its approval"),
        asked().and([claimed(1), answered(17, &json!({ "approved": true }))]).told("a call is approved"),
        asked()
            .and([
                claimed(1),
                answered(17, &json!({ "edited": { "amount": 9 } })),
                finished(17, &json!({ "ok": "paid" })),
            ])
            .told("a call is approved with other arguments"),
        asked().and([claimed(1), answered(17, &json!({ "approved": false }))]).told("a call is denied"),
        asked().and([claimed(1), answered(17, &json!("expired"))]).told("nobody approved a call"),
        asked().and([claimed(1), said(25, "not now")]).told("a message instead of an approval"),
        asked()
            .and([claimed(1), answered(17, &json!({ "approved": true })), changed])
            .told("a tool changed before its call"),
    ]
}

//! A good run passes; each way of spoiling it is found.

use serde_json::json;
use serde_json::value::RawValue;

use super::*;

/// A run that wrote a line with one edit and finished.
fn good() -> Vec<Event> {
    let read = |events: serde_json::Value| serde_json::from_value(events).unwrap();
    let usage = json!({ "input_tokens": 1, "output_tokens": 1 });
    let edit = json!({ "id": "c1", "key": Uuid::from_u128(1), "name": "edit_file", "replay": "never",
        "arguments": { "path": "l", "old": "END", "new": "step-2\nEND" } });
    let finish = json!({ "id": "c2", "key": Uuid::from_u128(2), "name": "finish", "replay": "safe",
        "arguments": { "result": "done" } });
    let reply = |call| json!({ "calls": [call], "stop": "done", "model": "m", "usage": usage });
    read(json!([
        { "type": "created", "agent_id": Uuid::nil(), "build_id": Uuid::nil() },
        { "type": "claimed", "attempt": 1 },
        { "type": "replied", "turn": 1, "reply": reply(&edit) },
        { "type": "tool_started", "call": edit },
        { "type": "tool_finished", "key": Uuid::from_u128(1), "outcome": { "ok": { "replaced": 1 } } },
        { "type": "replied", "turn": 2, "reply": reply(&finish) },
        { "type": "tool_started", "call": finish },
        { "type": "completed", "result": "done" },
    ]))
}

fn seen(events: &[Event]) -> Seen {
    let run = RunId(Uuid::from_u128(9));
    let numbered = || (1..).zip(events);
    let sent = |(seq, event): (u64, &Event)| Sent {
        seq,
        kind: event.kind().into(),
        run_id: run.to_string(),
        timestamp: Timestamp(0).to_string(),
        data: RawValue::from_string(serde_json::to_string(event).unwrap()).unwrap(),
    };
    let entry = |(seq, event): (u64, &Event)| Entry { seq, at: Timestamp(0), event: event.clone() };
    let shown = numbered().map(entry).filter_map(|entry| transcript::message(run, &entry)).map(as_sent);
    Seen { run, status: "completed".into(), messages: shown.collect(), events: numbered().map(sent).collect() }
}

fn finds(seen: &Seen, words: &str) {
    let found = violations(seen);
    assert!(found.iter().any(|violation| violation.contains(words)), "expected {words:?} among {found:?}");
}

#[test]
fn a_good_run_has_no_violations() {
    assert_eq!(violations(&seen(&good())), Vec::<String>::new());
    assert_eq!(ledger_violations(&seen(&good()), "begin\nstep-2\nEND\n"), Vec::<String>::new());
}

#[test]
fn what_may_follow_the_end_is_allowed_and_nothing_else() {
    let mut events = good();
    events.extend([Event::Claimed { attempt: 1 }, Event::Noted { text: "late".into() }]);
    assert_eq!(violations(&seen(&events)), Vec::<String>::new());
    events.push(Event::Completed { result: None });
    finds(&seen(&events), "comes after the end");
}

#[test]
fn entries_that_come_twice_are_found() {
    let good = good();
    for (twice, words) in [
        (2, "answers turn 1, but the last one answered was 1"),
        (3, "starts a call of edit_file again"),
        (4, "finishes a call that is not under way"),
        (7, "comes after the end"),
    ] {
        let mut events = good.clone();
        events.insert(twice, good[twice].clone());
        finds(&seen(&events), words);
        finds(&seen(&events), "does not replay");
    }
}

#[test]
fn entries_that_are_missing_are_found() {
    for (gone, words) in [
        (2, "starts a call nobody asked for"),
        (3, "finishes a call that is not under way"),
        (4, "a call of edit_file never finished"),
        (7, "the journal does not end"),
    ] {
        let mut events = good();
        events.remove(gone);
        finds(&seen(&events), words);
    }
    let mut gap = seen(&good());
    gap.events.remove(4);
    finds(&gap, "entry 5 has seq 6");
}

#[test]
fn a_row_or_a_transcript_that_tells_another_story_is_found() {
    let mut wrong = seen(&good());
    wrong.status = "running".into();
    finds(&wrong, "the run says \"running\"");

    let mut wrong = seen(&good());
    wrong.messages.pop();
    finds(&wrong, "the transcript has 3 messages, the journal 4");

    let mut wrong = seen(&good());
    wrong.messages[0].role = "user".into();
    finds(&wrong, "the transcript shows");

    let mut wrong = seen(&good());
    wrong.events[0].kind = "claimed".into();
    finds(&wrong, "is sent as");
}

#[test]
fn the_ledger_is_held_against_the_journal() {
    let found = |events: &[Event], ledger: &str| ledger_violations(&seen(events), ledger).len();
    assert_eq!(found(&good(), "END\n"), 1, "it worked but left nothing");
    assert_eq!(found(&good(), "step-2\nstep-2\nEND\n"), 1, "it left its line twice");
    let mut unknown = good();
    unknown[4] = Event::ToolFinished { key: Uuid::from_u128(1), outcome: Outcome::Unknown };
    assert_eq!((found(&unknown, "END\n"), found(&unknown, "step-2\nEND\n")), (0, 0));
    assert_eq!(found(&unknown, "step-2\nstep-2\nEND\n"), 1);
    assert_eq!(unknown_outcomes(&seen(&unknown)), 1);
    let mut failed = good();
    failed[4] = Event::ToolFinished { key: Uuid::from_u128(1), outcome: Outcome::Error("no".into()) };
    assert_eq!((found(&failed, "END\n"), found(&failed, "step-2\nEND\n")), (0, 1));
    let mut again = good();
    again.insert(5, good()[3].clone());
    assert!(found(&again, "step-2\nEND\n") > 0, "the same edit was made again");
}

//! The state machine as a value: expect this effect when that happens; and, over random histories, what never happens.

mod approvals;
mod histories;

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::*;
use crate::human_requests::{ASK_PERSON, Response};
use crate::turns::{Outcome, Replay, Reply, Stop, Target, Usage};

fn call(key: u128, name: &str, replay: Replay, arguments: &Value) -> ToolCall {
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    ToolCall { id: format!("c{key}"), key: Uuid::from_u128(key), name: name.into(), arguments, replay, target: None }
}

/// A call of a server's tool.
fn remote(key: u128, approval: bool) -> ToolCall {
    let target = Target { server: "bank".into(), tool: "pay".into(), definition: "d1".into(), approval, request: None };
    ToolCall { target: Some(Box::new(target)), ..call(key, "bank__pay", Replay::Never, &json!({"amount": 10})) }
}

fn reply(turn: u32, text: &str, calls: Vec<ToolCall>, stop: Stop) -> Event {
    let reply = Reply { text: text.into(), calls, stop, model: "m".into(), usage: Usage::default(), carry: None };
    Event::Replied { turn, reply }
}

fn created() -> Event {
    Event::Created { agent_id: Uuid::nil(), build_id: Uuid::nil() }
}

fn said(text: &str) -> Event {
    Event::MessageReceived(Said { id: Uuid::nil(), text: text.into() })
}

fn claimed() -> Event {
    Event::Claimed { attempt: 1 }
}

fn stopped() -> Event {
    Event::Interrupted { by: "stop_request".into() }
}

fn approval(id: u128) -> HumanRequest {
    let kind = crate::human_requests::Kind::Approval;
    HumanRequest::new(Uuid::from_u128(id), kind, "Continue?")
}

fn held() -> Event {
    Event::Held { request: approval(77) }
}

fn decided(yes: bool) -> Event {
    Event::PersonAnswered { request_id: Uuid::from_u128(77), response: Response::Approved(yes) }
}

fn failed(turn: u32, retryable: bool, retry_after_ms: Option<u64>) -> Event {
    let failure = ModelFailure { code: "model_overloaded".into(), message: "busy".into(), retryable, retry_after_ms };
    Event::TurnFailed { turn, failure, spread_permille: 500 }
}

/// A run to which all of `events` have happened, a second apart.
fn after(rules: Rules, events: Vec<Event>) -> (Run, Step) {
    let mut run = Run::new(rules);
    let mut last = Step { events: vec![], next: None };
    for (second, event) in (0_i64..).zip(events) {
        let (step, refused) = run.advance(Timestamp(second * 1000), [event]);
        assert_eq!(refused, []);
        last = step;
    }
    (run, last)
}

fn started() -> Vec<Event> {
    vec![created(), claimed()]
}

fn with(mut events: Vec<Event>, more: impl IntoIterator<Item = Event>) -> Vec<Event> {
    events.extend(more);
    events
}

fn kinds(step: &Step) -> Vec<&'static str> {
    step.events.iter().map(Event::kind).collect()
}

#[test]
fn a_plain_answer_completes_the_run() {
    let (run, step) = after(Rules::default(), started());
    assert_eq!((run.status(), step.next), (Status::Starting, Some(Effect::CallModel { turn: 1 })));
    let (run, step) = after(Rules::default(), with(started(), [reply(1, "done", vec![], Stop::Done)]));
    assert_eq!((run.status(), kinds(&step)), (Status::Completed, vec!["replied", "completed"]));
}

#[test]
fn calls_run_one_after_the_other_each_after_its_intent() {
    let (one, two) = (call(1, "write_file", Replay::Safe, &json!({})), call(2, "edit_file", Replay::Never, &json!({})));
    let asked = with(started(), [reply(1, "", vec![one.clone(), two.clone()], Stop::Done)]);
    let (_, step) = after(Rules::default(), asked.clone());
    assert_eq!((kinds(&step), step.next), (vec!["replied", "tool_started"], Some(Effect::CallTool(one.clone()))));
    let first = Event::ToolFinished { key: one.key, outcome: Outcome::Ok(json!(1)) };
    let (_, step) = after(Rules::default(), with(asked.clone(), [first.clone()]));
    assert_eq!((kinds(&step), step.next), (vec!["tool_finished", "tool_started"], Some(Effect::CallTool(two.clone()))));
    let second = Event::ToolFinished { key: two.key, outcome: Outcome::Error("no".into()) };
    let (run, step) = after(Rules::default(), with(asked, [first, second]));
    assert_eq!(step.next, Some(Effect::CallModel { turn: 2 }));
    assert_eq!(run.lines().len(), 3);
}

#[test]
fn after_a_crash_only_a_safe_call_is_made_again() {
    for (replay, safe) in [(Replay::Safe, true), (Replay::Never, false)] {
        let asked = call(1, "some_tool", replay, &json!({}));
        let history = with(started(), [reply(1, "", vec![asked.clone()], Stop::Done), claimed()]);
        let (run, step) = after(Rules::default(), history);
        if safe {
            assert_eq!(step.next, Some(Effect::CallTool(asked)));
        } else {
            assert_eq!(kinds(&step), ["claimed", "tool_finished"]);
            assert_eq!(step.next, Some(Effect::CallModel { turn: 2 }));
            assert!(matches!(run.lines().last(), Some(Line::ToolResult { outcome: Outcome::Unknown, .. })));
        }
    }
}

#[test]
fn a_person_is_asked_and_answers() {
    let ask = call(1, ASK_PERSON, Replay::Safe, &json!({"kind": "approval", "title": "Pay?"}));
    let asked = with(started(), [reply(1, "", vec![ask.clone()], Stop::Done)]);
    let (run, step) = after(Rules::default(), asked.clone());
    assert_eq!((run.status(), step.next), (Status::Waiting, Some(Effect::Wait)));
    assert_eq!(run.pending_request().map(|request| request.id), Some(ask.key));
    let answer = Event::PersonAnswered { request_id: ask.key, response: Response::Approved(false) };
    let (mut run, step) = after(Rules::default(), with(asked.clone(), [claimed(), answer.clone()]));
    assert_eq!((run.status(), step.next), (Status::Running, Some(Effect::CallModel { turn: 2 })));
    assert_eq!(run.people(), ["denied"]);
    assert_eq!(run.advance(Timestamp(9), [answer]).1.len(), 1, "a second answer does not fit");
    // Whoever writes instead of answering has answered.
    let (run, step) = after(Rules::default(), with(asked, [claimed(), said("never mind")]));
    assert_eq!((run.pending_request(), step.next), (None, Some(Effect::CallModel { turn: 2 })));
}

#[test]
fn finish_hands_over_the_result_and_skips_what_came_after_it() {
    let calls =
        vec![call(1, FINISH, Replay::Safe, &json!({"result": "42"})), call(2, "edit_file", Replay::Never, &json!({}))];
    let (run, step) = after(Rules::default(), with(started(), [reply(1, "", calls, Stop::Done)]));
    assert_eq!(run.status(), Status::Completed);
    assert_eq!(step.events.last(), Some(&Event::Completed { result: Some("42".into()) }));
    assert!(matches!(run.lines().last(), Some(Line::ToolResult { outcome: Outcome::Skipped(_), .. })));
}

#[test]
fn a_message_resumes_what_ended_but_not_what_failed() {
    let done = with(started(), [reply(1, "done", vec![], Stop::Done)]);
    let (run, step) = after(Rules::default(), with(done, [claimed(), said("and now?")]));
    assert_eq!((run.status(), step.next), (Status::Running, Some(Effect::CallModel { turn: 2 })));
    let (run, step) = after(Rules::default(), with(started(), [stopped(), claimed(), said("go on")]));
    assert_eq!((run.status(), step.next), (Status::Running, Some(Effect::CallModel { turn: 2 })));
    let (run, step) = after(Rules::default(), with(started(), [failed(1, false, None), claimed(), said("go on")]));
    assert_eq!((run.status(), step.next), (Status::Failed, None));
}

#[test]
fn a_round_goes_from_a_start_or_a_message_after_an_end_to_the_next_end() {
    let round = |events| {
        let Round { number, began } = after(Rules::default(), events).0.round();
        (number, began.0)
    };
    assert_eq!(round(vec![]), (0, 0));
    assert_eq!(
        round(with(started(), [said("hear this"), stopped()])),
        (1, 0),
        "while it goes on, a message begins nothing"
    );
    assert_eq!(round(with(started(), [stopped(), claimed()])), (1, 0), "nor does a claim");
    assert_eq!(round(with(started(), [stopped(), claimed(), said("go on")])), (2, 4_000));
    let again = [stopped(), claimed(), said("go on"), said("and this"), stopped(), said("once more")];
    assert_eq!(round(with(started(), again)), (3, 7_000));
}

#[test]
fn a_json_answer_is_asked_for_twice_and_then_no_more() {
    let rules = Rules { json_object: true, ..Rules::default() };
    let words = |turn| reply(turn, "[1]", vec![], Stop::Done);
    let (run, step) = after(rules.clone(), with(started(), [words(1), words(2)]));
    assert_eq!((run.status(), step.next), (Status::Running, Some(Effect::CallModel { turn: 3 })));
    let (run, _) = after(rules.clone(), with(started(), [words(1), words(2), words(3)]));
    assert_eq!(run.status(), Status::Failed);
    let (run, _) = after(rules, with(started(), [words(1), reply(2, " {\"a\": 1}\n", vec![], Stop::Done)]));
    assert_eq!(run.status(), Status::Completed);
}

#[test]
fn a_cut_off_tool_call_is_never_made() {
    let half = call(1, "edit_file", Replay::Never, &json!({}));
    let (_, step) = after(Rules::default(), with(started(), [reply(1, "", vec![half], Stop::Length)]));
    assert_eq!((kinds(&step), step.next), (vec!["replied", "noted"], Some(Effect::CallModel { turn: 2 })));
}

#[test]
fn failed_turns_rest_longer_each_time_and_then_fail() {
    let (run, step) = after(Rules::default(), with(started(), [failed(1, true, None)]));
    // 2 s into the history; half of 500 ms, and half of the other half by chance.
    assert_eq!((run.status(), step.next), (Status::Pending, Some(Effect::Sleep(Timestamp(2375)))));
    let (_, step) = after(Rules::default(), with(started(), [failed(1, true, Some(7000))]));
    assert_eq!(step.next, Some(Effect::Sleep(Timestamp(9000))));
    // A message does not shorten the pause; after it the turn is asked for again, eight times in all.
    let (mut run, _) = after(Rules::default(), with(started(), [failed(1, true, Some(7000))]));
    let (step, _) = run.advance(Timestamp(5000), [claimed(), said("well?")]);
    assert_eq!((run.status(), step.next), (Status::Pending, Some(Effect::Sleep(Timestamp(9000)))));
    for hour in 1..=7 {
        run.advance(Timestamp(hour * 3_600_000), [claimed(), failed(1, true, None)]);
    }
    assert_eq!(run.status(), Status::Failed);
}

#[test]
fn a_rest_that_a_clock_far_ahead_wrote_is_over_once_the_clock_is_right() {
    let days_ahead = Timestamp(2 * 86_400_000);
    let (mut run, _) = after(Rules::default(), started());
    let (step, _) = run.advance(days_ahead, [claimed(), failed(1, true, Some(PAUSE_MAX_MS))]);
    assert_eq!(step.next, Some(Effect::Sleep(days_ahead.plus_ms(PAUSE_MAX_MS))));
    let (step, _) = run.clone().advance(days_ahead, [claimed()]);
    assert_eq!(step.next, Some(Effect::Sleep(days_ahead.plus_ms(PAUSE_MAX_MS))), "the longest pause there is holds");
    let (step, _) = run.advance(Timestamp(3000), [claimed()]);
    assert_eq!(step.next, Some(Effect::CallModel { turn: 1 }));
}

#[test]
fn a_message_that_comes_during_the_last_turn_keeps_the_job_going() {
    let (mut run, _) = after(Rules::default(), started());
    let (step, _) = run.advance(Timestamp(3000), [reply(1, "done", vec![], Stop::Done), said("one more thing")]);
    assert_eq!((kinds(&step), step.next), (vec!["replied", "message_received"], Some(Effect::CallModel { turn: 2 })));
    assert_eq!(run.lines().last(), Some(&Line::User("one more thing".into())));
}

#[test]
fn a_message_is_heard_before_the_job_is_finished_or_a_person_is_asked() {
    for name in [FINISH, ASK_PERSON] {
        let arguments = json!({"result": "42", "kind": "approval", "title": "Pay?"});
        let arguments = if name == FINISH { json!({"result": "42"}) } else { arguments };
        let last = reply(1, "", vec![call(1, name, Replay::Safe, &arguments)], Stop::Done);
        let (mut run, _) = after(Rules::default(), started());
        let (step, _) = run.advance(Timestamp(3000), [last, said("wait")]);
        assert_eq!(kinds(&step), ["replied", "message_received", "tool_started", "tool_finished"]);
        assert_eq!(step.next, Some(Effect::CallModel { turn: 2 }));
        assert_eq!(run.lines().last(), Some(&Line::User("wait".into())));
    }
}

#[test]
fn a_message_during_the_last_allowed_turn_grants_more() {
    let rules = Rules { limits: Limits { turns: 1, ..Limits::default() }, ..Rules::default() };
    let (mut run, _) = after(rules, started());
    let (step, _) = run.advance(Timestamp(3000), [reply(1, "done", vec![], Stop::Done), said("and more")]);
    assert_eq!(step.next, Some(Effect::CallModel { turn: 2 }));
}

#[test]
fn a_call_in_flight_shows_its_outcome_before_the_run_is_stopped() {
    let calls = vec![call(1, "edit_file", Replay::Never, &json!({})), call(2, "plan", Replay::Safe, &json!({}))];
    let (run, step) = after(Rules::default(), with(started(), [reply(1, "", calls, Stop::Done), stopped()]));
    assert_eq!((run.status(), kinds(&step)), (Status::Interrupted, vec!["tool_finished", "interrupted"]));
    assert!(matches!(step.events[0], Event::ToolFinished { outcome: Outcome::Unknown, .. }));
}

#[test]
fn a_held_run_asks_and_goes_on_as_after_a_crash() {
    let (safe, unsafe_one) =
        (call(1, "read_file", Replay::Safe, &json!({})), call(1, "edit_file", Replay::Never, &json!({})));
    let using = |call: &ToolCall| with(started(), [reply(1, "", vec![call.clone()], Stop::Done)]);
    for (history, due) in [
        (vec![created()], Effect::CallModel { turn: 1 }),
        (started(), Effect::CallModel { turn: 1 }),
        (with(started(), [failed(1, true, Some(60_000))]), Effect::Sleep(Timestamp(62_000))),
        (using(&safe), Effect::CallTool(safe.clone())),
        // Made before the backup or after it: nobody knows, and it is not made again.
        (using(&unsafe_one), Effect::CallModel { turn: 2 }),
    ] {
        let (run, step) = after(Rules::default(), with(history.clone(), [held()]));
        assert_eq!((run.status(), step.next), (Status::Waiting, Some(Effect::Wait)));
        assert_eq!(run.pending_request(), Some(&approval(77)));
        let (_, step) = after(Rules::default(), with(history.clone(), [held(), claimed()]));
        assert_eq!(step.next, Some(Effect::Wait), "a claim alone moves nothing");
        let (run, step) = after(Rules::default(), with(history.clone(), [held(), claimed(), decided(true)]));
        assert_eq!((run.pending_request(), step.next.as_ref()), (None, Some(&due)));
        assert!(run.people().is_empty(), "the model did not ask");
        // Whoever writes instead of deciding lets it go on, too.
        let (run, step) = after(Rules::default(), with(history.clone(), [held(), claimed(), said("go on")]));
        assert_eq!((run.people(), step.next), (["go on".to_owned()].as_slice(), Some(due)));
        for end in [decided(false), stopped()] {
            let (run, step) = after(Rules::default(), with(history.clone(), [held(), claimed(), end]));
            assert_eq!((run.status(), step.events.last().map(Event::kind)), (Status::Interrupted, Some("interrupted")));
            let in_flight =
                run.lines().iter().any(|line| matches!(line, Line::ToolResult { outcome: Outcome::Unknown, .. }));
            assert_eq!(
                in_flight,
                step.events.iter().any(|event| event.kind() == "tool_finished"),
                "an open call shows its outcome first"
            );
        }
    }
}

#[test]
fn what_waits_or_has_ended_is_not_held() {
    let ask = call(1, ASK_PERSON, Replay::Safe, &json!({"kind": "approval", "title": "Pay?"}));
    let asked = with(started(), [reply(1, "", vec![ask.clone()], Stop::Done)]);
    let done = with(started(), [reply(1, "done", vec![], Stop::Done)]);
    for history in [asked.clone(), done] {
        let (mut run, _) = after(Rules::default(), history);
        let before = run.clone();
        assert_eq!(run.advance(Timestamp(9), [held()]).1.len(), 1);
        assert_eq!(run, before);
    }
    // An answer that lay in the inbox is taken, and what would follow from it is not done by itself.
    let (mut run, _) = after(Rules::default(), asked);
    let answer = Event::PersonAnswered { request_id: ask.key, response: Response::Approved(true) };
    let (step, _) = run.advance(Timestamp(9), [answer, held()]);
    assert_eq!((kinds(&step), step.next), (vec!["person_answered", "held"], Some(Effect::Wait)));
    assert_eq!(run.pending_request(), Some(&approval(77)));
}

#[test]
fn the_time_a_run_is_held_is_free() {
    let rules = Rules { limits: Limits { wall_ms: 1_500, ..Limits::default() }, ..Rules::default() };
    let (mut run, _) = after(rules, started());
    run.advance(Timestamp(86_400_000), [held()]);
    let (step, _) = run.advance(Timestamp(2 * 86_400_000), [claimed(), decided(true)]);
    assert_eq!(step.next, Some(Effect::CallModel { turn: 1 }));
    assert_eq!(run.wall_left_ms(Timestamp(2 * 86_400_000 + 500)), 1_000);
}

#[test]
fn limits_hold_and_a_restart_does_not_reset_them() {
    let looping = |turns: u32| {
        let round = |turn: u32| {
            let call = call(turn.into(), "plan", Replay::Safe, &json!({}));
            let done = Event::ToolFinished { key: call.key, outcome: Outcome::Ok(json!("ok")) };
            [reply(turn, "", vec![call], Stop::Done), claimed(), done, claimed()]
        };
        with(started(), (1..=turns).flat_map(round))
    };
    let limits = |limits: Limits| Rules { limits, ..Rules::default() };
    let few_turns = limits(Limits { turns: 3, ..Limits::default() });
    assert_eq!(after(few_turns.clone(), looping(2)).0.status(), Status::Running);
    assert_eq!(after(few_turns, looping(3)).0.status(), Status::Failed);
    let few_calls = limits(Limits { tool_calls: 1, ..Limits::default() });
    let (run, step) =
        after(few_calls, with(looping(1), [reply(2, "", vec![call(9, "plan", Replay::Safe, &json!({}))], Stop::Done)]));
    assert_eq!((run.status(), kinds(&step)), (Status::Failed, vec!["replied", "failed"]));
    let little_output = limits(Limits { output_bytes: 5, ..Limits::default() });
    let wordy = reply(1, "123456", vec![call(1, "plan", Replay::Safe, &json!({}))], Stop::Done);
    assert_eq!(after(little_output, with(started(), [wordy])).0.status(), Status::Failed);
    let short = limits(Limits { wall_ms: 1500, ..Limits::default() });
    // Downtime between a crash and the next claim is free, work is not.
    assert_eq!(after(short.clone(), with(started(), [claimed(), claimed(), claimed()])).0.status(), Status::Starting);
    let (run, _) = after(
        short,
        with(
            started(),
            [said("a"), said("b"), reply(1, "", vec![call(1, "plan", Replay::Safe, &json!({}))], Stop::Done)],
        ),
    );
    assert_eq!(run.status(), Status::Failed);
}

#[test]
fn an_unknown_event_is_not_read_as_another() {
    assert!(serde_json::from_str::<Event>(r#"{"type":"teleported"}"#).is_err());
    let empty: Map<String, Value> = Map::new();
    assert!(serde_json::from_value::<Event>(Value::Object(empty)).is_err());
}

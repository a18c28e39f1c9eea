//! The state machine as a value: expect this effect when that happens; and, over random histories, what never happens.

mod approvals;

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

fn any_call() -> impl Strategy<Value = ToolCall> {
    let name = prop::sample::select(vec!["plan", "edit_file", ASK_PERSON, FINISH, "no_such_tool"]);
    let arguments = prop::sample::select(vec![
        json!({}),
        json!({"kind": "approval", "title": "Pay?"}),
        json!({"kind": "question", "title": "Which?"}),
        json!({"result": "{}"}),
        json!({"result": 7}),
    ]);
    let own = (0_u128..6, name, any::<bool>(), arguments).prop_map(|(key, name, safe, arguments)| {
        call(key, name, if safe { Replay::Safe } else { Replay::Never }, &arguments)
    });
    prop_oneof![2 => own, 1 => (0_u128..6, any::<bool>()).prop_map(|(key, approval)| remote(key, approval))]
}

fn any_event() -> impl Strategy<Value = Event> {
    let turn = 0_u32..5;
    let key = (0_u128..6).prop_map(Uuid::from_u128);
    let stop = prop::sample::select(vec![Stop::Done, Stop::Done, Stop::Length, Stop::Refused]);
    let outcome = prop::sample::select(vec![Outcome::Ok(json!(1)), Outcome::Error("e".into()), Outcome::Unknown]);
    let edited = Response::Edited(Map::from_iter([("amount".to_owned(), json!(9))]));
    let yes = Response::Approved(true);
    let responses =
        vec![yes.clone(), yes, Response::Approved(false), edited, Response::Expired, Response::Answers([].into())];
    let response = prop::sample::select(responses);
    prop_oneof![
        1 => Just(created()),
        4 => Just(claimed()),
        2 => "[a-z]{0,3}".prop_map(|text| said(&text)),
        1 => Just(Event::Noted { text: "n".into() }),
        6 => (turn.clone(), "[a-z{}]{0,3}", prop::collection::vec(any_call(), 0..3), stop)
            .prop_map(|(turn, text, calls, stop)| reply(turn, &text, calls, stop)),
        2 => (turn, any::<bool>(), prop::option::of(any::<u64>())).prop_map(|(turn, retry, after)| failed(turn, retry, after)),
        2 => any_call().prop_map(|call| Event::ToolStarted { call }),
        5 => (key.clone(), outcome).prop_map(|(key, outcome)| Event::ToolFinished { key, outcome }),
        1 => key.clone().prop_map(|key| Event::ToolChanged { key, request: Uuid::from_u128(key.as_u128() + 1_000), definition: "d2".into(), difference: "other words".into() }),
        2 => (key, response).prop_map(|(request_id, response)| Event::PersonAnswered { request_id, response }),
        2 => (0_u128..6).prop_map(|id| Event::Held { request: approval(id) }),
        1 => Just(Event::Completed { result: None }),
        1 => Just(Event::Failed { cause: Cause { code: "c".into(), message: "m".into() } }),
        1 => Just(stopped()),
    ]
}

/// Fresh keys for the calls of a reply, as the engine gives them; and, half of the time, the key that an outcome or an answer is waited for under.
fn plausible(event: Event, run: &Run, keys: &mut u128) -> Event {
    let awaited = match &run.phase {
        _ if run.held.is_some() => run.held.as_ref().map(|request| request.id),
        Phase::Acting { current, .. } => Some(current.key),
        Phase::Asking { request, .. } => Some(request.id),
        _ => None,
    };
    let fitting = |key: Uuid| awaited.filter(|_| key.as_u128().is_multiple_of(2)).unwrap_or(key);
    match event {
        Event::Replied { turn, mut reply } => {
            for call in &mut reply.calls {
                *keys += 1;
                call.key = Uuid::from_u128(*keys);
            }
            // The turn that is due, more often than chance would have it.
            let turn = if turn < 3 { run.turns } else { turn };
            Event::Replied { turn, reply }
        }
        Event::ToolFinished { key, outcome } => Event::ToolFinished { key: fitting(key), outcome },
        Event::ToolChanged { key, request, definition, difference } => {
            Event::ToolChanged { key: fitting(key), request, definition, difference }
        }
        Event::PersonAnswered { request_id, response } => {
            Event::PersonAnswered { request_id: fitting(request_id), response }
        }
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Over any history: nothing panics; what was refused changed nothing; what follows by itself always fits; between two claims no effect is
    /// yielded twice (a held run has no worker, so whoever moves it next has claimed it), but for a call that was not made since its tool has changed;
    /// what needs an approval is begun only after one, each time that it is asked for; the journal folds to the same state; a run is never left
    /// with nothing to do that says it is at work; and a held one does nothing and asks the same until a person decides or writes, or it ends.
    #[test]
    fn any_history_is_sound(batches in prop::collection::vec((prop::collection::vec(any_event(), 1..4), 0_i64..5_000), 0..40), json_object: bool) {
        let limits = Limits { turns: 4, tool_calls: 6, model_tries: 3, ..Limits::default() };
        let rules = Rules { limits, json_object };
        let mut run = Run::new(rules.clone());
        let (mut journal, mut yielded, mut due, mut now, mut keys) = (vec![], HashSet::new(), None, 0, 100);
        // Each call that may not be begun yet, and the request whose answer it waits for.
        let mut ask_first = HashMap::new();
        for (events, pause) in batches {
            now += pause;
            let events: Vec<Event> = events.into_iter().map(|event| plausible(event, &run, &mut keys)).collect();
            let before = run.clone();
            let (is_claim, single) = (events.iter().any(|event| matches!(event, Event::Claimed { .. })), events.len() == 1);
            let (step, refused) = run.advance(Timestamp(now), events);
            if step.events.is_empty() {
                prop_assert_eq!(&run, &before, "a refused event changes nothing");
                continue;
            }
            prop_assert!(!single || refused.is_empty(), "what follows by itself fits: {:?}", refused);
            let held_now = step.events.iter().any(|event| matches!(event, Event::Held { .. }));
            if is_claim || held_now {
                yielded.clear();
            }
            if run.held.is_some() {
                prop_assert!(step.next.is_none() || step.next == Some(Effect::Wait), "{:?} follows for a held run", step.next);
                prop_assert_eq!(run.active_since, None, "nobody works on it");
            }
            let frees = |event: &Event| match event {
                Event::MessageReceived(_) | Event::Failed { .. } | Event::Interrupted { .. } => true,
                Event::PersonAnswered { request_id, .. } => before.held.as_ref().is_some_and(|asked| asked.id == *request_id),
                _ => false,
            };
            prop_assert!(before.held.is_none() || run.held == before.held || step.events.iter().any(frees), "it went on by itself");
            for event in step.events {
                match &event {
                    Event::ToolChanged { key, request, .. } => {
                        yielded.remove(&format!("tool {key}"));
                        ask_first.insert(*key, *request);
                    }
                    Event::Replied { reply, .. } => ask_first.extend(reply.calls.iter().filter(|call| call.needs_approval()).map(|call| (call.key, call.key))),
                    Event::PersonAnswered { request_id, response: Response::Approved(true) | Response::Edited(_) } if before.held.is_none() => {
                        ask_first.retain(|_, request| request != request_id);
                    }
                    Event::ToolStarted { call } => prop_assert!(!ask_first.contains_key(&call.key), "{:?} was begun unapproved", call),
                    _ => {}
                }
                journal.push(Entry { seq: journal.len() as u64 + 1, at: Timestamp(now), event });
            }
            if let Some(effect) = step.next {
                let name = match &effect {
                    Effect::CallModel { turn } => Some(format!("model {turn}")),
                    Effect::CallTool(call) => Some(format!("tool {}", call.key)),
                    Effect::Then(_) | Effect::Sleep(_) | Effect::Wait => None,
                };
                if let Some(name) = name {
                    prop_assert!(yielded.insert(name.clone()), "{} twice", name);
                }
                due = Some(effect);
            }
            let at_work = matches!(run.status(), Status::Starting | Status::Running);
            let active = matches!(due, Some(Effect::CallModel { .. } | Effect::CallTool(_)));
            prop_assert!(!at_work || active, "{:?} with {:?} due", run.status(), due);
            prop_assert!(run.status() != Status::Waiting || run.pending_request().is_some());
        }
        for entry in &journal {
            let text = serde_json::to_string(&entry.event).unwrap();
            prop_assert!(Event::knows(entry.event.kind()));
            let back: Event = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&back, &entry.event, "the journal's JSON is lossless");
        }
        // A restart may come with other limits: the state is the same.
        for limits in [rules.limits.clone(), Limits::default(), Limits { turns: 0, tool_calls: 0, output_bytes: 0, repairs: 0, ..rules.limits }] {
            let rules = Rules { limits, json_object };
            let replayed = Run::replay(rules.clone(), journal.clone());
            let (mut folded, _) = replayed.map_err(|refused| TestCaseError::fail(refused.to_string()))?;
            folded.rules = run.rules.clone();
            prop_assert_eq!(&folded, &run);
            let (mut live, soon) = (run.clone(), Timestamp(now + 1));
            prop_assert_eq!(folded.advance(soon, [claimed()]), live.advance(soon, [claimed()]), "the same is due");
        }
    }
}

#[test]
fn an_unknown_event_is_not_read_as_another() {
    assert!(serde_json::from_str::<Event>(r#"{"type":"teleported"}"#).is_err());
    let empty: Map<String, Value> = Map::new();
    assert!(serde_json::from_value::<Event>(Value::Object(empty)).is_err());
}

//! Calls of servers' tools that a person must approve.

use super::*;
use crate::human_requests::Kind;

fn using(call: &ToolCall) -> Vec<Event> {
    with(started(), [reply(1, "", vec![call.clone(), self::call(2, "plan", Replay::Safe, &json!({}))], Stop::Done)])
}

fn answer(response: Response) -> Event {
    answer_to(1, response)
}

fn answer_to(request: u128, response: Response) -> Event {
    Event::PersonAnswered { request_id: Uuid::from_u128(request), response }
}

fn changed() -> Event {
    Event::ToolChanged {
        key: Uuid::from_u128(1),
        request: Uuid::from_u128(101),
        definition: "d2".into(),
        difference: "It pays twice now.".into(),
    }
}

#[test]
fn what_needs_no_approval_is_begun_at_once() {
    let call = remote(1, false);
    let (_, step) = after(Rules::default(), using(&call));
    assert_eq!((kinds(&step), step.next), (vec!["replied", "tool_started"], Some(Effect::CallTool(call))));
}

#[test]
fn an_approval_shows_exactly_what_then_runs_and_begins_it_in_the_same_step() {
    let (run, step) = after(Rules::default(), using(&remote(1, true)));
    assert_eq!((kinds(&step), step.next), (vec!["replied", "person_asked"], Some(Effect::Wait)));
    assert_eq!(run.status(), Status::Waiting);
    let request = run.pending_request().unwrap();
    assert_eq!(
        (request.id, request.kind, request.title.as_str()),
        (Uuid::from_u128(1), Kind::Approval, "Call the tool pay of bank?")
    );
    assert_eq!(
        request.description.as_deref(),
        Some(
            "Server: bank\nTool: pay\nDefinition: sha256:d1\nArguments, exactly as they are sent:\n{\n  \"amount\": 10\n}"
        )
    );
    // Two seconds into the history, and seven days.
    assert_eq!(request.expires_at, Some(Timestamp(2_000 + 7 * 86_400_000)));
    let (run, step) =
        after(Rules::default(), with(using(&remote(1, true)), [claimed(), answer(Response::Approved(true))]));
    assert_eq!(
        (kinds(&step), step.next),
        (vec!["person_answered", "tool_started"], Some(Effect::CallTool(remote(1, false))))
    );
    assert_eq!(run.accepted("bank", "pay"), Some("d1"));
}

#[test]
fn changed_arguments_are_what_runs() {
    let other = Map::from_iter([("amount".to_owned(), json!(9))]);
    let (_, step) =
        after(Rules::default(), with(using(&remote(1, true)), [claimed(), answer(Response::Edited(other.clone()))]));
    assert_eq!(step.next, Some(Effect::CallTool(ToolCall { arguments: other, ..remote(1, false) })));
}

#[test]
fn a_denied_or_expired_call_is_not_made_and_the_model_goes_on() {
    for event in [answer(Response::Approved(false)), answer(Response::Expired), said("not now")] {
        let next = call(2, "plan", Replay::Safe, &json!({}));
        let (run, step) = after(Rules::default(), with(using(&remote(1, true)), [claimed(), event.clone()]));
        assert_eq!(
            (step.events[1..].to_vec(), step.next),
            (vec![Event::ToolStarted { call: next.clone() }], Some(Effect::CallTool(next.clone())))
        );
        assert!(matches!(run.lines().last(), Some(Line::ToolResult { outcome: Outcome::Skipped(_), .. })));
        // Whoever wrote is heard once the reply's other calls have their results.
        let done = Event::ToolFinished { key: next.key, outcome: Outcome::Ok(json!(1)) };
        let (run, _) = after(Rules::default(), with(using(&remote(1, true)), [claimed(), event.clone(), done]));
        assert_eq!(run.lines().last() == Some(&Line::User("not now".into())), event == said("not now"));
    }
}

#[test]
fn a_crash_while_a_person_decides_asks_nothing_new() {
    let (run, step) = after(Rules::default(), with(using(&remote(1, true)), [claimed()]));
    assert_eq!((kinds(&step), step.next, run.status()), (vec!["claimed"], Some(Effect::Wait), Status::Waiting));
    // Once begun, a call that was in flight is not approved into being made again.
    let (run, step) =
        after(Rules::default(), with(using(&remote(1, true)), [answer(Response::Approved(true)), claimed()]));
    assert_eq!(kinds(&step), ["claimed", "tool_finished", "tool_started"]);
    assert!(matches!(run.lines().last(), Some(Line::ToolResult { outcome: Outcome::Unknown, .. })));
}

#[test]
fn a_tool_that_has_changed_is_approved_anew_whatever_the_policy() {
    for approval in [false, true] {
        let mut history = using(&remote(1, approval));
        history.extend(approval.then(|| answer(Response::Approved(true))));
        let (run, step) = after(Rules::default(), with(history.clone(), [changed()]));
        assert_eq!((kinds(&step), step.next), (vec!["tool_changed", "person_asked"], Some(Effect::Wait)));
        assert_eq!(run.pending_request().unwrap().id, Uuid::from_u128(101), "the one before was answered");
        let words = run.pending_request().and_then(|request| request.description.clone()).unwrap();
        assert!(words.starts_with("It pays twice now.\n\nServer: bank") && words.contains("sha256:d2"), "{words}");
        assert_ne!(run.accepted("bank", "pay"), Some("d2"));
        let (run, step) =
            after(Rules::default(), with(history, [changed(), claimed(), answer_to(101, Response::Approved(true))]));
        let Some(Effect::CallTool(made)) = step.next else { panic!("{step:?}") };
        assert_eq!(made.target.map(|target| target.definition), Some("d2".to_owned()));
        assert_eq!(run.accepted("bank", "pay"), Some("d2"), "for the rest of this Job");
    }
}

#[test]
fn nobody_is_asked_about_a_call_past_the_limit() {
    let rules = Rules { limits: Limits { tool_calls: 0, ..Limits::default() }, ..Rules::default() };
    let (run, step) = after(rules, using(&remote(1, true)));
    assert_eq!((run.status(), kinds(&step)), (Status::Failed, vec!["replied", "failed"]));
}

#[test]
fn what_hides_in_arguments_is_shown_as_what_it_is() {
    let arguments = json!({"to": "alice\u{202e}\u{200b}", "note": "🦀\u{e0041}"});
    let call = ToolCall { arguments: arguments.as_object().cloned().unwrap(), ..remote(1, true) };
    let (run, _) = after(Rules::default(), using(&call));
    let words = run.pending_request().and_then(|request| request.description.clone()).unwrap();
    let (_, shown) = words.split_once("sent:\n").unwrap();
    assert_eq!(shown, "{\n  \"note\": \"🦀\\udb40\\udc41\",\n  \"to\": \"alice\\u202e\\u200b\"\n}");
    assert_eq!(serde_json::from_str::<Value>(shown).unwrap(), arguments, "and is the same");
}

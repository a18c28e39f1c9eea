//! Any history of events, likely or not.

use super::*;

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

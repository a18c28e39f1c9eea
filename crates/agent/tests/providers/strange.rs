//! Answers that are whole and strange: what they make us keep must be said again without offence, take no time to read and never
//! break the reader.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use domain::turns::{Line, Outcome};
use serde_json::{Value, json};
use testkit::fake_provider::{FakeProvider, FakeWire, Reply, Step};

use super::support::{Ask, WIRES, providers};

/// A model makes up names and ids. No vendor takes them back as they are, neither the one who sent them nor another.
#[tokio::test]
async fn what_a_model_makes_up_can_be_said_again() {
    let made_up = [
        ("c1", "functions.read_file"),
        ("c2", "read file\n\u{1f600}"),
        ("c3", "3d_print"),
        ("c4", "."),
        ("c\0\n5", "browse"),
    ];
    for (wire, model) in WIRES {
        let mut reply =
            Reply::text("I look.").call("c6", "n".repeat(5000), "{}").call("i".repeat(5000), "browse", "{}");
        for (id, name) in made_up {
            reply = reply.call(id, name, json!({ "path": "\0" }));
        }
        let fake = FakeProvider::scripted([reply.into()]).await.unwrap();
        let providers = providers(&fake, "");
        let mut ask = Ask::new(model);
        let answer = ask.turn(&providers).await.unwrap();
        assert_eq!(answer.calls[2].name, "functions.read_file", "{wire:?}: people see what was asked for");
        ask.go_on(answer, vec![Outcome::Error("there is no such tool\0".to_owned()); 7]);
        for (other, model) in WIRES {
            fake.then(Reply::text("I see."));
            ask.model = model.to_owned();
            let answer = ask.turn(&providers).await;
            assert_eq!(answer.map(|answer| answer.text), Ok("I see.".to_owned()), "{wire:?} to {other:?}");
        }
    }
}

/// As many as an answer may hold; a reader that looks through all of them for each takes minutes.
#[tokio::test]
async fn a_crowd_of_calls_is_read_in_no_time() {
    let mut calls = String::new();
    let mut thoughts = String::new();
    let mut signed =
        "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\"}}\n\n".to_owned();
    let thought = "thought ".repeat(10);
    for n in 0..100_000 {
        let call = format!("{{\"index\":{n},\"id\":\"{n}\",\"function\":{{\"name\":\"f\"}}}}");
        write!(calls, "data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{call}]}}}}]}}\n\n").unwrap();
        write!(thoughts, "data: {{\"choices\":[{{\"delta\":{{\"reasoning\":\"{thought}\"}}}}]}}\n\n").unwrap();
        let delta = format!("{{\"thinking\":\"{thought}\"}}");
        write!(signed, "data: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{delta}}}\n\n").unwrap();
    }
    let end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let signed_end = "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\ndata: {\"type\":\"message_stop\"}\n\n";
    let cases = [
        ("qwen3", calls + end, 100_000, 0),
        ("qwen3", thoughts + end, 0, 8_000_000),
        ("claude-sonnet-4-5", signed + signed_end, 0, 8_000_000),
    ];
    for (model, body, count, kept) in cases {
        let fake = FakeProvider::scripted([Step::Body(Vec::new(), body.into_bytes())]).await.unwrap();
        let begun = Instant::now();
        let answer = Ask::new(model).turn(&providers(&fake, "")).await.unwrap();
        assert_eq!(answer.calls.len(), count);
        assert!(answer.carry.map_or(0, |carry| carry.to_string().len()) >= kept, "{model} lost its thoughts");
        assert!(begun.elapsed() < Duration::from_secs(20), "{model} took {:?}", begun.elapsed());
    }
}

/// Every field of every event in turn is of another type or not there. The reader makes of it what it can.
#[tokio::test]
async fn every_field_of_another_type() {
    let others = [json!(null), json!(17), json!(u64::MAX), json!(-1.5), json!("x"), json!([]), json!({}), json!([{}])];
    for (wire, model) in WIRES {
        let reply = Reply::text("I write.").thinking("Hm.").call("c1", "write_file", json!({ "path": "a" })).piece(100);
        let events = wire.events(model, &reply);
        let fake = FakeProvider::scripted([]).await.unwrap();
        let providers = providers(&fake, "");
        let mut tried = 0;
        for place in 0..events.len() {
            let Some(event) = data(&events[place]) else { continue };
            for pointer in pointers(&event) {
                for other in &others {
                    let mut event = event.clone();
                    *event.pointer_mut(&pointer).unwrap() = other.clone();
                    let mut all = events.clone();
                    all[place] = format!("data: {event}\n\n");
                    fake.then(Step::Body(Vec::new(), all.concat().into_bytes()));
                    again(&providers, model, wire).await;
                    tried += 1;
                }
            }
        }
        println!("{wire:?}: {tried} strange events");
        assert!(tried > 100, "{wire:?}: only {tried} strange events");
    }
}

/// What came of it, a whole answer or none, goes through the conversation once more.
async fn again(providers: &agent::providers::Providers, model: &str, wire: FakeWire) {
    let mut ask = Ask::new(model);
    if let Ok(answer) = ask.turn(providers).await {
        let calls = answer.calls.len();
        ask.go_on(answer, vec![Outcome::Ok(json!("done")); calls]);
        assert!(matches!(ask.lines[1], Line::Assistant { .. }), "{wire:?}");
    }
}

fn data(event: &str) -> Option<Value> {
    let line = event.lines().find_map(|line| line.strip_prefix("data: "))?;
    serde_json::from_str(line).ok()
}

/// The way to everything in `value`, itself included.
fn pointers(value: &Value) -> Vec<String> {
    let mut all = vec![String::new()];
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, field)| (key.clone(), field)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(place, item)| (place.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    for (key, inner) in inner {
        all.extend(pointers(inner).into_iter().map(|rest| format!("/{key}{rest}")));
    }
    all
}

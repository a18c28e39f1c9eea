//! Answers that need something done: unknown tools, the wrong form, things a Build names and nobody serves.

use domain::runs::Event;
use domain::turns::{Line, Outcome};
use serde_json::json;
use testkit::scripted::{ScriptedModel, says, wants};

use crate::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_tool_is_told_to_the_model_which_goes_on() {
    let house = House::new().await;
    let model = ScriptedModel::new(|request| match request.lines {
        [] => Ok(wants([("c1", "browse", json!({}))])),
        [.., Line::ToolResult { outcome: Outcome::Error(words), .. }] => Ok(says(words.clone())),
        other => Ok(says(format!("{other:?}"))),
    });
    let _engine = house.engine(model);
    let run = house.start(None).await;
    house.until(run, "completed").await;
    let journal = house.journal(run).await;
    let said = journal.iter().rev().find_map(|event| match event {
        Event::Replied { reply, .. } => Some(reply.text.as_str()),
        _ => None,
    });
    assert!(said.unwrap().starts_with("browse: there is no such tool; there are plan, "), "{said:?}");
}

fn json_build() -> serde_json::Value {
    json!({ "text": { "format": { "type": "json_object" } } })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_no_json_object_is_asked_for_again() {
    let house = House::with(json_build()).await;
    let model = ScriptedModel::new(|request| {
        assert!(request.json_object);
        Ok(says(if request.turn < 3 { "Certainly! Here it is." } else { r#"{"total": 10}"# }))
    });
    let _engine = house.engine(model);
    let run = house.start(None).await;
    house.until(run, "completed").await;
    let kinds = house.kinds(run).await;
    assert_eq!(kinds[2..], ["replied", "noted", "replied", "noted", "replied", "completed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_never_answers_in_json_fails_its_run() {
    let house = House::with(json_build()).await;
    let _engine = house.engine(ScriptedModel::new(|_| Ok(says("no"))));
    let run = house.start(None).await;
    house.until(run, "failed").await;
    let (code, message) = house.cause(run).await;
    assert_eq!(code, "answer_malformed");
    assert!(message.contains("2 times"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_served_is_said_before_the_first_turn() {
    let house = House::with(json!({ "skills": ["bookkeeping"] })).await;
    let _engine = house.engine(ScriptedModel::new(|_| Ok(says("done"))));
    let run = house.start(None).await;
    house.until(run, "completed").await;
    let notes: Vec<String> = house
        .journal(run)
        .await
        .into_iter()
        .filter_map(|event| if let Event::Noted { text } = event { Some(text) } else { None })
        .collect();
    assert_eq!(house.kinds(run).await[1..], ["claimed", "noted", "replied", "completed"]);
    assert!(notes[0].contains("bookkeeping"), "{notes:?}");

    house.say(run, "more").await;
    house.until_journaled(run, "replied", 2).await;
    house.until(run, "completed").await;
    assert_eq!(house.kinds(run).await.iter().filter(|kind| **kind == "noted").count(), 1, "once is enough");
}

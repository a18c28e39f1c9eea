//! Human requests: shown while they are open, answered once.

use domain::human_requests::{Choice, HumanRequest, Kind, Question};
use domain::runs::{Event, Status};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::house::{House, NOBODY};

const REQUEST: Uuid = Uuid::from_u128(0x0190_a0c5_7e3f_7c1a_9d2b_0000_0000_00ff);

fn approval() -> HumanRequest {
    HumanRequest::new(REQUEST, Kind::Approval, "Pay 80 EUR?")
}

fn questions() -> HumanRequest {
    let question = |text: &str, options: Vec<Choice>| Question {
        question: text.into(),
        header: None,
        multi_select: !options.is_empty(),
        options,
    };
    let options = vec![Choice { label: "PDF".into(), description: Some("for print".into()) }];
    HumanRequest {
        description: Some("Before I go on".into()),
        questions: vec![question("Which month?", vec![]), question("Which format?", options)],
        ..HumanRequest::new(REQUEST, Kind::Question, "Two things")
    }
}

/// A run that waits for `request`; gives its path and that of the answer.
async fn waiting(house: &House, request: HumanRequest) -> (String, String) {
    let run = house.run().await;
    let mut claimed = house.claim().await;
    house.step(&mut claimed, vec![Event::PersonAsked { request }], Status::Waiting).await;
    (format!("/v1/runs/{run}"), format!("/v1/runs/{run}/human-requests/{REQUEST}/respond"))
}

#[tokio::test]
async fn an_approval_is_shown_answered_and_gone() {
    let house = House::new().await;
    let (run, respond) = waiting(&house, approval()).await;
    let shown = house.get(&run).await.success(200);
    assert_eq!(shown["run"]["status"], "waiting");
    assert_eq!(
        shown["pending_human_request"],
        json!({"id": REQUEST, "title": "Pay 80 EUR?", "description": null,
            "created_at": "2026-11-23T14:00:00.000Z", "type": "approval"})
    );
    for wrong in
        [json!({}), json!({"answers": {}}), json!({"approved": true, "answers": {}}), json!({"approved": "yes"})]
    {
        house.post(&respond, wrong).await.refusal(400, "invalid_request");
    }
    house.ambient.advance_ms(1);
    let answered = house.post(&respond, json!({"approved": false})).await.success(200)["human_request"].clone();
    assert_eq!(
        (&answered["response"], &answered["responded_at"]),
        (&json!("denied"), &json!("2026-11-23T14:00:00.001Z"))
    );
    assert_eq!(house.get(&run).await.success(200).get("pending_human_request"), None);
    let message = house.post(&respond, json!({"approved": true})).await.refusal(400, "request_already_answered");
    assert!(message.contains("answered"), "{message}");
    // The run is due, with the answer in its inbox.
    assert_eq!(house.claim().await.lease.team, house.team);
}

#[tokio::test]
async fn questions_are_answered_by_their_text() {
    let house = House::new().await;
    let (run, respond) = waiting(&house, questions()).await;
    assert_eq!(
        house.get(&run).await.success(200)["pending_human_request"]["questions"],
        json!([
            {"question": "Which month?"},
            {"question": "Which format?", "options": [{"label": "PDF", "description": "for print"}], "multi_select": true}
        ])
    );
    for wrong in
        [json!({"approved": true}), json!({"answers": {"Which month?": "May"}}), json!({"answers": {"Who?": "I"}})]
    {
        house.post(&respond, wrong).await.refusal(400, "invalid_request");
    }
    let body = json!({"answers": {"Which month?": "May", "Which format?": "PDF"}});
    let answered = house.post(&respond, body).await.success(200);
    let response: Value =
        serde_json::from_str(answered["human_request"]["response"].as_str().expect("text")).expect("JSON");
    assert_eq!(response, json!({"Which month?": "May", "Which format?": "PDF"}));
}

#[tokio::test]
async fn of_many_answers_one_wins() {
    let house = House::new().await;
    let (_, respond) = waiting(&house, approval()).await;
    let answers = (0..20).map(|number| house.post(&respond, json!({"approved": number % 2 == 0})));
    let answers = futures_util::future::join_all(answers).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 400).count(), 19);
}

#[tokio::test]
async fn a_message_or_a_stop_overtakes_the_request() {
    for (end, body) in [("messages", json!({"message": "Never mind"})), ("stop", json!({}))] {
        let house = House::new().await;
        let (run, respond) = waiting(&house, approval()).await;
        house.post(&format!("{run}/{end}"), body).await;
        let message = house.post(&respond, json!({"approved": true})).await.refusal(400, "request_already_answered");
        assert!(message.contains("does not wait"), "{message}");
    }
}

#[tokio::test]
async fn a_message_that_came_before_the_question_overtakes_it_too() {
    let house = House::new().await;
    let run = house.run().await;
    let claimed = house.claim().await;
    let (lease, tail, now) = (claimed.lease, claimed.tail, domain::Ambient::now(&*house.ambient));
    house.post(&format!("/v1/runs/{run}/messages"), json!({"message": "Wait"})).await.success(201);
    // Its worker asks without having looked into the inbox.
    let step = storage::runs::Commit {
        lease,
        tail,
        events: vec![Event::PersonAsked { request: approval() }],
        status: Status::Waiting,
        taken: vec![],
        asked: Some(approval()),
        overtaken: false,
        webhook: false,
        then: storage::runs::Then::Release,
        now,
    };
    let committed =
        house.app.db.write::<_, storage::StoreError, _>(async move |tx| storage::runs::commit(tx, &step, false).await);
    assert!(matches!(committed.await.expect("a commit"), storage::runs::Committed::Done { .. }));
    let respond = format!("/v1/runs/{run}/human-requests/{REQUEST}/respond");
    house.post(&respond, json!({"approved": true})).await.refusal(400, "request_already_answered");
}

#[tokio::test]
async fn unknown_requests_are_404() {
    let house = House::new().await;
    let (run, _) = waiting(&house, approval()).await;
    let path = |run: &str, request: &str| format!("{run}/human-requests/{request}/respond");
    let yes = json!({"approved": true});
    house.post(&path(&run, NOBODY), yes.clone()).await.refusal(404, "not_found");
    house.post(&path(&format!("/v1/runs/{NOBODY}"), &REQUEST.to_string()), yes.clone()).await.refusal(404, "not_found");
    let other = house.run().await;
    house.post(&path(&format!("/v1/runs/{other}"), &REQUEST.to_string()), yes.clone()).await.refusal(404, "not_found");
    let message = house.post(&path(&run, "x"), yes).await.refusal(400, "invalid_request");
    assert!(message.starts_with("request_id"), "{message}");
}

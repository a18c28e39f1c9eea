//! The event stream: every entry once and in order, however often the connection breaks.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use domain::Ambient;
use domain::api_keys::ApiKey;
use domain::runs::{Event, Status};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::house::{House, KEY, NOBODY, OTHER_KEY, config, request, text};

/// A stream as a client reads it.
struct Client {
    body: BodyDataStream,
    text: String,
}

impl Client {
    async fn open(house: &House, run: &str, last: Option<u64>) -> Self {
        Self::open_as(KEY, house, run, last).await
    }

    async fn open_as(key: &str, house: &House, run: &str, last: Option<u64>) -> Self {
        let mut request = request("GET", &format!("/v1/runs/{run}/events"), key);
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        let response =
            house.router.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-errand-extension"], "true");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event: id, name, data. `None` at the end of the stream.
    async fn next(&mut self) -> Option<(u64, String, Value)> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
                let (Some(id), Some(kind), Some(data)) = (field("id: "), field("event: "), field("data: ")) else {
                    continue; // a comment
                };
                return Some((id.parse().expect("a number"), kind, serde_json::from_str(&data).expect("JSON")));
            }
            let chunk =
                tokio::time::timeout(Duration::from_secs(10), self.body.next()).await.expect("no event for 10 s");
            self.text.push_str(std::str::from_utf8(&chunk?.expect("a chunk")).expect("text"));
        }
    }

    async fn all(mut self) -> Vec<(u64, String)> {
        let mut seen = Vec::new();
        while let Some((seq, kind, _)) = self.next().await {
            seen.push((seq, kind));
        }
        seen
    }
}

fn noted(number: usize) -> Event {
    Event::Noted { text: format!("note {number}\nwith a line") }
}

#[tokio::test]
async fn follows_a_run_to_its_end_and_can_be_taken_up_anywhere() {
    let house = House::new().await;
    let run = house.run().await;
    let mut client = Client::open(&house, &run, None).await;
    let (seq, kind, data) = client.next().await.expect("the first entry");
    assert_eq!((seq, kind.as_str()), (1, "created"));
    assert_eq!((&data["seq"], &data["type"], &data["run_id"]), (&1.into(), &"created".into(), &run.clone().into()));
    assert_eq!((&data["timestamp"], &data["data"]["type"]), (&"2026-11-23T14:00:00.000Z".into(), &"created".into()));

    let mut claimed = house.claim().await;
    house.step(&mut claimed, vec![noted(1)], Status::Running).await;
    assert_eq!(client.next().await.map(|(seq, kind, _)| (seq, kind)), Some((2, "claimed".into())));
    let (seq, _, data) = client.next().await.expect("the note");
    assert_eq!((seq, &data["data"]["text"]), (3, &"note 1\nwith a line".into()));
    drop(client);

    // More than one batch, written while nobody listens.
    house.step(&mut claimed, (0..250).map(noted).collect(), Status::Running).await;
    let mut client = Client::open(&house, &run, Some(3)).await;
    assert_eq!(client.next().await.map(|(seq, ..)| seq), Some(4));
    house.step(&mut claimed, vec![Event::Completed { result: None }], Status::Completed).await;
    let seen = client.all().await;
    assert_eq!(seen.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), (5..=254).collect::<Vec<_>>());
    assert_eq!(seen.last().map(|(_, kind)| kind.as_str()), Some("completed"));

    assert_eq!(Client::open(&house, &run, Some(254)).await.all().await, vec![]);
    let whole = Client::open(&house, &run, None).await.all().await;
    assert_eq!(whole.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), (1..=254).collect::<Vec<_>>());
}

#[tokio::test]
async fn nothing_is_lost_between_reading_and_waiting() {
    let house = House::new().await;
    let run = house.run().await;
    let mut claimed = house.claim().await;
    let client = Client::open(&house, &run, Some(2)).await;
    let reading = tokio::spawn(client.all());
    for number in 0..200 {
        house.step(&mut claimed, vec![noted(number)], Status::Running).await;
        tokio::task::yield_now().await;
    }
    house.step(&mut claimed, vec![Event::Completed { result: None }], Status::Completed).await;
    let seen = reading.await.expect("a reader");
    assert_eq!(seen.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), (3..=203).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_ends_within_a_second_with_its_key() {
    let house = House::new().await;
    let run = house.run().await;
    let mut claimed = house.claim().await;
    house.step(&mut claimed, (0..150).map(noted).collect(), Status::Running).await;
    // One that waits for news, and one with a backlog that it is slow to take.
    let (mut waiting, mut slow) = (Client::open(&house, &run, Some(152)).await, Client::open(&house, &run, None).await);
    slow.next().await.expect("the first entry");
    let revoked = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        house.revoke(house.team, KEY).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    tokio::select! {
        biased;
        event = waiting.next() => assert!(event.is_none(), "an event that nobody wrote"),
        () = revoked => panic!("the key was revoked a second ago"),
    }
    // What was read before is not given away later, either.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(slow.next().await.is_none(), "a second after the key was revoked");

    // The other team's, with an end.
    let agent = json!({"name": "B", "build": {"name": "b", "config": config("Go.")}});
    let agent = house.post_as(OTHER_KEY, "/v1/agents", agent).await.success(201);
    let run = house.post_as(OTHER_KEY, "/v1/runs", json!({"agent_id": agent["agent"]["id"]})).await.success(201);
    let (team, end) = (house.team_of(OTHER_KEY).await, house.ambient.now().plus_ms(60_000));
    let key = ApiKey { team, expires_at: Some(end), ..house.new_key("dv_a_key_with_an_end") };
    house.add_key(key).await;
    let mut brief = Client::open_as("dv_a_key_with_an_end", &house, &text(&run["run"]["id"]), None).await;
    brief.next().await.expect("the first entry");
    house.ambient.advance_ms(60_000);
    let ended = tokio::time::timeout(Duration::from_secs(1), brief.next()).await;
    assert!(matches!(ended, Ok(None)), "the key has ended a second ago");
}

#[tokio::test]
async fn a_write_that_rang_no_bell_is_found_all_the_same() {
    let house = House::new().await;
    let run = house.run().await;
    let mut client = Client::open(&house, &run, None).await;
    client.next().await.expect("the first entry");
    house.claim().await; // a claim rings nothing
    assert_eq!(client.next().await.map(|(seq, ..)| seq), Some(2));
}

#[tokio::test]
async fn where_to_go_on_is_a_number_of_this_run() {
    let house = House::new().await;
    let run = house.run().await;
    for after in ["x", "-1", "1.5", "99999999999999999999", "2"] {
        let path = format!("/v1/runs/{run}/events?after={after}");
        let answer = house.get(&path).await;
        answer.refusal(400, "invalid_request");
        assert_eq!(answer.header("x-errand-extension"), Some("true"));
        let with_header = request("GET", &format!("/v1/runs/{run}/events?after=0"), KEY).header("last-event-id", after);
        house.send(with_header.body(Body::empty()).expect("a request")).await.refusal(400, "invalid_request");
    }
    // The header wins, over a number.
    let odd = request("GET", &format!("/v1/runs/{run}/events?after=x"), KEY).header("last-event-id", "1");
    house.send(odd.body(Body::empty()).expect("a request")).await.refusal(400, "invalid_request");
    house.get(&format!("/v1/runs/{run}/events?from=1")).await.refusal(400, "invalid_request");
    house.get(&format!("/v1/runs/{NOBODY}/events")).await.refusal(404, "not_found");
}

#[tokio::test]
async fn after_in_the_query_does_what_the_header_does() {
    let house = House::new().await;
    let run = house.run().await;
    let mut claimed = house.claim().await;
    house.step(&mut claimed, vec![Event::Completed { result: None }], Status::Completed).await;
    let answer = house.get(&format!("/v1/runs/{run}/events?after=2")).await;
    let body = String::from_utf8_lossy(&answer.body);
    assert!(body.contains("id: 3\n") && !body.contains("id: 2\n"), "{body}");
}

#[tokio::test]
async fn a_key_has_so_many_streams_open_and_another_its_own() {
    let house = House::new().await;
    let second = "dv_second_key_of_the_team";
    house.add_key(house.new_key(second)).await;
    let run = house.run().await;
    let mut open = Vec::new();
    for _ in 0..512 {
        open.push(Client::open(&house, &run, None).await);
    }
    house.get(&format!("/v1/runs/{run}/events")).await.refusal(503, "unavailable");
    open.push(Client::open_as(second, &house, &run, None).await);
    open.remove(0);
    Client::open(&house, &run, None).await;
}

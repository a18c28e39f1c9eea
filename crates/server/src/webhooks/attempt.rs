//! One try to deliver one event.

use std::time::Duration;

use contract::webhooks::WebhookEvent;
use domain::webhooks::{DeliveryId, ID, PAUSE_MAX_MS, SIGNATURE, Secret, TIMESTAMP, pause_ms, sign};
use egress::{Answer, Error, Method, Request, Url};
use storage::webhooks::{Due, Then, finish, generations};
use storage::{StoreError, Tx};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::Deliveries;
use crate::human_requests;

/// The longest a try may take: less than a claim holds.
const LONGEST: Duration = Duration::from_secs(10);
/// Of an answer's body nothing is kept, but it must have an end.
const ANSWER_MAX: u64 = 64 * 1024;
/// The longest that a receiver may ask for patience, in seconds. What is due later than after the longest pause is taken for a mistake.
const PATIENCE: u64 = 24 * 60 * 60;
const _: () = assert!(PATIENCE * 1000 <= PAUSE_MAX_MS, "a receiver may ask for no more than the longest pause");
/// Tries to write down what came of a delivery; if none works the claim ends and it is made again.
const NOTES: u32 = 5;

/// What is sent, the same at every try.
pub(super) fn body(due: &Due) -> Result<String, StoreError> {
    let status = match due.event.as_str() {
        "human_request" => "waiting",
        "run_completed" => "completed",
        "run_failed" => "failed",
        _ => "interrupted",
    };
    let event = WebhookEvent {
        event: due.event.clone(),
        run_id: due.run.to_string(),
        status: status.to_owned(),
        agent_id: due.agent.to_string(),
        build_id: due.build.to_string(),
        timestamp: due.at.to_string(),
        seq: due.seq,
        human_request: due.request.clone().map(|request| human_requests::asked(request, due.at)),
    };
    serde_json::to_string(&event).map_err(|error| StoreError::Corrupt { what: format!("a webhook: {error}") })
}

/// Makes the try and writes down what came of it.
pub(super) async fn make(parts: &Deliveries, due: &Due) {
    let span = tracing::error_span!(
        "webhook",
        team = %due.team,
        run = %due.run,
        event = due.event,
        host = host(&due.url),
        tries = due.tries,
        outcome = Empty,
        error = Empty,
    );
    try_it(parts, due).instrument(span).await;
}

async fn try_it(parts: &Deliveries, due: &Due) {
    faults::point("webhook.claimed");
    let (then, outcome) =
        if due.gone { (Then::Dead, "not sent: this URL has answered 410".to_owned()) } else { send(parts, due).await };
    faults::point("webhook.sent");
    let came = match then {
        Then::Delivered => {
            tracing::debug!("webhook delivered");
            "delivered"
        }
        Then::Later(ms) => {
            tracing::info!(outcome, again_in_ms = ms, "webhook not delivered");
            "later"
        }
        Then::Dead | Then::Gone => {
            tracing::warn!(outcome, "webhook given up");
            "dead"
        }
    };
    parts.meters.tried(came);
    let span = Span::current();
    span.record("outcome", came);
    if then != Then::Delivered {
        span.record("error", outcome.split([':', ',', ';']).next());
    }
    for _ in 0..NOTES {
        let (due, outcome, now) = (due.clone(), outcome.clone(), parts.ambient.now());
        let note = async move |tx: &mut Tx<'_>| finish(tx, &due, then, &outcome, now).await;
        match parts.db.write::<_, StoreError, _>(note).await {
            Ok(()) => break,
            Err(error) => tracing::warn!(%error, "what came of a webhook is not written down yet"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    faults::point("webhook.settled");
}

async fn send(parts: &Deliveries, due: &Due) -> (Then, String) {
    let url = match parts.client.policy().check(&due.url) {
        Ok(url) => url,
        // One that is refused for what it is will be refused tomorrow.
        Err(error) => return (Then::Dead, told(&error)),
    };
    let answer = match request(parts, due, url).await {
        Ok(request) => parts.client.send(request).await,
        Err(why) => return again(parts, due, None, why),
    };
    match answer {
        Ok(answer) if answer.status().is_success() => (Then::Delivered, answer.status().as_u16().to_string()),
        Ok(answer) if answer.status().as_u16() == 410 => (Then::Gone, "410: nobody is there any more".to_owned()),
        Ok(answer) => {
            let status = answer.status();
            let redirected = if status.is_redirection() { ", and redirects are not followed" } else { "" };
            again(parts, due, asked_patience(&answer), format!("{}{redirected}", status.as_u16()))
        }
        Err(error) => {
            tracing::debug!(%error, "a webhook got no answer");
            again(parts, due, None, told(&error))
        }
    }
}

async fn request(parts: &Deliveries, due: &Due, url: Url) -> Result<Request, String> {
    let now = parts.ambient.now();
    let team = due.team;
    let numbers = parts.db.read::<_, StoreError, _>(async |tx| generations(tx, team, now).await).await;
    let numbers = numbers.map_err(|error| error.to_string())?;
    let secrets: Vec<_> = numbers.into_iter().map(|number| Secret::derive(&parts.key, team, number)).collect();
    let id = DeliveryId { run: due.run, seq: due.seq }.to_string();
    let seconds = now.0.div_euclid(1000);
    let body = due.body.clone().unwrap_or_default();
    let signature = sign(&secrets, &id, seconds, body.as_bytes());
    let mut request = Request::new(Method::POST, url).body(body).most(ANSWER_MAX).total(LONGEST);
    for (name, value) in [
        ("content-type", "application/json"),
        ("user-agent", concat!("errand/", env!("CARGO_PKG_VERSION"))),
        (ID, &id),
        (TIMESTAMP, &seconds.to_string()),
        (SIGNATURE, &signature),
    ] {
        request = request.header(name, value).map_err(|error| told(&error))?;
    }
    Ok(request)
}

/// What the team may know of an error.
fn told(error: &Error) -> String {
    format!("{}: {}", error.code(), error.for_user())
}

fn again(parts: &Deliveries, due: &Due, patience: Option<u64>, why: String) -> (Then, String) {
    let mut chance = [0];
    parts.ambient.random(&mut chance);
    match pause_ms(due.tries, chance[0]) {
        Some(ms) => (Then::Later(ms.max(patience.unwrap_or(0) * 1000)), why),
        None => (Then::Dead, format!("{why}; given up after {} tries", due.tries)),
    }
}

/// `Retry-After` in seconds; dates are rare, and the usual pause does as well.
fn asked_patience(answer: &Answer) -> Option<u64> {
    let seconds = answer.headers().get("retry-after")?.to_str().ok()?.parse::<u64>().ok()?;
    Some(seconds.min(PATIENCE))
}

/// What of a URL may stand in a log: path and query may hold a secret.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let place = &rest[..end];
    place.rsplit_once('@').map_or(place, |(_, host)| host)
}

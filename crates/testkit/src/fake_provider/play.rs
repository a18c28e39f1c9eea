//! One step, played over HTTP: whole answers event by event, and every way of breaking off.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream::{self, StreamExt as _};

use super::json_response;
use super::reply::{Reply, Step};
use super::request::FakeWire;

/// Answers as `step` says.
pub(super) async fn play(wire: FakeWire, model: &str, step: Step) -> Response {
    let bytes = |reply: &Reply, end: usize| {
        let all = wire.events(model, reply).concat().into_bytes();
        Bytes::copy_from_slice(&all[..end.min(all.len())])
    };
    match step {
        Step::Answer(reply) => events(wire.events(model, &reply)),
        Step::Status(status, headers, body) => {
            let response = json_response(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY), &body);
            with_headers(response, headers)
        }
        Step::CutAfter(reply, end) => {
            let first = stream::iter([Ok(bytes(&reply, end))]);
            // What is written leaves before the connection breaks.
            let broken = stream::once(async {
                tokio::task::yield_now().await;
                Err(io::Error::from(io::ErrorKind::ConnectionReset))
            });
            event_stream(Body::from_stream(first.chain(broken)))
        }
        Step::EndAfter(reply, end) => event_stream(Body::from(bytes(&reply, end))),
        Step::NoEnd(reply) => {
            let mut all = wire.events(model, &reply);
            all.pop();
            events(all)
        }
        Step::ErrorEvent(reply, error) => {
            let mut all = wire.events(model, &reply);
            all.truncate(1);
            all.push(wire.error_event(&error));
            events(all)
        }
        Step::Garbage => event_stream(Body::from(&b"data: {\"]\xc3\x28\0 not json\n\n\xff\xfe\n\ndata: [[[\n\n"[..])),
        Step::Hang => event_stream(Body::from_stream(stream::pending::<Result<Bytes, Infallible>>())),
        Step::Silence => std::future::pending().await,
        Step::Endless => {
            let (head, piece) = babble(wire, model);
            let endless = stream::iter(head).chain(stream::repeat(piece));
            event_stream(Body::from_stream(endless.map(Ok::<_, Infallible>)))
        }
        Step::EndlessLine => {
            let more = stream::repeat(Bytes::from_static(&[b'a'; 8192]));
            event_stream(Body::from_stream(more.map(Ok::<_, Infallible>)))
        }
        Step::StallAfter(reply, end) => stalled(bytes(&reply, end)),
        Step::Trickle(pause) => {
            let (head, piece) = babble(wire, model);
            drip(head, piece, pause)
        }
        Step::Pings(pause) => {
            let mut head = wire.events(model, &Reply::text("and so on"));
            head.truncate(1);
            drip(head, wire.ping(), pause)
        }
        Step::Comments(pause) => drip(Vec::new(), ": keep-alive\n\n".to_owned(), pause),
        Step::OpenStatus(status, body) => {
            let mut response = stalled(Bytes::from(body.to_string()));
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            with_headers(response, vec![("content-type", "application/json".to_owned())])
        }
        Step::Body(headers, bytes) => with_headers(event_stream(Body::from(bytes)), headers),
        Step::Delay(time, next) => {
            tokio::time::sleep(time).await;
            Box::pin(play(wire, model, *next)).await
        }
    }
}

/// Each event leaves by itself.
fn events(all: Vec<String>) -> Response {
    let separate = stream::iter(all).then(|event| async {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(event)
    });
    event_stream(Body::from_stream(separate))
}

/// What comes before the first piece of words, and that piece, which may come again and again.
fn babble(wire: FakeWire, model: &str) -> (Vec<String>, String) {
    let mut all = wire.events(model, &Reply::text("and so on").piece(100));
    // The first event with words is the one that holds a piece of them.
    let word = all.iter().position(|event| event.contains("and so on")).unwrap_or(0);
    let piece = all.swap_remove(word);
    all.truncate(word);
    (all, piece)
}

/// `head` at once, then `piece` after each `pause`.
fn drip(head: Vec<String>, piece: String, pause: Duration) -> Response {
    let drops = stream::repeat(piece).then(move |piece| async move {
        tokio::time::sleep(pause).await;
        piece
    });
    event_stream(Body::from_stream(stream::iter(head).chain(drops).map(Ok::<_, Infallible>)))
}

/// These bytes, and no end.
fn stalled(bytes: Bytes) -> Response {
    let bytes = stream::iter([Ok::<_, Infallible>(bytes)]);
    event_stream(Body::from_stream(bytes.chain(stream::pending())))
}

fn with_headers(mut response: Response, headers: Vec<(&'static str, String)>) -> Response {
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

fn event_stream(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

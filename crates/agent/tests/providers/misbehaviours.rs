//! Everything a provider may do wrong, in one table, over every wire: what the run gets to see of it is a failure that says whether to
//! try again, an answer of which no call is made, or a whole answer. Never half a call, never a panic, never later than the limits say.
//!
//! The table is `rows.rs`. Details of some rows are in `failures.rs`, cuts at every byte in `cuts.rs`, what a run makes of it in the
//! tests of bounds of `engine`.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use agent::models::Answer;
use domain::runs::ModelFailure;
use domain::turns::Stop;
use futures_util::future::join_all;
use serde_json::json;
use testkit::fake_provider::{FakeProvider, FakeWire};
use tokio::time::timeout;

use super::rows::{Comes, HURRY, Row, calls, cuts, endless, errors, garbage, slow};
use super::support::{Ask, KEY, WIRES, providers};

/// Distinct misbehaviours that every wire must survive at least.
const AT_LEAST: usize = 80;

/// A short limit for the rows that are about size.
const SHORT: &str = "[models_default]\nmax_answer_bytes = 300000\n";
/// How much later than its limit a turn may end.
const LATE: Duration = Duration::from_secs(2);
/// How long a test waits for what should have ended long ago.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn anthropic_misbehaves() {
    survives(WIRES[0]).await;
}

#[tokio::test]
async fn responses_misbehaves() {
    survives(WIRES[1]).await;
}

#[tokio::test]
async fn chat_misbehaves() {
    survives(WIRES[2]).await;
}

#[tokio::test]
async fn gemini_misbehaves() {
    survives(WIRES[3]).await;
}

/// Plays every row and fails with all that went wrong.
async fn survives((wire, model): (FakeWire, &'static str)) {
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let elsewhere = format!("http://{}/v1/chat/completions", trap.local_addr().unwrap());
    let groups = [
        (slow(wire, model), HURRY),
        (endless(), SHORT),
        (errors(wire), ""),
        (cuts(wire, model), ""),
        (garbage(wire, &elsewhere), ""),
        (calls(wire), ""),
    ];
    let names: HashSet<_> = groups.iter().flat_map(|(rows, _)| rows).map(|row| row.name).collect();
    println!("{wire:?}: {} misbehaviours", names.len());
    assert!(names.len() >= AT_LEAST, "only {} misbehaviours", names.len());
    let mut flaws = Vec::new();
    for (rows, toml) in groups {
        flaws.extend(judge(wire, model, rows, toml).await);
    }
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
    let followed = trap.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(followed, Err(ErrorKind::WouldBlock), "a redirect was followed, with a key in the request");
}

/// Plays these rows at a time and says what went wrong.
async fn judge(wire: FakeWire, model: &'static str, rows: Vec<Row>, toml: &'static str) -> Vec<String> {
    let each = rows.into_iter().map(|row| async move {
        let fake = FakeProvider::scripted([row.step]).await.unwrap();
        let providers = providers(&fake, toml);
        let begun = Instant::now();
        let got = timeout(PATIENCE, Ask::new(model).turn(&providers)).await;
        let flaw = match got {
            Ok(got) => flaw(&row.comes, &got, begun.elapsed())?,
            Err(_) => format!("not over after {PATIENCE:?}"),
        };
        Some(format!("{wire:?}: {}: {flaw}", row.name))
    });
    join_all(each).await.into_iter().flatten().collect()
}

fn flaw(comes: &Comes, got: &Result<Answer, ModelFailure>, took: Duration) -> Option<String> {
    let good = match (comes, got) {
        (Comes::Fails(code, retryable), Err(failure)) => {
            (failure.code.as_str(), failure.retryable) == (*code, *retryable) && !failure.message.contains(KEY)
        }
        (Comes::TimesOut(limit), Err(failure)) => {
            failure.code == "model_timed_out" && failure.retryable && took >= *limit && took < *limit + LATE
        }
        (Comes::AskedAgain, Ok(answer)) => answer.stop == Stop::Malformed,
        (Comes::Calls(calls), Ok(answer)) => {
            let made: Vec<_> = answer.calls.iter().map(|call| (call.name.clone(), json!(call.arguments))).collect();
            let ids: HashSet<_> = answer.calls.iter().map(|call| &call.id).collect();
            answer.stop == Stop::Done && made == *calls && ids.len() == calls.len()
        }
        _ => false,
    };
    let shown = match got {
        Ok(answer) => format!("{:?} with {} calls", answer.stop, answer.calls.len()),
        Err(failure) => format!("{failure:?}"),
    };
    (!good).then(|| format!("after {took:?} {shown}"))
}

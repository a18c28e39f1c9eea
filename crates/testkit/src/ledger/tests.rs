//! The ledger over its wire: what is written, what is answered, and what a restart knows.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use super::*;

/// Long enough for an answer that comes, short enough to wait for one that does not.
const PATIENCE: Duration = Duration::from_millis(500);

fn body(key: u128, safe: bool) -> Value {
    let (key, run) = (Uuid::from_u128(key), Uuid::from_u128(99));
    json!({ "key": key, "run": run, "call": "c", "safe": safe, "line": "an \"odd\"\nline" })
}

/// Posts, and gives all bytes that came until the connection closed; none when nothing came in time.
fn post_raw(ledger: &Ledger, body: &Value, patience: Duration) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(ledger.address()).unwrap();
    stream.set_read_timeout(Some(patience)).unwrap();
    let body = body.to_string();
    // The old version, whose bodies end with the connection and come in no chunks.
    let head = "POST /record HTTP/1.0\r\ncontent-type: application/json";
    write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => Some(all),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}

fn send(ledger: &Ledger, key: u128, safe: bool) -> (u16, Vec<u8>) {
    let all = post_raw(ledger, &body(key, safe), Duration::from_secs(10)).expect("an answer");
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = str::from_utf8(&all[..end]).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), all[end + 4..].to_vec())
}

fn applied(ledger: &Ledger, key: u128, safe: bool) -> (bool, u64) {
    let (status, body) = send(ledger, key, safe);
    assert_eq!(status, 200);
    let body: Value = serde_json::from_slice(&body).unwrap();
    (body["applied"].as_bool().unwrap(), body["entry"].as_u64().unwrap())
}

fn start(conduct: Conduct) -> (tempfile::TempDir, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::start(&dir.path().join("ledger"), Behaviour::Always(conduct)).unwrap();
    (dir, ledger)
}

fn effects(ledger: &Ledger) -> Vec<bool> {
    ledger.entries().unwrap().iter().map(|entry| entry.applied).collect()
}

#[test]
fn a_safe_key_has_its_effect_once_and_an_unsafe_one_each_time() {
    let (_dir, ledger) = start(Conduct::Ok);
    assert_eq!(applied(&ledger, 1, true), (true, 1));
    assert_eq!(applied(&ledger, 1, true), (false, 2));
    assert_eq!(duplicates(&ledger.entries().unwrap()), Vec::<String>::new());
    assert_eq!(applied(&ledger, 2, false), (true, 3));
    assert_eq!(applied(&ledger, 2, false), (true, 4));
    assert_eq!(duplicates(&ledger.entries().unwrap()).len(), 1);
    let first = ledger.entries().unwrap().remove(0);
    assert_eq!((first.line.as_str(), first.key, first.safe), ("an \"odd\"\nline", Uuid::from_u128(1), true));
}

#[test]
fn one_that_comes_back_goes_on_where_it_was() {
    let (dir, ledger) = start(Conduct::Ok);
    let (path, address) = (dir.path().join("ledger"), ledger.address());
    applied(&ledger, 1, true);
    drop(ledger);
    // What a crash in the middle of a write leaves.
    OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all("{\"key\":\"é".as_bytes().split_last().unwrap().1)
        .unwrap();
    assert_eq!(read(&path).unwrap().len(), 1);
    let rule = |_: &Record, nth| if nth == 2 { Conduct::Ok } else { Conduct::Status(500) };
    let ledger = Ledger::start_on(address, &path, Behaviour::Rule(Box::new(rule))).unwrap();
    assert_eq!(applied(&ledger, 1, true), (false, 2));
    assert_eq!(send(&ledger, 1, true).0, 500);
    assert_eq!(effects(&ledger), [true, false, false]);
}

#[test]
fn a_broken_line_is_an_error_and_not_an_empty_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    std::fs::write(&path, "no JSON\n").unwrap();
    assert!(read(&path).unwrap_err().to_string().contains("line 1"));
    assert!(Ledger::start(&path, Behaviour::Always(Conduct::Ok)).is_err());
}

#[test]
fn what_gives_no_answer_gives_none_on_either_side_of_the_effect() {
    let cases = [
        (Conduct::HangBefore, None, false),
        (Conduct::HangAfter, None, true),
        (Conduct::CloseBefore, Some(Vec::new()), false),
        (Conduct::CloseAfter, Some(Vec::new()), true),
        (Conduct::DelayAfter(Duration::from_mins(1)), None, true),
    ];
    for (conduct, answer, effect) in cases {
        let (_dir, ledger) = start(conduct);
        assert_eq!(post_raw(&ledger, &body(1, false), PATIENCE), answer, "{conduct:?}");
        assert_eq!(effects(&ledger), [effect], "{conduct:?}");
    }
}

#[test]
fn a_late_effect_comes_although_nobody_waits() {
    let (_dir, ledger) = start(Conduct::DelayBefore(PATIENCE * 4));
    assert_eq!(post_raw(&ledger, &body(1, false), PATIENCE), None);
    assert_eq!(effects(&ledger), Vec::<bool>::new());
    let waits = (0..100).take_while(|_| effects(&ledger).is_empty()).map(|_| std::thread::sleep(PATIENCE / 5));
    waits.for_each(drop);
    assert_eq!(effects(&ledger), [true]);
}

#[test]
fn answers_that_are_no_use_come_after_the_effect() {
    let (_dir, ledger) = start(Conduct::Garbage);
    let (status, body) = send(&ledger, 1, false);
    assert_eq!((status, serde_json::from_slice::<Value>(&body).is_err()), (200, true));
    assert_eq!(effects(&ledger), [true]);

    let (_dir, ledger) = start(Conduct::Huge(3_000_000));
    let (status, body) = send(&ledger, 1, false);
    let padded: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, body.len(), &padded["applied"]), (200, 3_000_000, &json!(true)));
    assert_eq!(effects(&ledger), [true]);
}

#[test]
fn a_refusal_has_no_effect_but_is_an_arrival() {
    let (_dir, ledger) = start(Conduct::Status(503));
    assert_eq!(send(&ledger, 1, true).0, 503);
    assert_eq!(effects(&ledger), [false]);
    assert_eq!(
        post_raw(&ledger, &json!({ "key": "no uuid" }), PATIENCE).map(|all| all[9..12].to_vec()),
        Some(b"422".to_vec())
    );
    assert_eq!(effects(&ledger), [false]);
}

#[tokio::test]
async fn it_can_be_dropped_inside_a_runtime() {
    let (_dir, ledger) = start(Conduct::Ok);
    let address = ledger.address();
    drop(ledger);
    assert!(TcpStream::connect(address).is_err());
}

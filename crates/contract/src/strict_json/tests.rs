//! Bodies that pass and bodies that do not, with the place where they fail.

use std::fmt::Write as _;

use serde_json::json;

use super::*;

fn refusal(body: &str) -> String {
    parse(body.as_bytes()).expect_err(body).to_string()
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

#[test]
fn reads_what_plain_json_says() {
    let body = r#" {"a":[null,true,-1,18446744073709551615,0.1,1e300,"\u00e9\ud83d\ude00"],"":{}} "#;
    assert_eq!(
        parse(body.as_bytes()).expect("valid"),
        json!({"a": [null, true, -1, 18_446_744_073_709_551_615_u64, 0.1, 1e300, "é😀"], "": {}})
    );
}

#[test]
fn refuses_a_key_written_twice_however_deep() {
    assert_eq!(refusal(r#"{"a":1,"a":1}"#), "/a: the key is written twice");
    assert_eq!(refusal(r#"{"x":[0,{"y/z":{"b":1,"\u0062":2}}]}"#), "/x/1/y~1z/b: the key is written twice");
    assert!(parse(br#"[{"a":1},{"a":1}]"#).is_ok(), "the same key in two objects is fine");
}

#[test]
fn refuses_nul_in_text_and_in_keys() {
    assert_eq!(
        refusal(r#"{"a":["ok","b\u0000"]}"#),
        "/a/1: the text holds the character U+0000, which cannot be stored"
    );
    assert_eq!(refusal(r#"{"a":{"b\u0000":1}}"#), "/a: a key holds the character U+0000, which cannot be stored");
    assert!(refusal("\"a\0\"").contains("not valid JSON"));
}

#[test]
fn allows_64_levels_and_not_65() {
    assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
    let flaw = parse(nested(MAX_DEPTH + 1).as_bytes()).expect_err("too deep");
    assert_eq!(flaw.pointer(), Some("/0".repeat(MAX_DEPTH).as_str()));
    assert_eq!(flaw.sentence(), "is nested deeper than 64 levels");

    let objects = |depth| format!("{}0{}", r#"{"k":"#.repeat(depth), "}".repeat(depth));
    assert!(parse(objects(MAX_DEPTH).as_bytes()).is_ok());
    assert!(parse(objects(MAX_DEPTH + 1).as_bytes()).is_err());
    assert!(parse("[".repeat(1_000_000).as_bytes()).is_err(), "and the stack survives it");
}

#[test]
fn counts_every_value() {
    let array = |items: usize| format!("[{}]", vec!["0"; items].join(","));
    assert!(parse(array(MAX_NODES - 1).as_bytes()).is_ok());
    assert_eq!(refusal(&array(MAX_NODES)), "the body: holds more than 50000 values");
}

#[test]
fn measures_text_after_its_escapes_are_resolved() {
    let text = |length| format!(r#"{{"t":"{}"}}"#, "x".repeat(length));
    assert!(parse(text(MAX_STRING_BYTES).as_bytes()).is_ok());
    assert_eq!(refusal(&text(MAX_STRING_BYTES + 1)), "/t: the text is longer than 1048576 bytes");

    let escaped = format!("\"{}\"", r"\u0041".repeat(MAX_STRING_BYTES));
    assert!(parse(escaped.as_bytes()).is_ok());
}

#[test]
fn refuses_what_is_not_json() {
    for body in [
        "{",
        "[1,]",
        "{'a':1}",
        "nul",
        "{} {}",
        "[]x",
        "01",
        "+1",
        "NaN",
        "Infinity",
        "1e999",
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        "// c\n1",
        "\u{feff}{}",
    ] {
        let flaw = parse(body.as_bytes()).expect_err(body);
        assert_eq!(flaw.pointer(), None, "{body}");
        assert!(flaw.sentence().starts_with("is not valid JSON: "), "{body}: {flaw}");
        assert!(flaw.sentence().contains("line 1") || body.contains('\n'), "{body}: {flaw}");
    }
}

#[test]
fn refuses_bytes_that_are_not_text() {
    let flaw = parse(b"{\"a\":\"\xff\"}").expect_err("not UTF-8");
    assert_eq!(flaw.to_string(), "the body: is not UTF-8 at byte 6");
    assert_eq!(refusal(""), "the body: is empty, expected a JSON object");
}

#[test]
fn a_request_is_checked_strictly_before_it_is_typed() {
    type Request = std::collections::BTreeMap<String, u8>;
    assert_eq!(from_slice::<Request>(br#"{"a":1}"#).expect("valid")["a"], 1);

    let twice = from_slice::<Request>(br#"{"a":1,"a":1}"#).expect_err("twice");
    assert_eq!(twice.pointer(), Some("/a"));
    let typed = from_slice::<Request>(br#"{"a":1,"~":-1}"#).expect_err("negative");
    assert_eq!(typed.to_string(), "/~0: invalid value: integer `-1`, expected u8");
}

#[test]
fn a_flaw_does_not_repeat_a_megabyte() {
    let mut body = String::new();
    let key = "é".repeat(400_000);
    write!(body, r#"{{"{key}":1,"{key}":2}}"#).expect("a string");
    assert!(refusal(&body).len() < 700);
}

//! What each reading accepts, and the sentence it says otherwise.

use serde_json::json;

use super::*;

fn sentence<T>(result: Result<T, Flaw>) -> String {
    result.err().expect("a flaw").to_string()
}

#[test]
fn a_pointer_escapes_tilde_and_slash() {
    let body = json!({"a/b~c": [true]});
    let at = Cursor::new(&body, "").open_object().unwrap().required("a/b~c").unwrap();
    assert_eq!(at.pointer(), "/a~1b~0c");
    let item = at.array().unwrap().next().unwrap();
    assert_eq!(sentence(item.string()), "/a~1b~0c/0: expected a string, got true");
}

#[test]
fn an_unknown_key_is_named_at_its_own_place() {
    let body = json!({"name": "x", "nmae": "y"});
    let at = Cursor::new(&body, "/build");
    assert_eq!(sentence(at.object(&["name", "config"])), "/build/nmae: expected only the keys name, config here");
}

#[test]
fn null_is_absent_when_optional_and_refused_when_required() {
    let body = json!({"name": null});
    let object = Cursor::new(&body, "").open_object().unwrap();
    assert!(object.optional("name").is_none());
    assert_eq!(sentence(object.required("name").unwrap().string()), "/name: expected a string, got null");
    assert_eq!(sentence(object.required("config")), "/config: expected a value: this key is required");
}

#[test]
fn errors_say_what_was_found_but_briefly() {
    let long = json!("ä".repeat(500));
    let flaw = Cursor::new(&long, "/x").one_of(&["a", "b"]).unwrap_err();
    assert!(flaw.expected.starts_with("one of \"a\", \"b\", got \"ä"));
    assert!(flaw.expected.chars().count() < 100);
    assert_eq!(sentence(Cursor::new(&json!([1]), "").string()), "the body: expected a string, got an array");
}

#[test]
fn a_hidden_value_is_never_repeated() {
    let body = json!({"Authorization": 12345});
    let headers = Cursor::new(&body, "/headers").hidden().open_object().unwrap();
    let (_, at) = headers.entries().next().unwrap();
    assert!(!sentence(at.string()).contains("12345"));
}

#[test]
fn numbers_keep_their_spelling_and_respect_their_range() {
    let one = json!(1);
    assert_eq!(Cursor::new(&one, "").number_in(0.0..=2.0).unwrap().to_string(), "1");
    let positive = (Bound::Excluded(0.0), Bound::Unbounded);
    assert_eq!(
        sentence(Cursor::new(&json!(0), "/n").number_in(positive)),
        "/n: expected a number greater than 0, got 0"
    );
    assert_eq!(
        sentence(Cursor::new(&json!(2.5), "/n").number_in(0.0..=2.0)),
        "/n: expected a number from 0 to 2, got 2.5"
    );
}

#[test]
fn lengths_count_characters_not_bytes() {
    let name = json!("ääää");
    assert!(Cursor::new(&name, "/name").string_of(1..=4).is_ok());
    assert_eq!(
        sentence(Cursor::new(&name, "/name").string_of(1..=3)),
        "/name: expected a string of 1 to 3 characters, got 4"
    );
}

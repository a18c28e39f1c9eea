//! What the operator does with teams, keys, the audit log and webhooks, beside a running server.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use storage::{Db, Settings, StoreError, Tx};

use crate::house::{Server, errand, said};

fn run(data: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    said(&errand(arguments).env("ERRAND_DATA_DIR", data).output().unwrap())
}

fn json(data: &Path, arguments: &[&str]) -> Value {
    let (code, out, err) = run(data, &[arguments, &["--json"]].concat());
    assert_eq!(code, Some(0), "{arguments:?}: {err}");
    serde_json::from_str(&out).unwrap()
}

fn refusal(data: &Path, arguments: &[&str]) -> String {
    let (code, out, err) = run(data, arguments);
    assert!(code.is_some_and(|code| code != 0) && out.is_empty(), "{arguments:?}: {out}");
    err
}

#[test]
fn a_second_team_has_keys_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let team = json(&data, &["teams", "create", "Finance"]);
    assert!(refusal(&data, &["teams", "create", "Finance"]).contains("Finance"));
    assert_eq!(json(&data, &["teams", "list"])["teams"].as_array().unwrap().len(), 2);
    let id = team["id"].as_str().unwrap();
    let made = json(&data, &["keys", "create", "--team", "Finance", "--scopes", "read"]);
    let key = made["key"].as_str().unwrap();
    assert_eq!((&made["scopes"], &made["expires_at"]), (&"read".into(), &Value::Null));
    assert_eq!(json(&data, &["keys", "list", "--team", id])["keys"].as_array().unwrap().len(), 1);
    assert!(server.raw("/v1/agents", key).contains("x-ratelimit-limit: 300"));
    let other = json(&data, &["keys", "create", "--team", id, "--requests-per-minute", "7", "--expires-in", "1s"]);
    let other = other["key"].as_str().unwrap();
    assert!(server.raw("/v1/agents", other).contains("x-ratelimit-limit: 7"));
    std::thread::sleep(Duration::from_millis(1_100));
    assert!(server.raw("/v1/agents", other).starts_with("HTTP/1.1 401"));
    assert!(refusal(&data, &["keys", "list", "--team", "nobody"]).contains("errand teams list"));
    assert!(refusal(&data, &["keys", "create", "--scopes", "all"]).contains("read, run and manage"));
    assert!(refusal(&data, &["keys", "create", "--expires-in", "1 week"]).contains("24h"));
}

#[test]
fn a_key_is_renewed_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let old = json(&data, &["keys", "create", "--scopes", "read,manage", "--name", "ci"]);
    let new = json(&data, &["keys", "rotate", old["id"].as_str().unwrap(), "--grace", "1s"]);
    assert_eq!((&new["scopes"], &new["name"]), (&old["scopes"], &old["name"]));
    let answers = |key: &Value| server.raw("/v1/agents", key["key"].as_str().unwrap()).starts_with("HTTP/1.1 200");
    assert!(answers(&old) && answers(&new));
    std::thread::sleep(Duration::from_millis(1_400));
    assert!(!answers(&old) && answers(&new));
    assert_eq!(run(&data, &["keys", "revoke", new["id"].as_str().unwrap()]).0, Some(0));
    assert!(refusal(&data, &["keys", "rotate", new["id"].as_str().unwrap()]).contains("no valid key"));
}

#[test]
fn a_renewed_key_ends_with_the_old_one_unless_told_otherwise_and_a_key_that_is_over_has_no_successor() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let _server = Server::start(&data);
    let create = ["keys", "create", "--expires-in", "2s", "--requests-per-minute", "7"];
    let old = json(&data, &create);
    let id = old["id"].as_str().unwrap();
    let new = json(&data, &["keys", "rotate", id]);
    assert_eq!((&new["expires_at"], &new["requests_per_minute"]), (&old["expires_at"], &7.into()));
    let kept = json(&data, &["keys", "list"])["keys"].as_array().unwrap().iter().find(|key| key["id"] == id).cloned();
    assert_eq!(kept.unwrap()["expires_at"], old["expires_at"], "no grace beyond its end");
    let longer = json(&data, &["keys", "rotate", id, "--expires-in", "1h"]);
    assert!(longer["expires_at"].as_str() > old["expires_at"].as_str());
    std::thread::sleep(Duration::from_secs(2));
    assert!(refusal(&data, &["keys", "rotate", id]).contains("no valid key"));
    for command in [["keys", "create"].as_slice(), &["keys", "rotate", id]] {
        assert!(refusal(&data, &[command, &["--expires-in", "0s"]].concat()).contains("no time at all"));
    }
    let (_, listed, _) = run(&data, &["keys", "list"]);
    assert!(listed.contains("A MINUTE") && listed.contains("  7  "), "{listed}");
    assert!(refusal(&data, &["teams", "create", id]).contains("looks like"));
}

#[tokio::test]
async fn whoever_edits_the_log_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    for number in 0..3 {
        json(&data, &["keys", "create", "--name", &number.to_string()]);
    }
    let (code, said, _) = run(&data, &["audit", "verify"]);
    assert_eq!(code, Some(0));
    let end = said.trim().rsplit(' ').next().unwrap().to_owned();
    assert!(end.starts_with("5:"), "a team, its first key, three more: {said}");
    let (_, lines, _) = run(&data, &["audit", "export", "--after", "1"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| &line["seq"]).collect::<Vec<_>>(), [2, 3, 4, 5]);
    assert!(lines.iter().all(|line| line["who"] == "operator" && line["what"] == "key.create"));
    server.terminate();

    let clock = std::sync::Arc::new(|| domain::Timestamp(0));
    let db = Db::open(&Settings::new(data.join("errand.db"), clock)).unwrap();
    let edit = async |sql: &'static str| {
        db.write::<_, StoreError, _>(async move |tx: &mut Tx<'_>| tx.exec(sql, &[]).await).await.unwrap();
    };
    let kept = ["audit", "verify", "--team", "default", "--end", &end];
    assert_eq!(run(&data, &kept).0, Some(0));
    edit("UPDATE audit SET who = 'nobody' WHERE seq = 3").await;
    assert!(refusal(&data, &["audit", "verify"]).contains("row 3 does not follow row 2"));
    edit("UPDATE audit SET who = 'operator' WHERE seq = 3").await;
    assert_eq!(run(&data, &kept).0, Some(0));
    edit("DELETE FROM audit WHERE seq = 5").await;
    assert_eq!(run(&data, &["audit", "verify"]).0, Some(0), "a chain that was cut off does not show it by itself");
    assert!(refusal(&data, &kept).contains("cut"));
    edit("DELETE FROM audit WHERE seq = 2").await;
    assert!(refusal(&data, &["audit", "verify"]).contains("row 3 does not follow row 1"));
    db.close().await;
}

#[test]
fn the_secret_of_webhooks_is_shown_and_changed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let _server = Server::start(&data);
    let secrets = |arguments: &[&str]| -> Vec<String> {
        let shown = json(&data, arguments);
        shown["secrets"].as_array().unwrap().iter().map(|secret| secret.as_str().unwrap().to_owned()).collect()
    };
    let first = secrets(&["webhooks", "secret"]);
    assert!(first.len() == 1 && first[0].starts_with("whsec_"));
    let both = secrets(&["webhooks", "rotate", "--grace", "1s"]);
    assert!(both.len() == 2 && both[1] == first[0] && both[0] != first[0]);
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(secrets(&["webhooks", "secret"]), both[..1]);
    assert_eq!(json(&data, &["webhooks", "dead"])["total"], 0);
    let none = refusal(&data, &["webhooks", "replay", "msg_0192f5a17c3e7d109a553f2b8c1d4e03_4"]);
    assert!(none.contains("errand webhooks dead"), "{none}");
    assert!(refusal(&data, &["webhooks", "replay", "7"]).contains("msg_"));
}

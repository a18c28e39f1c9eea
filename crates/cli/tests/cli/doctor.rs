//! `errand doctor`: a healthy installation, and several that are not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use domain::Timestamp;
use serde_json::Value;
use storage::{Db, Settings};
use testkit::postgres::{Bouncer, Cluster};

use crate::house::{MASTER_KEY, Server, config_file, errand, said};

/// Its exit code and its findings, each as `level check: found`.
fn doctor(data: &Path) -> (Option<i32>, Vec<String>) {
    let output = errand(&["doctor", "--json", "--data-dir", data.to_str().unwrap()]).output().unwrap();
    let (code, out, err) = said(&output);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    assert_eq!(report["ok"], code == Some(0));
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = report["checks"].as_array().unwrap().iter().map(|finding| {
        assert!(finding["level"] == "ok" || !word(finding, "advice").is_empty(), "{finding} says what to do");
        format!("{} {}: {}", word(finding, "level"), word(finding, "check"), word(finding, "found"))
    });
    (code, findings.collect())
}

/// The findings that are not ok, but for how full the disk of the machine is that tests run on.
fn wrong(findings: &[String]) -> Vec<&str> {
    findings.iter().map(String::as_str).filter(|found| !found.starts_with("ok") && !found.contains(" disk:")).collect()
}

/// Runs a statement on the database of a server that is not running.
async fn change(data: &Path, sql: &'static str) {
    let db = Db::open(&Settings::new(data.join("errand.db"), Arc::new(|| Timestamp(0)))).unwrap();
    db.write(async move |tx| tx.exec(sql, &[]).await).await.unwrap();
    db.close().await;
}

/// A stopped server's folder with one run in it that was never claimed.
fn with_a_run(folder: &Path) -> std::path::PathBuf {
    let data = folder.join("data");
    // No worker: the run stays as it is.
    let server = Server::start_with(&data, &[("ERRAND_API_KEY", crate::house::KEY), ("ERRAND_CONFIG", &idle(folder))]);
    let made = server.json(&["agents", "create", "--name", "Worker", "--config", &config_file(folder)]);
    server.json(&["runs", "start", made["agent"]["id"].as_str().unwrap()]);
    data
}

/// Settings under which a model turn takes for ever: nobody answers at this address.
fn idle(folder: &Path) -> String {
    let path = folder.join("idle.toml");
    fs::write(&path, "[providers.anthropic]\nbase_url = \"http://127.0.0.1:9\"\napi_key = \"none\"\n").unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_healthy_server_is_found_well_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let (code, findings) = doctor(&data);
    assert_eq!((code, wrong(&findings)), (Some(0), vec![]));
    for check in [
        "configuration",
        "egress",
        "data folder",
        "modes",
        "server",
        "database",
        "journal",
        "pages",
        "schema",
        "jobs",
        "queues",
    ] {
        assert!(findings.iter().any(|found| found.starts_with(&format!("ok {check}: "))), "{check}: {findings:?}");
    }
    server.terminate();
    let before = fs::read(data.join("errand.db")).unwrap();
    let (code, findings) = doctor(&data);
    assert_eq!((code, wrong(&findings)), (Some(0), vec!["warning server: none is running on this folder"]));
    assert_eq!(fs::read(data.join("errand.db")).unwrap(), before);
    let shown = said(&errand(&["doctor", "--data-dir", data.to_str().unwrap()]).output().unwrap()).1;
    assert!(shown.contains("ok       schema") && shown.contains("→ start it with `errand serve`"), "{shown}");
    Server::start(&data);
}

#[test]
fn postgres_is_looked_at_too() {
    let cluster = Cluster::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let doctor = || {
        let mut doctor = errand(&["doctor", "--data-dir", data.to_str().unwrap()]);
        said(&doctor.env("ERRAND_DATABASE_URL", cluster.url()).env(MASTER_KEY.0, MASTER_KEY.1).output().unwrap())
    };
    let server = Server::start_with(&data, &[("ERRAND_DATABASE_URL", &cluster.url()), MASTER_KEY]);
    let (code, out, err) = doctor();
    assert_eq!(code, Some(0), "{out}{err}");
    for check in ["database", "settings", "connections", "schema", "master key", "clocks", "jobs", "queues"] {
        assert!(out.contains(&format!("ok       {check:<13}  ")), "{check}: {out}");
    }
    assert!(out.contains("fsync = ") && out.contains("one node uses up to 9 of"), "{out}");
    drop((server, cluster.url()));
    let nobody = errand(&["doctor", "--data-dir", data.to_str().unwrap()])
        .env("ERRAND_DATABASE_URL", "postgres://me:secret@127.0.0.1:1/db")
        .output()
        .unwrap();
    let (code, out, _) = said(&nobody);
    assert!(code == Some(1) && out.contains("problem  database") && !out.contains("secret"), "{out}");
}

#[test]
fn behind_a_pooler_it_is_seen_whether_frozen_nodes_are_ended() {
    let cluster = Cluster::start().unwrap();
    let bouncer = Bouncer::start(&cluster).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = (folder.path().join("data"), folder.path().join("errand.toml"));
    let url = cluster.url_at(bouncer.address(), "errand");
    fs::write(&config, format!("[server]\ndatabase_url = \"{url}\"\n[database]\ntransaction_pooler = true\n")).unwrap();
    let doctor = || {
        let mut doctor =
            errand(&["doctor", "--config", config.to_str().unwrap(), "--data-dir", data.to_str().unwrap()]);
        said(&doctor.env(MASTER_KEY.0, MASTER_KEY.1).output().unwrap()).1
    };
    let before = doctor();
    assert!(before.contains("warning  pooler") && before.contains("ALTER ROLE"), "{before}");
    let server = Server::start_with(&data, &[("ERRAND_CONFIG", config.to_str().unwrap()), MASTER_KEY]);
    bouncer.reconnect(&cluster).unwrap();
    let after = doctor();
    assert!(after.contains("ok       pooler") && after.contains("one node uses up to 8 of"), "{after}");
    drop(server);
}

#[tokio::test]
async fn runs_that_stand_still_are_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let data = with_a_run(folder.path());
    let (code, findings) = doctor(&data);
    assert!(code == Some(0) && findings.iter().any(|found| found.starts_with("ok jobs")), "{findings:?}");
    for (sql, level, told) in [
        ("UPDATE work SET due_at = 1, claim = NULL", "warning", "due for more than a minute"),
        ("UPDATE work SET due_at = 1, claim = 'x'", "warning", "left by a worker"),
        ("UPDATE work SET due_at = 9000000000000, claim = NULL", "warning", "due later than any pause lasts"),
        ("UPDATE work SET needs = 1000", "problem", "need a newer version"),
        ("DELETE FROM work", "problem", "are not queued"),
        ("UPDATE runs SET status = 'waiting'", "problem", "was not asked anything"),
        (
            "INSERT INTO inbox (run_id, kind, body) SELECT id, 'noted', '{}' FROM runs",
            "problem",
            "nobody would ever look",
        ),
    ] {
        change(&data, sql).await;
        let (code, findings) = doctor(&data);
        let found =
            findings.iter().find(|found| found.contains(told)).unwrap_or_else(|| panic!("{told}: {findings:?}"));
        assert!(found.starts_with(&format!("{level} jobs: 1 ")), "{found}");
        assert_eq!(code, Some(i32::from(level == "problem")), "{findings:?}");
    }
}

#[tokio::test]
async fn broken_places_are_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (code, findings) = doctor(&folder.path().join("nowhere"));
    assert_eq!((code, wrong(&findings).len()), (Some(1), 2), "{findings:?}");
    assert!(!folder.path().join("nowhere").exists());

    let output = errand(&["doctor"]).env("ERRAND_DATABASE_URL", "mysql://h/d").output().unwrap();
    let (code, out, _) = said(&output);
    assert!(code == Some(1) && out.contains("problem  configuration") && out.contains("sqlite:PATH"), "{out}");

    let data = folder.path().join("data");
    Server::start(&data).terminate();
    fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
    let (code, findings) = doctor(&data);
    assert!(code == Some(0) && wrong(&findings).iter().any(|found| found.contains("mode 755")), "{findings:?}");

    let newer = "INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES (999, 'later', 'x', 0)";
    change(&data, newer).await;
    let (code, findings) = doctor(&data);
    assert!(code == Some(1) && wrong(&findings).iter().any(|found| found.contains("999 (later)")), "{findings:?}");

    let file = data.join("errand.db");
    let mut bytes = fs::read(&file).unwrap();
    bytes[4_096..8_192].fill(0xff);
    fs::write(&file, bytes).unwrap();
    let (code, findings) = doctor(&data);
    assert!(code == Some(1) && wrong(&findings).iter().any(|found| found.starts_with("problem")), "{findings:?}");
}

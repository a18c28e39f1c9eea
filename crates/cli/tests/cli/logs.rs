//! The log of a real server, as machines read it: what each line is about, and what no line says.

use std::fs::File;
use std::path::Path;

use serde_json::{Value, json};
use testkit::collector::Collector;
use testkit::fake_provider::{FakeProvider, Reply};
use testkit::hook::{Conduct, Hook};
use testkit::postgres::Cluster;

use crate::house::{KEY, MASTER_KEY, Server, errand, said};

const PROVIDER_KEY: &str = "secret-provider-key";
const MCP_SECRET: &str = "secret-of-a-header";

/// Every line, whole and read.
fn lines(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

fn find<'l>(lines: &'l [Value], message: &str) -> &'l Value {
    lines.iter().find(|line| line["message"] == message).unwrap_or_else(|| panic!("no {message:?}: {lines:#?}"))
}

/// A server that logs everything as JSON, and a whole run of it with a webhook; the run's id.
async fn a_run(data: &Path, log: &Path, more: &[(&str, &str)], hook: &Hook) -> (Server, String) {
    let model = FakeProvider::with(|asked| match asked.assistant_turns {
        0 => Reply::text("").call(
            "c1",
            "edit_file",
            r#"{"path":"/workspace/a","old_text":"x","new_text":"words of the job"}"#,
        ),
        _ => Reply::text("").call("c2", "finish", r#"{"result":"done"}"#),
    });
    let model = model.await.unwrap();
    let url = model.url();
    let variables = [
        ("ANTHROPIC_API_KEY", PROVIDER_KEY),
        ("ANTHROPIC_BASE_URL", url.as_str()),
        ("ERRAND_API_KEY", KEY),
        ("ERRAND_LOG", "trace"),
        ("ERRAND_LOG_FORMAT", "json"),
        ("ERRAND_EGRESS_ALLOW", "127.0.0.0/8"),
        ("ERRAND_METRICS_LISTEN", "127.0.0.1:0"),
    ];
    let server = Server::start_logging(data, &[&variables, more].concat(), File::create(log).unwrap());
    let config = json!({ "version": "v1", "data": {
        "model": "claude-sonnet-4-6",
        "input": "words of the procedure",
        "tools": [{ "type": "mcp", "server_label": "crm", "server_url": "https://127.0.0.1:1/mcp", "headers": { "Authorization": MCP_SECRET } }],
    }});
    let made = server.send(
        "POST /v1/agents",
        &[],
        &json!({ "name": "Greeter", "build": { "name": "first", "config": config } }).to_string(),
    );
    assert_eq!(made.0, 201, "{}", made.1);
    let made: Value = serde_json::from_str(&made.1).unwrap();
    let run = json!({ "agent_id": made["agent"]["id"], "message": "words of a person", "webhook_url": hook.url("/hook?token=secret-of-a-url") });
    let started = server.send("POST /v1/runs", &[("x-request-id", "my-own-id")], &run.to_string());
    assert_eq!(started.0, 201, "{}", started.1);
    let run: Value = serde_json::from_str(&started.1).unwrap();
    let run = run["run"]["id"].as_str().unwrap().to_owned();
    server.until_run(&run, "completed");
    hook.until("/hook?token=secret-of-a-url", 1).await;
    (server, run)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_says_which_request_team_and_run_it_is_about_and_none_tells_a_secret() {
    let (folder, collector) = (tempfile::tempdir().unwrap(), Collector::start().unwrap());
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let hook = Hook::start(|_, _| Conduct::Ok).unwrap();
    let (server, run) = a_run(&data, &log, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url())], &hook).await;
    assert!(server.raw("/v1/agents", "a-wrong-secret-key").starts_with("HTTP/1.1 401"));
    assert_eq!(server.send("PUT /v1/uploads/secret-token", &[], "x").0, 403);
    let secret = said(&errand(&["webhooks", "secret", "--data-dir", data.to_str().unwrap()]).output().unwrap()).1;
    assert!(secret.contains("whsec_"), "{secret}");
    let page = crate::metrics::page(&server);
    assert!(
        (crate::metrics::value(&page, "errand_webhook_tries_total{outcome=\"delivered\"}") - 1.0).abs() < 0.1,
        "{page}"
    );
    assert_eq!(server.terminate().code(), Some(0));
    let spans = collector.spans();
    let delivery = spans.iter().find(|span| span.name == "deliver run_completed").expect("a span of the webhook");
    assert_eq!((&delivery.trace, delivery.failed), (&run.replace('-', ""), false), "{delivery:#?}");

    let lines = lines(&log);
    let access = |id: &str| lines.iter().find(|line| line["target"] == "access" && line["request_id"] == id).unwrap();
    let started = access("my-own-id");
    for (key, value) in [
        ("method", json!("POST")),
        ("route", json!("/v1/runs")),
        ("status", json!(201)),
        ("run", json!(run)),
        ("level", json!("DEBUG")),
    ] {
        assert_eq!(started[key], value, "{started}");
    }
    assert!(started["ms"].as_f64().is_some_and(|ms| ms > 0.0), "{started}");
    let (team, key) = (started["team"].as_str().unwrap(), started["key"].as_str().unwrap());
    assert_eq!((team.len(), key.len()), (36, 36), "{started}");
    assert!(started["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{started}");
    let refused = lines.iter().find(|line| line["status"] == 401).unwrap();
    assert!(refused["request_id"].as_str().is_some_and(|id| id.starts_with("req_")), "{refused}");
    assert!(refused.get("team").is_none(), "{refused}");

    let ended = find(&lines, "the run ended");
    assert_eq!((&ended["run"], &ended["team"], &ended["status"]), (&json!(run), &json!(team), &json!("completed")));
    let delivered = find(&lines, "webhook delivered");
    assert_eq!(
        (&delivered["run"], &delivered["team"], &delivered["event"]),
        (&json!(run), &json!(team), &json!("run_completed"))
    );

    let text = std::fs::read_to_string(&log).unwrap();
    let mut secrets = vec![KEY, PROVIDER_KEY, MCP_SECRET, "a-wrong-secret-key", "secret-token", "secret-of-a-url"];
    secrets.extend(secret.split_whitespace().filter_map(|word| word.strip_prefix("whsec_")));
    secrets.extend(["words of a person", "words of the job", "words of the procedure"]);
    for secret in secrets {
        assert!(!text.contains(secret), "{secret} is in the log");
        assert!(!page.contains(secret), "{secret} is among the metrics");
        assert!(!collector.mentions(secret.as_bytes()), "{secret} is in a trace");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_one_of_several_nodes_names_it() {
    let (folder, cluster) = (tempfile::tempdir().unwrap(), Cluster::start().unwrap());
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let (hook, url) = (Hook::start(|_, _| Conduct::Ok).unwrap(), cluster.url());
    let (server, run) = a_run(&data, &log, &[("ERRAND_DATABASE_URL", &url), MASTER_KEY], &hook).await;
    assert_eq!(server.terminate().code(), Some(0));
    let (lines, node) = (lines(&log), std::fs::read_to_string(data.join("node")).unwrap());
    let ended = find(&lines, "the run ended");
    assert_eq!((&ended["node"], &ended["run"]), (&json!(node.trim()), &json!(run)));
}

#[test]
fn how_much_is_logged_may_differ_by_part_and_what_is_no_part_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let variables = [("ERRAND_API_KEY", KEY), ("ERRAND_LOG", "warn,access=debug")];
    let server = Server::start_logging(&folder.path().join("data"), &variables, File::create(&log).unwrap());
    server.body("/v1/agents");
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("route=\"/v1/agents\"") && !text.contains("INFO"), "{text}");
    let (code, _, told) =
        said(&errand(&["serve", "--log", "info,hyper=trace"]).current_dir(folder.path()).output().unwrap());
    assert!(code == Some(1) && told.contains("\"hyper\" is no part of the log"), "{told}");
}

//! The page for Prometheus: what is on it moves as it should, and nothing on it grows with what clients send.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use domain::Timestamp;
use storage::{Db, Settings, StoreError};
use testkit::fake_provider::{Asked, Behaviour, FakeProvider, Reply, Step};

use crate::house::{KEY, Server, config_file};

/// What is served at the address of the metrics that the greeting names.
fn fetch(server: &Server, request: &str) -> String {
    let url = server.printed.split_whitespace().find_map(|word| word.strip_suffix("/metrics")).expect(&server.printed);
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nhost: {host}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The page, after a look at its form: every sample has a type, and names are those of Prometheus.
pub(crate) fn page(server: &Server) -> String {
    let answer = fetch(server, "GET /metrics");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
    let typed: Vec<_> = body.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    for line in body.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = series.split('{').next().unwrap();
        let known = typed.iter().find(|(typed, _)| {
            name.strip_prefix(typed).is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
        });
        let (_, kind) = known.unwrap_or_else(|| panic!("no type: {line}"));
        assert!(*kind != "counter" || name.ends_with("_total"), "{line}");
        assert!(name.starts_with("errand_"), "{line}");
    }
    body.to_owned()
}

/// The value of a series; 0 if it is not there.
pub(crate) fn value(page: &str, series: &str) -> f64 {
    page.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
        .map_or(0.0, |value| value.parse().unwrap())
}

fn server(data: &Path, model: &FakeProvider, more: &[(&str, &str)]) -> Server {
    let url = model.url();
    let variables = [
        ("ANTHROPIC_API_KEY", "secret-provider-key"),
        ("ANTHROPIC_BASE_URL", url.as_str()),
        ("ERRAND_API_KEY", KEY),
        ("ERRAND_METRICS_LISTEN", "127.0.0.1:0"),
    ];
    Server::start_with(data, &[&variables, more].concat())
}

/// An Assignment and a first run of it: the ids.
fn start(server: &Server, folder: &Path) -> (String, String) {
    let made = server.json(&["agents", "create", "--name", "Greeter", "--config", &config_file(folder)]);
    let agent = made["agent"]["id"].as_str().unwrap().to_owned();
    let started = server.json(&["runs", "start", &agent]);
    (agent, started["run"]["id"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_is_counted_where_it_belongs() {
    let folder = tempfile::tempdir().unwrap();
    let ask = r#"{"kind":"question","title":"Which?","questions":[{"question":"Which?","options":[{"label":"a"},{"label":"b"}]}]}"#;
    let model = FakeProvider::with(move |asked| match asked.assistant_turns {
        0 => Reply::text("").call("c1", "ask_person", ask),
        _ => Reply::text("").call("c2", "finish", r#"{"result":"done"}"#),
    });
    let model = model.await.unwrap();
    let prices = "[models.\"claude-sonnet-4-6\"]\ninput_price = 3.0\noutput_price = 15.0\n";
    let file = folder.path().join("errand.toml");
    std::fs::write(&file, prices).unwrap();
    let server = server(&folder.path().join("data"), &model, &[("ERRAND_CONFIG", file.to_str().unwrap())]);
    let fresh = page(&server);
    for series in [
        "errand_build_info{version=\"0.1.0\"} 1",
        "errand_store_up 1",
        "errand_runs{status=\"pending\"} 0",
        "errand_runs{status=\"running\"} 0",
        "errand_runs{status=\"waiting\"} 0",
        "errand_queue_age_seconds 0",
        "errand_webhook_lag_seconds 0",
        "errand_leases_lost_total 0",
        "errand_dispatch_seconds_count 0",
    ] {
        assert!(
            fresh.lines().any(|line| line.replace(".0", "") == series.replace(".0\"", "\"") || line == series),
            "{series}: {fresh}"
        );
    }
    let (_, run) = start(&server, folder.path());
    server.until_run(&run, "waiting");
    // What the store said is shown for five seconds.
    std::thread::sleep(Duration::from_secs(5));
    let waiting = page(&server);
    assert!((value(&waiting, "errand_runs{status=\"waiting\"}") - 1.0).abs() < 0.1, "{waiting}");
    server.client(&["runs", "stop", &run]).output().unwrap();
    server.until_run(&run, "interrupted");
    let page = page(&server);
    for (series, wanted) in [
        ("errand_dispatch_seconds_count", 1.0),
        ("errand_runs_ended_total{status=\"interrupted\"}", 1.0),
        ("errand_model_calls_total{provider=\"anthropic\",outcome=\"ok\"}", 1.0),
        ("errand_model_tokens_total{provider=\"anthropic\",model=\"claude-sonnet-4-6\",kind=\"input\"}", 100.0),
        ("errand_model_tokens_total{provider=\"anthropic\",model=\"claude-sonnet-4-6\",kind=\"cached\"}", 20.0),
        ("errand_model_tokens_total{provider=\"anthropic\",model=\"claude-sonnet-4-6\",kind=\"output\"}", 30.0),
        ("errand_model_cost_usd_total{provider=\"anthropic\",model=\"claude-sonnet-4-6\"}", 0.000_810),
        ("errand_http_requests_total{method=\"POST\",route=\"/v1/runs\",status=\"201\"}", 1.0),
        ("errand_http_request_seconds_count{method=\"POST\",route=\"/v1/runs\"}", 1.0),
        ("errand_http_requests_total{method=\"POST\",route=\"/v1/runs/{run_id}/stop\",status=\"200\"}", 1.0),
    ] {
        assert!((value(&page, series) - wanted).abs() < 1e-9, "{series}: {page}");
    }
    assert!(!page.contains(KEY) && !page.contains("secret-provider-key") && !page.contains(&run), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_send_makes_no_new_series() {
    let folder = tempfile::tempdir().unwrap();
    let model = FakeProvider::with(|_| Reply::text("done")).await.unwrap();
    let server = server(&folder.path().join("data"), &model, &[]);
    let series = |page: &str| page.lines().filter(|line| line.starts_with("errand_http")).count();
    let sent = |n: usize| {
        for (line, status) in [
            (format!("GET /v1/nothing-{n}"), 404),
            (format!("GET /{n}/metrics"), 404),
            (format!("GET /v1/agents/not-an-id-{n}"), 400),
            (format!("GET /v1/agents/0198c0de-0000-7000-8000-{n:012}"), 404),
            (format!("PUT /v1/uploads/token-{n}"), 403),
            (format!("METHOD{n} /v1/agents"), 405),
            (format!("DELETE /v1/agents?n={n}"), 405),
        ] {
            assert_eq!(server.send(&line, &[], "").0, status, "{line}");
        }
        assert!(server.raw("/v1/agents", &format!("a-wrong-key-{n}")).starts_with("HTTP/1.1 401"));
    };
    sent(0);
    let once = page(&server);
    (1..20).for_each(sent);
    let often = page(&server);
    assert_eq!(series(&once), series(&often), "{often}");
    for (series, wanted) in [
        ("errand_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"}", 40.0),
        ("errand_http_requests_total{method=\"GET\",route=\"/v1/agents\",status=\"401\"}", 20.0),
        ("errand_http_requests_total{method=\"other\",route=\"/v1/agents\",status=\"405\"}", 20.0),
        ("errand_http_requests_total{method=\"PUT\",route=\"/v1/uploads/{upload_token}\",status=\"403\"}", 20.0),
    ] {
        assert!((value(&often, series) - wanted).abs() < 1e-9, "{series}: {often}");
    }
    assert!(!often.contains("status=\"5"), "nothing failed: {often}");
    assert!(!often.contains("token-") && !often.contains("not-an-id"), "{often}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_taken_away_is_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let silent = Behaviour::Rule(Box::new(|_: &Asked| Step::Silence));
    let model = FakeProvider::start(([127, 0, 0, 1], 0).into(), silent).await.unwrap();
    let file = folder.path().join("errand.toml");
    std::fs::write(&file, "[engine]\nlease_ms = 1000\n").unwrap();
    let data = folder.path().join("data");
    let server = server(&data, &model, &[("ERRAND_CONFIG", file.to_str().unwrap())]);
    start(&server, folder.path());
    while model.requests().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(value(&page(&server), "errand_leases_lost_total").abs() < 0.1);
    let db = Db::open(&Settings::new(data.join("errand.db"), std::sync::Arc::new(|| Timestamp(0)))).unwrap();
    // As if another had it, for a long time.
    let theirs = "UPDATE work SET claim = '0198c0de-0000-7000-8000-000000000001', due_at = due_at + 600000";
    db.write::<_, StoreError, _>(async move |tx| tx.exec(theirs, &[]).await).await.unwrap();
    db.close().await;
    let began = Instant::now();
    while value(&page(&server), "errand_leases_lost_total") < 0.5 {
        assert!(began.elapsed() < Duration::from_secs(20), "never counted");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(1));
    assert!((value(&page(&server), "errand_leases_lost_total") - 1.0).abs() < 0.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_at_its_own_address_only() {
    let folder = tempfile::tempdir().unwrap();
    let model = FakeProvider::with(|_| Reply::text("done")).await.unwrap();
    let with = server(&folder.path().join("with"), &model, &[]);
    assert!(with.raw("/metrics", KEY).starts_with("HTTP/1.1 404"), "no team's key opens it");
    assert!(fetch(&with, "GET /v1/agents").starts_with("HTTP/1.1 404"), "and nothing else is there");
    assert!(fetch(&with, "POST /metrics").starts_with("HTTP/1.1 405"));
    let without = Server::start(&folder.path().join("without"));
    assert!(!without.printed.contains("etrics"), "{}", without.printed);
    // One that says nothing is no worse than none.
    let url = with.printed.split_whitespace().find_map(|word| word.strip_suffix("/metrics")).unwrap();
    let silent: Vec<_> = (0..40).map(|_| TcpStream::connect(url.strip_prefix("http://").unwrap())).collect();
    std::thread::sleep(Duration::from_secs(11));
    assert!(page(&with).contains("errand_build_info"));
    drop(silent);
}

//! What a collector of traces is sent: one trace a run, whatever becomes of servers and of the collector.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use testkit::collector::{Collector, Span};
use testkit::fake_provider::{Behaviour, FakeProvider, Reply, Step};
use testkit::postgres::Cluster;

use crate::house::{KEY, MASTER_KEY, Server, config_file, errand, said};

/// The request that started the run of a test is part of this trace of its caller.
const CALLER: (&str, &str) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");

/// A model that plans, calls a tool that it made up, and finishes. `hangs`: at its second turn, the first time.
async fn model(hangs: bool) -> FakeProvider {
    let hangs = AtomicBool::new(hangs);
    let rule = move |asked: &testkit::fake_provider::Asked| match asked.assistant_turns {
        0 => Reply::text("A plan.").call("c1", "plan", r#"{"items":[{"text":"Say hello","status":"doing"}]}"#).into(),
        1 if hangs.swap(false, Ordering::Relaxed) => Step::Silence,
        1 => Reply::text("").call("c2", "tell_nobody", r#"{"what":"a secret of the job"}"#).into(),
        _ => Reply::text("").call("c3", "finish", r#"{"result":"hello"}"#).into(),
    };
    FakeProvider::start(([127, 0, 0, 1], 0).into(), Behaviour::Rule(Box::new(rule))).await.unwrap()
}

fn server(data: &Path, model: &FakeProvider, collector: &str, more: &[(&str, &str)]) -> Server {
    let url = model.url();
    let variables = [
        ("ANTHROPIC_API_KEY", "secret-provider-key"),
        ("ANTHROPIC_BASE_URL", url.as_str()),
        ("ERRAND_API_KEY", KEY),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ];
    Server::start_with(data, &[&variables, more].concat())
}

/// Starts a run, as part of its caller's trace; its id.
fn start(server: &Server, folder: &Path) -> String {
    let made = server.json(&["agents", "create", "--name", "Greeter", "--config", &config_file(folder)]);
    let body = format!(r#"{{"agent_id":{},"message":"words of a person"}}"#, made["agent"]["id"]);
    let caller = format!("00-{}-{}-01", CALLER.0, CALLER.1);
    let (status, answer) = server.send("POST /v1/runs", &[("traceparent", &caller), ("x-request-id", "req-1")], &body);
    assert_eq!(status, 201, "{answer}");
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    answer["run"]["id"].as_str().unwrap().to_owned()
}

fn named<'s>(spans: &'s [Span], name: &str) -> Vec<&'s Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_one_trace_from_its_request_to_its_last_tool_call_though_its_server_is_killed() {
    let (folder, collector, model) = (tempfile::tempdir().unwrap(), Collector::start().unwrap(), model(true).await);
    let data = folder.path().join("data");
    let first = server(&data, &model, &collector.url(), &[]);
    let run = start(&first, folder.path());
    collector.until(|spans| !named(spans, "execute_tool plan").is_empty());
    // It waits for its model.
    while model.requests().len() < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(first);
    let second = server(&data, &model, &collector.url(), &[]);
    second.until_run(&run, "completed");
    let spans = collector
        .until(|spans| !named(spans, "invoke_agent").is_empty() && named(spans, "chat claude-sonnet-4-6").len() >= 3);
    let of_run: Vec<Span> = spans.into_iter().filter(|span| span.trace == run.replace('-', "")).collect();

    let [request] = named(&of_run, "POST /v1/runs")[..] else { panic!("{of_run:#?}") };
    let [agent] = named(&of_run, "invoke_agent")[..] else { panic!("{of_run:#?}") };
    let chats = named(&of_run, "chat claude-sonnet-4-6");
    let tools = [named(&of_run, "execute_tool plan"), named(&of_run, "execute_tool unknown")].concat();
    assert_eq!((chats.len(), tools.len(), of_run.len()), (3, 2, 7), "{of_run:#?}");
    assert_eq!((request.parent.as_str(), agent.parent.as_str()), ("", request.id.as_str()));
    for step in chats.iter().chain(&tools) {
        assert_eq!(step.parent, agent.id, "{step:#?}");
        assert_eq!(step.attribute("gen_ai.conversation.id"), Some(run.as_str()));
        assert!(agent.time.0 <= step.time.0 && step.time.0 <= step.time.1, "{step:#?}");
        // What a journal notes is cut to milliseconds.
        assert!(step.time.1 <= agent.time.1 + 1_000_000, "{step:#?} after {agent:#?}");
    }
    let ids: std::collections::BTreeSet<_> = of_run.iter().map(|span| &span.id).collect();
    assert_eq!(ids.len(), of_run.len(), "ids are unique");

    assert_eq!(request.attribute("http.response.status_code"), Some("201"));
    assert_eq!(request.attribute("errand.request.id"), Some("req-1"));
    assert_eq!(request.links, [(CALLER.0.to_owned(), CALLER.1.to_owned())]);
    for (name, value) in
        [("gen_ai.operation.name", "invoke_agent"), ("errand.run.status", "completed"), ("errand.run.round", "1")]
    {
        assert_eq!(agent.attribute(name), Some(value));
    }
    assert!(agent.attribute("gen_ai.agent.id").is_some_and(|id| id.len() == 36), "{agent:#?}");
    for (name, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "anthropic"),
        ("gen_ai.request.model", "claude-sonnet-4-6"),
        ("gen_ai.usage.input_tokens", "120"),
        ("gen_ai.usage.cache_read.input_tokens", "20"),
        ("gen_ai.usage.output_tokens", "30"),
        ("gen_ai.response.finish_reasons", "tool_calls"),
        ("gen_ai.output.type", "text"),
        ("server.address", "127.0.0.1"),
    ] {
        assert_eq!(chats[0].attribute(name), Some(value), "{name}");
    }
    let told: Vec<_> = tools
        .iter()
        .map(|tool| (tool.attribute("gen_ai.tool.call.id"), tool.attribute("error.type"), tool.failed))
        .collect();
    assert_eq!(told, [(Some("c1"), None, false), (Some("c2"), Some("tool_error"), true)]);
    assert!(of_run.iter().all(|span| span.service == "errand"));
    // Neither secrets nor what was said, by whomever.
    for secret in
        [KEY, "secret-provider-key", "words of a person", "Say hello", "a secret of the job", "tell_nobody", "A plan."]
    {
        assert!(!collector.mentions(secret.as_bytes()), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_resumed_goes_on_in_its_trace_with_a_round_of_its_own() {
    let (folder, collector, model) = (tempfile::tempdir().unwrap(), Collector::start().unwrap(), model(false).await);
    let server = server(&folder.path().join("data"), &model, &collector.url(), &[("OTEL_SERVICE_NAME", "jobs")]);
    let run = start(&server, folder.path());
    server.until_run(&run, "completed");
    let (status, answer) = server.send(&format!("POST /v1/runs/{run}/messages"), &[], r#"{"message":"again"}"#);
    assert_eq!(status / 100, 2, "{answer}");
    let spans = collector.until(|spans| named(spans, "invoke_agent").len() >= 2);
    assert!(
        spans.iter().filter(|span| span.name != "GET /v1/runs/{run_id}").all(|span| span.trace == run.replace('-', "")),
        "{spans:#?}"
    );
    let rounds = named(&spans, "invoke_agent");
    let [request] = named(&spans, "POST /v1/runs")[..] else { panic!("{spans:#?}") };
    let [message] = named(&spans, "POST /v1/runs/{run_id}/messages")[..] else { panic!("{spans:#?}") };
    assert_eq!(message.parent, request.id);
    assert!(rounds[0].id != rounds[1].id && rounds.iter().all(|round| round.parent == request.id), "{rounds:#?}");
    let numbers: Vec<_> = rounds.iter().map(|round| round.attribute("errand.run.round").unwrap()).collect();
    assert_eq!(numbers, ["1", "2"]);
    let of_second = spans.iter().filter(|span| span.parent == rounds[1].id).count();
    assert_eq!(of_second, 1, "the model finishes at once: {spans:#?}");
    assert!(rounds[0].time.1 <= rounds[1].time.0);
    assert!(spans.iter().all(|span| span.service == "jobs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_gone_costs_spans_and_nothing_else() {
    let (folder, model) = (tempfile::tempdir().unwrap(), model(false).await);
    // Takes connections and never answers.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", deaf.local_addr().unwrap());
    let more = [("OTEL_BSP_MAX_QUEUE_SIZE", "4"), ("ERRAND_METRICS_LISTEN", "127.0.0.1:0")];
    let server = server(&folder.path().join("data"), &model, &url, &more);
    for _ in 0..3 {
        let run = start(&server, folder.path());
        server.until_run(&run, "completed");
    }
    let page = crate::metrics::page(&server);
    assert!(crate::metrics::value(&page, "errand_spans_total{outcome=\"dropped\"}") >= 10.0, "{page}");
    let began = Instant::now();
    assert_eq!(server.terminate().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(8), "it waited for the collector: {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_spans_are_sent_before_a_server_ends() {
    let (folder, collector, model) = (tempfile::tempdir().unwrap(), Collector::start().unwrap(), model(false).await);
    let server =
        server(&folder.path().join("data"), &model, &collector.url(), &[("OTEL_BSP_SCHEDULE_DELAY", "600000")]);
    let run = start(&server, folder.path());
    server.until_run(&run, "completed");
    assert_eq!(collector.spans(), []);
    assert_eq!(server.terminate().code(), Some(0));
    assert_eq!(named(&collector.spans(), "invoke_agent").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_takes_over_a_run_adds_to_its_trace() {
    let (folder, collector, model) = (tempfile::tempdir().unwrap(), Collector::start().unwrap(), model(true).await);
    let (cluster, file) = (Cluster::start().unwrap(), folder.path().join("errand.toml"));
    std::fs::write(&file, "[engine]\nlease_ms = 1000\n").unwrap();
    let (url, file) = (cluster.url(), file.to_str().unwrap().to_owned());
    let node = |name: &str| {
        let settings =
            [("ERRAND_DATABASE_URL", url.as_str()), ("ERRAND_CONFIG", &file), ("OTEL_SERVICE_NAME", name), MASTER_KEY];
        server(&folder.path().join(name), &model, &collector.url(), &settings)
    };
    let first = node("first");
    let run = start(&first, folder.path());
    collector.until(|spans| !named(spans, "execute_tool plan").is_empty());
    while model.requests().len() < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = node("second");
    drop(first);
    second.until_run(&run, "completed");
    let spans = collector
        .until(|spans| !named(spans, "invoke_agent").is_empty() && named(spans, "chat claude-sonnet-4-6").len() >= 3);
    let of_run: Vec<_> = spans.iter().filter(|span| span.trace == run.replace('-', "")).collect();
    let by = |name: &str| {
        of_run.iter().filter(|span| span.name == name).map(|span| span.service.as_str()).collect::<Vec<_>>()
    };
    assert_eq!((by("POST /v1/runs"), by("invoke_agent")), (vec!["first"], vec!["second"]));
    assert_eq!(by("chat claude-sonnet-4-6"), ["first", "second", "second"]);
    let [agent] = named(&spans, "invoke_agent")[..] else { panic!("{spans:#?}") };
    assert!(named(&spans, "chat claude-sonnet-4-6").iter().all(|chat| chat.parent == agent.id), "{spans:#?}");
}

#[test]
fn variables_that_are_meant_for_another_program_stop_only_who_sends_spans() {
    let folder = tempfile::tempdir().unwrap();
    let other = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    let data = folder.path().to_str().unwrap();
    let _server = Server::start(folder.path());
    let (code, _, err) = said(&errand(&["teams", "list", "--data-dir", data]).envs(other).output().unwrap());
    assert_eq!(code, Some(0), "{err}");
    let serve = ["serve", "--data-dir", data, "--listen", "127.0.0.1:0"];
    let (code, _, err) = said(&errand(&serve).envs(other).output().unwrap());
    assert!(code == Some(1) && err.contains("OTEL_EXPORTER_OTLP_PROTOCOL"), "{code:?}: {err}");
}

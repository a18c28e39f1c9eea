//! Secrets are put in wherever one can come in, and looked for wherever anything comes out: the database with its logs, the server's log at its most
//! talkative, answers and their errors, transcripts, events, webhooks, backups, what commands print. None may be found, in no spelling.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use testkit::fake_provider::{Asked, Behaviour, FakeProvider, Reply, Step};
use testkit::hook::{Conduct, Hook};
use testkit::postgres::Cluster;

use crate::backup::backup;
use crate::house::{MASTER_KEY, Server, errand, said};

const API_KEY: &str = "dv_canary_of_the_api_key_5c0d7e91";
const PROVIDER_KEY: &str = "sk-ant-canary-of-the-variable-80b1f2c4";
const FILE_KEY: &str = "sk-canary-of-the-settings-file-9e4410ad";
const PASSWORD: &str = "canary-of-the-database-password-77c2";
/// What is no secret, and must be found: otherwise nobody looked.
const PLAIN: &str = "plain-words-that-may-be-seen-31d9";

/// As much of a spelling as is looked up at once.
const BEGIN: usize = 8;

/// What goes in, by name.
struct Canaries(Vec<(String, String)>);

impl Canaries {
    /// A fresh one that comes in there.
    fn put(&mut self, place: &str) -> String {
        let value = format!("canary-{}-of-{place}-e7a35b", self.0.len());
        self.0.push((place.to_owned(), value.clone()));
        value
    }

    fn add(&mut self, place: &str, value: &str) {
        self.0.push((place.to_owned(), value.to_owned()));
    }

    /// The names of those that are found in it. One pass, since a database is large.
    fn found_in(&self, bytes: &[u8]) -> Vec<&str> {
        let (mut begins, mut spelt) = (vec![false; 1 << 16], HashMap::<&[u8], Vec<(&str, &[u8])>>::new());
        let all: Vec<_> = self.0.iter().map(|(place, value)| (place.as_str(), spellings(value))).collect();
        for (place, spelling) in all.iter().flat_map(|(place, all)| all.iter().map(move |spelling| (place, spelling))) {
            begins[usize::from(spelling[0]) << 8 | usize::from(spelling[1])] = true;
            spelt.entry(&spelling[..BEGIN]).or_default().push((place, spelling));
        }
        let mut found = BTreeSet::new();
        for at in 0..bytes.len().saturating_sub(BEGIN) {
            if begins[usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1])]
                && let Some(spelt) = spelt.get(&bytes[at..at + BEGIN])
            {
                found.extend(
                    spelt.iter().filter(|(_, spelling)| bytes[at..].starts_with(spelling)).map(|(place, _)| *place),
                );
            }
        }
        found.into_iter().collect()
    }
}

/// A secret as it is, in hex, and in base64 wherever in other bytes it stands.
fn spellings(secret: &str) -> Vec<Vec<u8>> {
    let hex = hex(secret);
    let mut all = vec![secret.as_bytes().to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes()];
    for shift in 0..3 {
        let shifted = [&vec![b' '; shift], secret.as_bytes()].concat();
        // The characters that its neighbours have a part in are left off.
        for text in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            all.push(text.as_bytes()[shift + usize::from(shift > 0)..text.len() - 2].to_vec());
        }
    }
    all
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// All files beneath a folder, one after the other.
fn files(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            all.extend(files(&path));
        } else if kind.is_file() && name != "master.key" {
            all.extend(name.as_encoded_bytes());
            // Of a running database: some files go while one looks.
            all.extend(fs::read(&path).unwrap_or_default());
        }
    }
    all
}

/// A client that keeps all it was answered.
struct Client<'s> {
    server: &'s Server,
    answers: Vec<u8>,
}

impl Client<'_> {
    /// The status and the body of the answer.
    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let (status, answer) = self.unkept(method, path, headers, body);
        self.answers.extend(answer.as_bytes());
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    fn unkept(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let host = self.server.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        let own = [("authorization", &*format!("Bearer {API_KEY}")), ("content-type", "application/json")];
        let given = |name: &str| headers.iter().any(|(header, _)| *header == name);
        for (name, value) in own.iter().filter(|(name, _)| !given(name)).chain(headers) {
            head.extend([name, ": ", value, "\r\n"]);
        }
        write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
    }

    fn post(&mut self, path: &str, body: &Value) -> (u16, Value) {
        let (status, answer) = self.send("POST", path, &[], &body.to_string());
        (status, serde_json::from_str(&answer).unwrap())
    }

    fn get(&mut self, path: &str) -> String {
        self.send("GET", path, &[], "").1
    }
}

/// A model that repeats its key: in an error, in the middle of an answer that breaks off, or not.
async fn echoing() -> FakeProvider {
    let rule = |asked: &Asked| {
        let key = ["x-api-key", "authorization"].iter().find_map(|name| asked.headers.get(*name)).cloned();
        let words = format!("Incorrect API key provided: {}", key.unwrap_or_default());
        let long = format!("{}{words}", "x".repeat(540));
        let body = asked.body.to_string();
        match () {
            () if body.contains("echo long") => Step::Status(400, Vec::new(), asked.wire.error(400, &long)),
            () if body.contains("echo") => Step::Status(401, Vec::new(), asked.wire.error(401, &words)),
            () if body.contains("break off") => Step::ErrorEvent(Reply::text("Well"), asked.wire.error(500, &words)),
            () if asked.assistant_turns == 0 => Step::Answer(Reply::text(PLAIN).call(
                "c1",
                "write_file",
                json!({"path": "/workspace/a.txt", "content": PLAIN}),
            )),
            () => Step::Answer(Reply::text("").call("c2", "finish", json!({"result": PLAIN}))),
        }
    };
    FakeProvider::start((Ipv4Addr::LOCALHOST, 0).into(), Behaviour::Rule(Box::new(rule))).await.unwrap()
}

fn mcp(value: &Value, model: &str) -> Value {
    json!({"version": "v1", "data": {"model": model, "input": "Go.", "tools": [{
        "type": "mcp", "server_label": "crm", "server_url": "https://crm.example/mcp", "headers": value
    }]}})
}

/// Agents and Builds with header values, taken and refused. The ids of one agent for each provider.
fn configure(client: &mut Client<'_>, canaries: &mut Canaries) -> [String; 2] {
    let header = canaries.put("a header in a first build");
    let body = json!({"name": PLAIN, "build": {"name": "v1", "config": mcp(&json!({"Authorization": header}), "claude-sonnet-4-6")}});
    let (status, made) = client.post("/v1/agents", &body);
    assert_eq!(status, 201, "{made}");
    let agent = made["agent"]["id"].as_str().unwrap().to_owned();
    let shown = made["build"]["config"].clone();
    let header = canaries.put("a header in a build");
    let build = |agent: &str, config: &Value| json!({"agent_id": agent, "name": "v2", "config": config});
    let config = mcp(&json!({"Authorization": header, "X-Other": "[redacted]"}), "claude-sonnet-4-6");
    assert_eq!(client.post("/v1/builds", &build(&agent, &config)).0, 400, "nothing to refer to");
    let other = json!({"Authorization": "[redacted]", "X-Other": canaries.put("a header beside a redacted one")});
    let body = build(&agent, &mcp(&other, "claude-sonnet-4-6")).to_string();
    for _ in 0..2 {
        assert_eq!(client.send("POST", "/v1/builds", &[("idempotency-key", "again")], &body).0, 201);
    }
    assert_eq!(client.post("/v1/builds", &build(&agent, &shown)).0, 201);
    // What is refused, where the words are about it.
    for headers in [
        json!(canaries.put("headers that are text")),
        json!([canaries.put("headers that are a list")]),
        json!({"X-Key": [canaries.put("a value that is a list")]}),
        json!({"X-Key": format!("{}\r\nX: 1", canaries.put("a value of two lines"))}),
        json!({format!("X-Key: {}", canaries.put("a name with its value")): ""}),
    ] {
        let (status, _) = client.post("/v1/builds", &build(&agent, &mcp(&headers, "gpt-5")));
        assert_eq!(status, 400, "{headers}");
    }
    let mut config = mcp(&json!({"X-Key": canaries.put("a config with an unknown field")}), "gpt-5");
    config["data"]["unknown"] = json!(1);
    assert_eq!(client.post("/v1/builds", &build(&agent, &config)).0, 400);
    let whole = build(&agent, &mcp(&json!({"X-Key": canaries.put("a body that is cut off")}), "gpt-5")).to_string();
    assert_eq!(client.send("POST", "/v1/builds", &[], &whole[..whole.len() - 3]).0, 400);
    let twice = whole.replace("\"X-Key\"", "\"X-Key\":\"\",\"X-Key\"");
    assert_eq!(client.send("POST", "/v1/builds", &[], &twice).0, 400);
    let body = json!({"name": "Other", "build": {"name": "v1", "config": mcp(&json!({"X-Key": canaries.put("another agent's header")}), "gpt-5")}});
    let (_, made) = client.post("/v1/agents", &body);
    [agent, made["agent"]["id"].as_str().unwrap().to_owned()]
}

/// Keys and tokens where they do not belong.
fn knock(client: &mut Client<'_>, canaries: &mut Canaries) {
    let wrong = canaries.put("a wrong key");
    for value in [format!("Bearer {wrong}"), format!("Basic {wrong}"), wrong.clone(), format!("Bearer {wrong} {wrong}")]
    {
        assert_eq!(client.send("GET", "/v1/agents", &[("authorization", &value)], "").0, 401);
    }
    for header in ["x-api-key", "cookie", "proxy-authorization"] {
        let value = canaries.put(header);
        client.send("GET", "/v1/agents", &[(header, &value)], "");
    }
    for (path, place) in [
        ("/v1/agents", "a query of a list"),
        ("/v1/runs", "a query of another list"),
        ("/healthz", "a query of a probe"),
        ("/nowhere", "a query of nothing"),
        ("/v1/uploads/x", "a query of an upload"),
    ] {
        let value = canaries.put(place);
        for name in ["api_key", "access_token", "limit", "token"] {
            client.send("GET", &format!("{path}?{name}={value}"), &[], "");
        }
        client.send("GET", &format!("{path}?{value}"), &[], "");
    }
}

/// An upload URL: made, used, used wrongly.
fn upload(client: &mut Client<'_>, canaries: &mut Canaries) -> String {
    let (_, made) = client.post("/v1/sandboxes", &json!({}));
    let sandbox = made["sandbox_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/sandboxes/{sandbox}/upload-urls");
    let mut tokens = Vec::new();
    for _ in 0..2 {
        // This answer is the one place where it stands.
        let (status, answer) = client.unkept(
            "POST",
            &path,
            &[("idempotency-key", "url")],
            &json!({"path": "/workspace/b.txt"}).to_string(),
        );
        assert_eq!(status, 200, "{answer}");
        let url: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        tokens.push(url["upload_url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned());
    }
    assert_eq!(tokens[0], tokens[1], "an answer that was kept");
    let token = &tokens[0];
    // Its end is what nobody can make: the rest says what it is good for.
    canaries.add("the token of an upload URL", &token[token.len() - 40..]);
    let good = format!("/v1/uploads/{token}");
    assert_eq!(client.send("PUT", &good, &[("content-type", "text/plain")], PLAIN).0, 200);
    for (method, path) in [
        ("GET", good.clone()),
        ("DELETE", good.clone()),
        ("PUT", format!("{good}/more")),
        ("PUT", format!("{good}?more={token}")),
        ("PUT", format!("/v1/upload/{token}")),
        ("PUT", format!("/v1//uploads/{token}")),
        ("PUT", format!("{good}x")),
        ("PUT", format!("/v1/runs/{token}")),
        ("GET", format!("/v1/agents/{token}")),
    ] {
        let (status, _) = client.send(method, &path, &[], "x");
        assert!(status >= 400, "{method} {path}: {status}");
    }
    sandbox
}

/// Jobs that end in each way, with what they tell outside.
fn run(client: &mut Client<'_>, canaries: &mut Canaries, agents: &[String; 2], hook: &Hook) {
    let inside = canaries.put("the user of a webhook URL");
    let url = hook.url("/hook").replace("//", &format!("//me:{inside}@"));
    let (status, _) = client.post("/v1/runs", &json!({"agent_id": agents[0], "webhook_url": url}));
    assert_eq!(status, 400);
    let mut started = Vec::new();
    for agent in agents {
        for message in ["Go on.", "echo", "echo long", "break off"] {
            let body =
                json!({"agent_id": agent, "message": format!("{message} {PLAIN}"), "webhook_url": hook.url("/hook")});
            let (status, run) = client.post("/v1/runs", &body);
            assert_eq!(status, 201, "{run}");
            started.push((message, run["run"]["id"].as_str().unwrap().to_owned()));
        }
    }
    for (message, id) in &started {
        // It ends with the run.
        let events = client.get(&format!("/v1/runs/{id}/events"));
        let wanted = match *message {
            "Go on." => "completed",
            // Not every wire's library passes such an event's words on.
            "break off" => "turn_failed",
            _ => "[key]",
        };
        assert!(events.contains(wanted), "{message}: {events}");
        for path in [format!("/v1/runs/{id}"), format!("/v1/runs/{id}/messages")] {
            assert!(client.get(&path).contains(id.as_str()) || path.ends_with("messages"), "{path}");
        }
    }
}

/// Everything that a server without secrets of its own team would show.
fn look(client: &mut Client<'_>, agents: &[String; 2], sandbox: &str) {
    for path in ["/v1/agents", "/v1/runs", "/v1/webhooks/dead-letters", "/v1/files"] {
        client.get(path);
    }
    for agent in agents {
        client.get(&format!("/v1/agents/{agent}"));
        client.get(&format!("/v1/agents/{agent}/builds"));
    }
    client.get(&format!("/v1/sandboxes/{sandbox}/files"));
}

/// Starts a server with canaries in its settings, does all of the above with it, and looks everywhere but in the database itself.
async fn everything(folder: &Path, mut variables: Vec<(&str, String)>) -> (Server, Canaries) {
    let (data, log) = (folder.join("data"), folder.join("server.log"));
    let (model, hook) = (echoing().await, Hook::start(|_, _| Conduct::Ok).unwrap());
    let settings = folder.join("settings.toml");
    let text = format!(
        "[limits]\nmodel_tries = 1\n[providers.anthropic]\napi_key_env = \"ANTHROPIC_API_KEY\"\nbase_url = \"{}\"\n\
         [providers.openai]\napi_key = \"{FILE_KEY}\"\nbase_url = \"{}\"\n",
        model.url(),
        model.openai_url()
    );
    fs::write(&settings, text).unwrap();
    let mut canaries = Canaries(Vec::new());
    for (place, value) in
        [("the API key", API_KEY), ("the key in a variable", PROVIDER_KEY), ("the key in a file", FILE_KEY)]
    {
        canaries.add(place, value);
    }
    variables.extend([
        ("ERRAND_API_KEY", API_KEY.to_owned()),
        ("ANTHROPIC_API_KEY", PROVIDER_KEY.to_owned()),
        ("ERRAND_CONFIG", settings.to_str().unwrap().to_owned()),
        ("ERRAND_EGRESS_ALLOW", "127.0.0.0/8".to_owned()),
        ("ERRAND_LOG", "trace".to_owned()),
    ]);
    let borrowed: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = Server::start_logging(&data, &borrowed, File::create(&log).unwrap());
    let command = |arguments: &[&str]| {
        let mut command = errand(arguments);
        command.args(["--data-dir", data.to_str().unwrap()]).envs(borrowed.iter().copied());
        said(&command.output().unwrap())
    };
    let (_, secret, _) = command(&["webhooks", "secret"]);
    canaries.add("the secret of webhooks", secret.trim().strip_prefix("whsec_").unwrap());
    let mut client = Client { server: &server, answers: Vec::new() };
    let agents = configure(&mut client, &mut canaries);
    knock(&mut client, &mut canaries);
    let sandbox = upload(&mut client, &mut canaries);
    run(&mut client, &mut canaries, &agents, &hook);
    look(&mut client, &agents, &sandbox);
    let told = hook.until("/hook", 8).await;
    let answers = std::mem::take(&mut client.answers);
    let nothing: [&str; 0] = [];
    assert!(canaries.0.len() > 25 && holds(&answers, PLAIN.as_bytes()));
    assert_eq!(canaries.found_in(&answers), nothing, "answers, transcripts, events");
    for received in told {
        let whole = [received.path.as_bytes(), received.signature.as_bytes(), &received.body].concat();
        assert!(holds(&whole, b"run_"));
        assert_eq!(canaries.found_in(&whole), nothing, "a webhook");
    }
    let mut printed = server.printed.clone();
    for arguments in
        [&["doctor"][..], &["audit", "export"], &["keys", "list"], &["master-key", "list"], &["webhooks", "dead"]]
    {
        let (_, out, err) = command(arguments);
        printed += &(out + &err);
    }
    assert!(printed.contains("build.create") && printed.contains("opens the secrets"), "{printed}");
    assert_eq!(canaries.found_in(printed.as_bytes()), nothing, "what commands print");
    let logged = fs::read(&log).unwrap();
    assert!(holds(&logged, b"webhook delivered"), "{}", String::from_utf8_lossy(&logged));
    assert_eq!(canaries.found_in(&logged), nothing, "the log: {}", String::from_utf8_lossy(&logged));
    (server, canaries)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_found_anywhere_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let (data, saved) = (folder.path().join("data"), folder.path().join("saved"));
    let (server, mut canaries) = everything(folder.path(), Vec::new()).await;
    canaries.add("the master key", fs::read_to_string(data.join("master.key")).unwrap().trim());
    let nothing: [&str; 0] = [];
    let whole = files(&data);
    assert!(data.join("errand.db-wal").exists() && holds(&whole, PLAIN.as_bytes()));
    assert_eq!(canaries.found_in(&whole), nothing, "the database and its log, while the server runs");
    assert_eq!(said(&backup(&data, &saved)).0, Some(0));
    let backup = files(&saved);
    assert!(holds(&backup, PLAIN.as_bytes()));
    assert_eq!(canaries.found_in(&backup), nothing, "a backup");
    drop(server);
    assert_eq!(canaries.found_in(&files(&data)), nothing, "what a killed server leaves");
    assert!(Server::start(&data).terminate().success());
    assert_eq!(canaries.found_in(&files(&data)), nothing, "what a server leaves that ended in good order");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_found_anywhere_on_postgres() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster =
        Cluster::with(&["log_statement=all", "log_min_duration_statement=0", "wal_level=logical"]).unwrap();
    let url = cluster.url().replacen('@', &format!(":{PASSWORD}@"), 1);
    let variables = vec![("ERRAND_DATABASE_URL", url), (MASTER_KEY.0, MASTER_KEY.1.to_owned())];
    let (server, mut canaries) = everything(folder.path(), variables).await;
    canaries.add("the master key", MASTER_KEY.1);
    canaries.add("the password of the database", PASSWORD);
    let nothing: [&str; 0] = [];
    let said = cluster.log().unwrap();
    assert!(said.contains(PLAIN) && said.contains("INSERT INTO builds"), "it logs each statement with its values");
    let whole = || files(cluster.folder());
    let began = Instant::now();
    while !holds(&whole(), PLAIN.as_bytes()) {
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    assert_eq!(canaries.found_in(&whole()), nothing, "the data, the write-ahead log and what the server says");
    assert_eq!(canaries.found_in(&files(&folder.path().join("data"))), nothing, "the node's own folder");
    drop(server);
    cluster.psql("errand", "CHECKPOINT; SELECT pg_switch_wal()").unwrap();
    cluster.stop_fast().unwrap();
    assert_eq!(canaries.found_in(&files(cluster.folder())), nothing, "what is there when it has stopped");
}

#[test]
fn each_spelling_of_a_canary_is_found() {
    let canaries = Canaries(vec![("it".to_owned(), API_KEY.to_owned())]);
    for before in ["", "a", "ab", "abc", "abcd"] {
        let whole = format!("{before}{API_KEY}{before}");
        let hex = hex(&whole);
        let spelt =
            [whole.clone(), hex.to_uppercase(), hex, STANDARD_NO_PAD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)];
        for spelt in spelt {
            assert_eq!(canaries.found_in(format!("{{{spelt}}}").as_bytes()), ["it"], "{spelt}");
        }
    }
    assert!(canaries.found_in(&API_KEY.as_bytes()[1..]).is_empty());
}

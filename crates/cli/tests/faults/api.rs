//! A client that expects no answer, since any node may be gone at any moment; but an answer that is wrong it keeps for the judge. Event streams are in
//! `streams.rs`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use contract::messages::MessagePage;
use domain::RunId;
use serde_json::{Value, json};
use testkit::checker::Seen;
use testkit::hook::Hook;

use crate::job::{Kind, assignment, editor};
use crate::kills::now;
use crate::node::KEY;
use crate::storm::Stop;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a run may take before nobody waits for it any more.
const LONGEST: Duration = Duration::from_mins(2);

/// What may be wrong with a request here: nothing.
const NOTHING: &[&str] = &[];

/// Clones share the addresses, and what was wrong with answers.
#[derive(Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    bases: Arc<Mutex<Vec<String>>>,
    turn: Arc<AtomicUsize>,
    /// Where runs that it starts call back.
    hook: String,
    wrong: Arc<Mutex<Vec<String>>>,
}

/// A start that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Started {
    pub(crate) run: RunId,
    /// The answer, byte for byte.
    pub(crate) answer: Vec<u8>,
}

/// A run as the list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: RunId,
    pub(crate) status: String,
}

impl Listed {
    pub(crate) fn is_over(&self) -> bool {
        ended(&self.status)
    }
}

fn ended(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "interrupted")
}

impl Api {
    #[expect(clippy::disallowed_methods, reason = "the suite says where its servers are")]
    pub(crate) fn new(bases: Vec<String>, hook: &Hook) -> Self {
        // An error only means that it was chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A connection that is kept would be one to a server that is dead by now.
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).pool_max_idle_per_host(0).build().unwrap();
        Self {
            http,
            bases: Arc::new(Mutex::new(bases)),
            turn: Arc::default(),
            hook: hook.url("/hook"),
            wrong: Arc::default(),
        }
    }

    /// Another client, of these nodes, that keeps what is wrong in the same place.
    pub(crate) fn of(&self, bases: Vec<String>) -> Self {
        Self { bases: Arc::new(Mutex::new(bases)), ..self.clone() }
    }

    /// Answers that no server may give, one sentence each.
    pub(crate) fn wrong(&self) -> Vec<String> {
        self.wrong.lock().unwrap().clone()
    }

    pub(crate) fn complain(&self, sentence: String) {
        self.wrong.lock().unwrap().push(sentence);
    }

    /// From now on these are the nodes.
    pub(crate) fn at(&self, bases: Vec<String>) {
        *self.bases.lock().unwrap() = bases;
    }

    /// One of the nodes, another one each time.
    fn base(&self) -> Option<String> {
        let bases = self.bases.lock().unwrap();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        bases.get(turn.checked_rem(bases.len())?).cloned()
    }

    pub(crate) async fn create_assignment(&self) -> String {
        self.create(&assignment()).await
    }

    pub(crate) async fn create_editor(&self) -> String {
        self.create(&editor()).await
    }

    pub(crate) async fn create(&self, assignment: &Value) -> String {
        let (_, made) = self.post("/v1/agents", assignment).await.unwrap();
        let id = made["agent"]["id"].as_str();
        id.unwrap_or_else(|| panic!("the answer to a new Assignment: {made}")).to_owned()
    }

    /// Puts one of the team's files there.
    pub(crate) async fn put_file(&self, name: &str, bytes: String) {
        let request = self.http.post(format!("{}/v1/files?path={name}", self.base().unwrap()));
        let request = request.header("content-type", "application/octet-stream").body(bytes);
        let (status, _) = self.answer("a file", request, NOTHING).await.unwrap();
        assert_eq!(status, 201, "{name}");
    }

    /// A file of a run.
    pub(crate) async fn file_of(&self, run: RunId, path: &str) -> String {
        let detail = self.must_get(&format!("/v1/runs/{run}")).await;
        let sandbox = detail["run"]["sandbox_id"].as_str().unwrap();
        let path = format!("/v1/sandboxes/{sandbox}/files/content?path={path}");
        let request = self.http.get(format!("{}{path}", self.base().unwrap()));
        let (status, bytes) = self.answer(&path, request, NOTHING).await.unwrap();
        assert_eq!(status, 200, "{path}");
        String::from_utf8(bytes).unwrap()
    }

    /// Waits until a run is over; whether it ever is, the judge says.
    pub(crate) async fn over(&self, run: RunId) {
        let began = Instant::now();
        while began.elapsed() < LONGEST {
            let detail = self.get(&format!("/v1/runs/{run}")).await;
            if detail.is_some_and(|detail| ended(detail["run"]["status"].as_str().unwrap_or_default())) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts a run, once and for all; `None` if nobody said that it was started.
    pub(crate) async fn start_run(&self, agent: &str, kind: Kind) -> Option<RunId> {
        let key = format!("once-{}", self.turn.fetch_add(1, Ordering::Relaxed));
        Some(self.start_once(agent, kind, &key).await?.run)
    }

    /// The same with a key, so that it can be sent again.
    pub(crate) async fn start_once(&self, agent: &str, kind: Kind, key: &str) -> Option<Started> {
        let body = json!({ "agent_id": agent, "message": kind.message(), "webhook_url": self.hook });
        let request = self.http.post(format!("{}/v1/runs", self.base()?)).header("idempotency-key", key).json(&body);
        let (status, answer) = self.answer("a start", request, &["idempotency_key_in_use"]).await?;
        let made: Value = serde_json::from_slice(&answer).ok()?;
        (status == 201).then(|| Started { run: made["run"]["id"].as_str().unwrap().parse().unwrap(), answer })
    }

    /// Writes to a run; the message's id, if it was taken.
    pub(crate) async fn say(&self, run: RunId, text: &str) -> Option<String> {
        let (path, body) = (format!("/v1/runs/{run}/messages"), json!({ "message": text }));
        let (status, made) = self.post_unless(&path, &body, &["run_not_resumable"]).await?;
        (status == 201).then(|| made["message"]["id"].as_str().unwrap().to_owned())
    }

    /// Asks for a stop; what somebody said to that.
    pub(crate) async fn stop(&self, run: RunId) -> Stop {
        let Some((200, said)) = self.post(&format!("/v1/runs/{run}/stop"), &json!({})).await else {
            return Stop::Asked;
        };
        match said["message"].as_str() {
            Some("The run is being stopped.") => Stop::Taken,
            Some(words) if words.ends_with("there was nothing to stop.") => Stop::TooLate(now()),
            other => panic!("the answer to a stop: {other:?}"),
        }
    }

    /// Answers a request; whether somebody said that this was the answer.
    pub(crate) async fn respond(&self, path: &str, body: &Value) -> bool {
        let answered = self.post_unless(path, body, &["request_already_answered"]).await;
        answered.is_some_and(|(status, _)| status == 200)
    }

    /// Approves whatever a run asks; the request, if somebody said that this was the answer.
    pub(crate) async fn approve(&self, run: RunId) -> Option<String> {
        let detail = self.get(&format!("/v1/runs/{run}")).await?;
        let request = detail["pending_human_request"]["id"].as_str()?.to_owned();
        let path = format!("/v1/runs/{run}/human-requests/{request}/respond");
        let (status, _) = self.post_unless(&path, &json!({ "approved": true }), &["request_already_answered"]).await?;
        (status == 200).then_some(request)
    }

    /// Up to a hundred runs of a status.
    pub(crate) async fn with_status(&self, status: &str) -> Vec<RunId> {
        let Some(page) = self.get(&format!("/v1/runs?limit=100&status={status}")).await else { return vec![] };
        let rows = page["data"].as_array().cloned().unwrap_or_default();
        rows.iter().filter_map(|row| row["id"].as_str()?.parse().ok()).collect()
    }

    /// All runs, oldest first, however often it must be asked.
    pub(crate) async fn runs(&self) -> Vec<Listed> {
        let mut all = Vec::new();
        loop {
            let page = self.must_get(&format!("/v1/runs?limit=100&sort_order=asc&offset={}", all.len())).await;
            let rows = page["data"].as_array().unwrap();
            all.extend(rows.iter().map(|row| Listed {
                id: row["id"].as_str().unwrap().parse().unwrap(),
                status: row["status"].as_str().unwrap().to_owned(),
            }));
            if rows.is_empty() || page["total"].as_u64() == Some(all.len() as u64) {
                return all;
            }
        }
    }

    /// Answers every question and waits until every run is over, or until nothing has changed for `quiet`.
    pub(crate) async fn settle(&self, quiet: Duration) {
        let (mut before, mut since) = (Vec::new(), Instant::now());
        while since.elapsed() < quiet {
            for run in self.with_status("waiting").await {
                self.approve(run).await;
            }
            let now = self.runs().await;
            if now.iter().all(Listed::is_over) {
                return;
            }
            if now != before {
                (before, since) = (now, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Everything the API shows of a run.
    pub(crate) async fn look(&self, run: RunId) -> Seen {
        let detail = self.must_get(&format!("/v1/runs/{run}")).await;
        Seen {
            run,
            status: detail["run"]["status"].as_str().unwrap().to_owned(),
            events: self.events(run).await.iter().map(|shown| shown.event().unwrap()).collect(),
            messages: self.messages(run).await,
        }
    }

    async fn messages(&self, run: RunId) -> Vec<contract::messages::Message> {
        let mut all = Vec::new();
        loop {
            let page = self.must_get(&format!("/v1/runs/{run}/messages?limit=100&offset={}", all.len())).await;
            let page: MessagePage = serde_json::from_value(page).unwrap();
            let total = usize::try_from(page.total).unwrap();
            if page.messages.is_empty() || all.len() + page.messages.len() >= total {
                all.extend(page.messages);
                return all;
            }
            all.extend(page.messages);
        }
    }

    /// `None`: nobody answered.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Option<(u16, Value)> {
        self.post_unless(path, body, NOTHING).await
    }

    /// The same, where a server may refuse with one of these codes.
    async fn post_unless(&self, path: &str, body: &Value, refusals: &[&str]) -> Option<(u16, Value)> {
        let request = self.http.post(format!("{}{path}", self.base()?)).json(body);
        let (status, answer) = self.answer(path, request, refusals).await?;
        Some((status, serde_json::from_slice(&answer).ok()?))
    }

    /// `None`: nobody answered, or not with 200.
    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        let request = self.http.get(format!("{}{path}", self.base()?));
        let (status, answer) = self.answer(path, request, NOTHING).await?;
        if status == 200 { serde_json::from_slice(&answer).ok() } else { None }
    }

    /// Opens what does not end at once; `None`: nobody answered.
    pub(crate) async fn open(&self, path: &str, header: Option<(&str, &str)>) -> Option<reqwest::Response> {
        let request = self.http.get(format!("{}{path}", self.base()?)).bearer_auth(KEY);
        header.into_iter().fold(request, |request, (name, value)| request.header(name, value)).send().await.ok()
    }

    /// Sends it. Whoever goes away, cannot reach the database or has a full disk may refuse anything, and otherwise only with these codes.
    async fn answer(&self, what: &str, request: reqwest::RequestBuilder, refusals: &[&str]) -> Option<(u16, Vec<u8>)> {
        let answer = request.bearer_auth(KEY).send().await.ok()?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.ok()?;
        let code: Value = serde_json::from_slice(&body).unwrap_or_default();
        let refused = code["error"].as_str().is_some_and(|code| refusals.contains(&code));
        if !(matches!(status, 200..=299 | 503 | 507) || refused) {
            self.complain(format!("{what} was answered {status}: {}", String::from_utf8_lossy(&body)));
        }
        Some((status, body.to_vec()))
    }

    async fn must_get(&self, path: &str) -> Value {
        let began = Instant::now();
        loop {
            if let Some(answer) = self.get(path).await {
                return answer;
            }
            assert!(began.elapsed() < Duration::from_mins(1), "nobody answers {path}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

//! A client that expects nothing: any node may be gone at any moment.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use contract::events::Event;
use contract::messages::MessagePage;
use domain::{RunId, Timestamp};
use serde_json::{Value, json};
use testkit::checker::Seen;
use testkit::hook::Hook;

use crate::job::{Kind, assignment};
use crate::kills::now;
use crate::node::KEY;
use crate::storm::Stop;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Clones share the addresses.
#[derive(Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    bases: Arc<Mutex<Vec<String>>>,
    turn: Arc<AtomicUsize>,
    /// Where runs that it starts call back.
    hook: String,
}

/// A run as the list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: RunId,
    pub(crate) status: String,
}

impl Listed {
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "interrupted")
    }
}

impl Api {
    #[expect(clippy::disallowed_methods, reason = "the suite says where its servers are")]
    pub(crate) fn new(bases: Vec<String>, hook: &Hook) -> Self {
        // An error only means that it was chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A connection that is kept would be one to a server that is dead by now.
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).pool_max_idle_per_host(0).build().unwrap();
        Self { http, bases: Arc::new(Mutex::new(bases)), turn: Arc::default(), hook: hook.url("/hook") }
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
        let (_, made) = self.post("/v1/agents", &assignment()).await.unwrap();
        made["agent"]["id"].as_str().unwrap().to_owned()
    }

    /// Starts a run; `None` if nobody said that it was started.
    pub(crate) async fn start_run(&self, agent: &str, kind: Kind) -> Option<RunId> {
        let body = json!({ "agent_id": agent, "message": kind.message(), "webhook_url": self.hook });
        let (status, made) = self.post("/v1/runs", &body).await?;
        (status == 201).then(|| made["run"]["id"].as_str().unwrap().parse().unwrap())
    }

    /// Writes to a run; the message's id, if it was taken.
    pub(crate) async fn say(&self, run: RunId, text: &str) -> Option<String> {
        let (status, made) = self.post(&format!("/v1/runs/{run}/messages"), &json!({ "message": text })).await?;
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

    /// Approves whatever a run asks; the request, if somebody said that this was the answer.
    pub(crate) async fn approve(&self, run: RunId) -> Option<String> {
        let detail = self.get(&format!("/v1/runs/{run}")).await?;
        let request = detail["pending_human_request"]["id"].as_str()?.to_owned();
        let path = format!("/v1/runs/{run}/human-requests/{request}/respond");
        let (status, _) = self.post(&path, &json!({ "approved": true })).await?;
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
            events: self.events(run).await,
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

    /// The event stream to its end; a stream that does not end is taken as far as it came within [`PATIENCE`].
    async fn events(&self, run: RunId) -> Vec<Event> {
        let url = format!("{}/v1/runs/{run}/events", self.base().unwrap());
        let mut stream = self.http.get(url).bearer_auth(KEY).send().await.unwrap();
        let mut text = Vec::new();
        while let Ok(Some(bytes)) = stream.chunk().await {
            text.extend_from_slice(&bytes);
        }
        let text = String::from_utf8(text).unwrap();
        let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
        data.map(|json| serde_json::from_str(json).unwrap()).collect()
    }

    /// Follows a run to its end: each event's kind, and how long after its commit it arrived.
    pub(crate) async fn arrivals(&self, run: RunId) -> Vec<(String, Duration)> {
        let url = format!("{}/v1/runs/{run}/events", self.base().unwrap());
        let mut stream = self.http.get(url).bearer_auth(KEY).send().await.unwrap();
        let (mut text, mut arrived) = (String::new(), Vec::new());
        while let Ok(Some(bytes)) = stream.chunk().await {
            text.push_str(std::str::from_utf8(&bytes).unwrap());
            while let Some((event, rest)) = text.split_once("\n\n") {
                if let Some(json) = event.lines().find_map(|line| line.strip_prefix("data:")) {
                    let event: Event = serde_json::from_str(json).unwrap();
                    let at: Timestamp = event.timestamp.parse().unwrap();
                    arrived.push((event.kind, Duration::from_millis(now().ms_since(at))));
                }
                text = rest.to_owned();
            }
        }
        arrived
    }

    /// `None`: nobody answered.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Option<(u16, Value)> {
        let sent = self.http.post(format!("{}{path}", self.base()?)).bearer_auth(KEY).json(body).send().await;
        let answer = sent.ok()?;
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.ok()?;
        assert!(status != 500, "{path}: {body}");
        Some((status, body))
    }

    /// `None`: nobody answered, or not with 200.
    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        let sent = self.http.get(format!("{}{path}", self.base()?)).bearer_auth(KEY).send().await;
        let answer = sent.ok()?;
        if answer.status().as_u16() != 200 {
            return None;
        }
        answer.json().await.ok()
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

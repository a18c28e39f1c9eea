//! A reader of the API who expects nothing: the server may be gone at any moment.

use std::time::{Duration, Instant};

use contract::events::Event;
use contract::messages::MessagePage;
use domain::RunId;
use serde_json::{Value, json};
use testkit::checker::Seen;

use crate::job::{LEDGER, assignment};
use crate::server::KEY;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
}

/// A run as the list shows it.
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
    pub(crate) fn new(base: String) -> Self {
        // An error only means that it was chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { http, base }
    }

    pub(crate) async fn create_assignment(&self) -> String {
        let made = self.post("/v1/agents", &assignment()).await.unwrap();
        made["agent"]["id"].as_str().unwrap().to_owned()
    }

    /// Starts a run; `None` if the server died before it said so.
    pub(crate) async fn start_run(&self, agent: &str) -> Option<RunId> {
        let made = self.post("/v1/runs", &json!({ "agent_id": agent, "message": "go" })).await?;
        Some(made["run"]["id"].as_str()?.parse().unwrap())
    }

    /// All runs, oldest first.
    pub(crate) async fn runs(&self) -> Vec<Listed> {
        let mut all = Vec::new();
        loop {
            let page = self.get(&format!("/v1/runs?limit=100&sort_order=asc&offset={}", all.len())).await;
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

    /// Waits until every run is over, or until nothing has changed for `quiet`.
    pub(crate) async fn settle(&self, quiet: Duration) {
        let (mut before, mut since) = (Vec::new(), Instant::now());
        while since.elapsed() < quiet {
            let runs = self.runs().await;
            if runs.iter().all(Listed::is_over) {
                return;
            }
            let now: Vec<String> = runs.into_iter().map(|run| run.status).collect();
            if now != before {
                (before, since) = (now, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Everything the API shows of a run, and its ledger.
    pub(crate) async fn look(&self, run: &Listed) -> (Seen, String) {
        let detail = self.get(&format!("/v1/runs/{}", run.id)).await;
        let sandbox = detail["run"]["sandbox_id"].as_str().unwrap();
        let file = format!("{}/v1/sandboxes/{sandbox}/files/content?path={LEDGER}", self.base);
        let file = self.http.get(file).bearer_auth(KEY).send().await.unwrap();
        let ledger = if file.status().is_success() { file.text().await.unwrap() } else { String::new() };
        let seen = Seen {
            run: run.id,
            status: detail["run"]["status"].as_str().unwrap().to_owned(),
            events: self.events(run.id).await,
            messages: self.messages(run.id).await,
        };
        (seen, ledger)
    }

    async fn messages(&self, run: RunId) -> Vec<contract::messages::Message> {
        let mut all = Vec::new();
        loop {
            let page = self.get(&format!("/v1/runs/{run}/messages?limit=100&offset={}", all.len())).await;
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
        let url = format!("{}/v1/runs/{run}/events", self.base);
        let mut stream = self.http.get(url).bearer_auth(KEY).send().await.unwrap();
        let mut text = Vec::new();
        while let Ok(Some(bytes)) = stream.chunk().await {
            text.extend_from_slice(&bytes);
        }
        let text = String::from_utf8(text).unwrap();
        let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
        data.map(|json| serde_json::from_str(json).unwrap()).collect()
    }

    async fn post(&self, path: &str, body: &Value) -> Option<Value> {
        let sent = self.http.post(format!("{}{path}", self.base)).bearer_auth(KEY).json(body).send().await;
        let answer = sent.ok()?;
        let status = answer.status();
        let body: Value = answer.json().await.ok()?;
        assert_eq!(status.as_u16(), 201, "{path}: {body}");
        Some(body)
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.base)).bearer_auth(KEY).send().await.unwrap();
        let status = answer.status();
        let body = answer.json().await.unwrap();
        assert_eq!(status.as_u16(), 200, "{path}: {body}");
        body
    }
}

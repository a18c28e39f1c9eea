//! Everything that is counted, on one page for Prometheus.
//!
//! The rooms count for themselves; here their counters come together, and the store is asked how much there is to do. It is asked only when
//! somebody looks, and at most once in [`FRESH_MS`] however many look.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use domain::Ambient;
use prometheus_client::encoding::{EncodeLabelSet, prometheus_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use storage::load::{self, Load};
use storage::{Db, StoreError};
use tokio::sync::Mutex;

/// How long what the store said is shown without asking again, in milliseconds.
const FRESH_MS: u64 = 5_000;
/// How long the store may take; a page without its numbers is better than none.
const PATIENCE: Duration = Duration::from_secs(3);

/// The counters of all rooms, and what became of spans.
#[derive(Clone, Default)]
pub(crate) struct Meters {
    pub(crate) agent: agent::Meters,
    pub(crate) engine: engine::Meters,
    pub(crate) server: server::Meters,
    spans: Family<Fate, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fate {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Moving {
    status: &'static str,
}

/// What the store says.
#[derive(Default)]
struct Stored {
    up: Gauge,
    runs: Family<Moving, Gauge>,
    queue_age: Gauge<f64, AtomicU64>,
    webhook_lag: Gauge<f64, AtomicU64>,
}

/// The page.
pub(crate) struct Page {
    registry: Registry,
    stored: Stored,
    db: Db,
    ambient: Arc<dyn Ambient>,
    /// When the store was asked last, on the steady clock.
    asked: Mutex<Option<u64>>,
}

impl Meters {
    /// So many spans were `exported`, `failed` on their way, or `dropped` since too many wait.
    pub(crate) fn spans(&self, outcome: &'static str, count: usize) {
        self.spans.get_or_create(&Fate { outcome }).inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }
}

impl Page {
    pub(crate) fn new(meters: &Meters, db: Db, ambient: Arc<dyn Ambient>) -> Self {
        let mut registry = Registry::default();
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("errand_build", "Which Errand this is", build);
        meters.server.register(&mut registry);
        meters.engine.register(&mut registry);
        meters.agent.register(&mut registry);
        registry.register(
            "errand_spans",
            "Spans for the collector of traces, by what became of them",
            meters.spans.clone(),
        );
        let stored = Stored::default();
        stored.register(&mut registry);
        Self { registry, stored, db, ambient, asked: Mutex::default() }
    }

    /// What it says now.
    pub(crate) async fn text(&self) -> String {
        self.look().await;
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ok = prometheus_text::encode(&mut text, &self.registry);
        text
    }

    async fn look(&self) {
        // Whoever comes second waits for the same answer.
        let mut asked = self.asked.lock().await;
        let now = self.ambient.steady_ms();
        if asked.is_some_and(|asked| now.saturating_sub(asked) < FRESH_MS) {
            return;
        }
        let asking = self.db.read_slow::<_, StoreError, _>(async |tx| load::load(tx).await);
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Ok(load)) => self.stored.set(&load),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the metrics do without what the store knows");
                self.stored.unset();
            }
            Err(_late) => {
                tracing::warn!("the metrics do without what the store knows: it does not answer in time");
                self.stored.unset();
            }
        }
        *asked = Some(now);
    }
}

impl Stored {
    fn register(&self, registry: &mut Registry) {
        registry.register("errand_store_up", "Whether the store said what it knows", self.up.clone());
        registry.register("errand_runs", "Runs of all nodes that have not ended, by what they do", self.runs.clone());
        registry.register(
            "errand_queue_age_seconds",
            "How long the run that is due longest has waited for a worker",
            self.queue_age.clone(),
        );
        registry.register(
            "errand_webhook_lag_seconds",
            "How long the webhook that is due longest has waited for its try",
            self.webhook_lag.clone(),
        );
    }

    fn set(&self, load: &Load) {
        self.up.set(1);
        for (status, count) in [("pending", load.pending), ("running", load.running), ("waiting", load.waiting)] {
            self.runs.get_or_create(&Moving { status }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.queue_age.set(load.queue_age.as_secs_f64());
        self.webhook_lag.set(load.webhook_lag.as_secs_f64());
    }

    /// Old numbers would be believed.
    fn unset(&self) {
        self.up.set(0);
        self.runs.clear();
        self.queue_age.set(f64::NAN);
        self.webhook_lag.set(f64::NAN);
    }
}

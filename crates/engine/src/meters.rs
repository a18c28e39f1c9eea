//! What the engine counts for whoever watches it: how runs end, how long they wait for a worker, and leases that were lost.

use std::time::Duration;

use domain::runs::Status;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// From a free worker that heard the bell to a queue of minutes.
const DISPATCH_SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0];

/// The counters of one engine. Clones count together.
#[derive(Debug, Clone)]
pub struct Meters {
    ended: Family<Ended, Counter>,
    dispatch: Histogram,
    leases_lost: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    status: &'static str,
}

impl Default for Meters {
    fn default() -> Self {
        Self { ended: Family::default(), dispatch: Histogram::new(DISPATCH_SECONDS), leases_lost: Counter::default() }
    }
}

impl Meters {
    /// Shows these counters in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "errand_runs_ended",
            "Runs that ended here, by how; one that is resumed ends again",
            self.ended.clone(),
        );
        registry.register(
            "errand_dispatch_seconds",
            "From a run's acceptance to its first worker",
            self.dispatch.clone(),
        );
        registry.register("errand_leases_lost", "Workers that found their run's lease gone", self.leases_lost.clone());
    }

    pub(crate) fn ended(&self, status: Status) {
        self.ended.get_or_create(&Ended { status: status.word() }).inc();
    }

    pub(crate) fn dispatched(&self, after: Duration) {
        self.dispatch.observe(after.as_secs_f64());
    }

    pub(crate) fn lease_lost(&self) {
        self.leases_lost.inc();
    }
}

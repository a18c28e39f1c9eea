//! What the server counts for whoever watches it: requests by operation, and what came of webhooks.
//!
//! Only numbers of the whole server, with labels whose values are few whatever clients send: a route is its template from the router's table, never
//! a path.

use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// From the millisecond that a point read takes to the time after which requests are given up.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The route of a request that has none.
const NOWHERE: &str = "none";

/// The counters of the API and of the webhooks. Clones count together.
#[derive(Debug, Clone)]
pub struct Meters {
    requests: Family<Answered, Counter>,
    seconds: Family<Asked, Histogram, fn() -> Histogram>,
    deliveries: Family<Tried, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    method: &'static str,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Tried {
    outcome: &'static str,
}

impl Default for Meters {
    fn default() -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(SECONDS);
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            deliveries: Family::default(),
        }
    }
}

impl Meters {
    /// Shows these counters in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("errand_http_requests", "Requests answered", self.requests.clone());
        registry.register(
            "errand_http_request_seconds",
            "From the head of a request to the head of its answer",
            self.seconds.clone(),
        );
        registry.register(
            "errand_webhook_tries",
            "Tries to deliver a webhook, by what came of them",
            self.deliveries.clone(),
        );
    }

    pub(crate) fn answered(&self, method: &Method, route: Option<&MatchedPath>, status: StatusCode, took: Duration) {
        let (method, route) = (known(method), template(route).to_owned());
        self.seconds.get_or_create(&Asked { method, route: route.clone() }).observe(took.as_secs_f64());
        self.requests.get_or_create(&Answered { method, route, status: status.as_u16() }).inc();
    }

    pub(crate) fn tried(&self, outcome: &'static str) {
        self.deliveries.get_or_create(&Tried { outcome }).inc();
    }
}

/// A route as it may be shown to anybody: ids, names and tokens of the path are not in it.
pub(crate) fn template(route: Option<&MatchedPath>) -> &str {
    route.map_or(NOWHERE, MatchedPath::as_str)
}

/// Methods are whatever clients send; these are all that mean something.
fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

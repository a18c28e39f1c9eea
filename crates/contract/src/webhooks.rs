//! What is sent to the `webhook_url` of a run.
//!
//! The published API names the events and says that the body has `event`, `run_id` and `status`; the rest is ours. Receivers must tell repeated
//! deliveries by the header `webhook-id`, and may get the events of one run in another order than `seq`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::human_requests::HumanRequest;

/// Body of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct WebhookEvent {
    /// `human_request`, `run_completed`, `run_failed` or `run_interrupted`.
    pub event: String,
    /// UUID.
    pub run_id: String,
    /// The run's status with this event.
    pub status: String,
    /// UUID.
    pub agent_id: String,
    /// UUID.
    pub build_id: String,
    /// When it happened: RFC 3339, UTC, milliseconds, `Z`.
    pub timestamp: String,
    /// The number of the event in the run's event stream: 1, 2, 3 …
    pub seq: u64,
    /// What a person is asked, with a `human_request`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HumanRequest")]
    pub human_request: Option<HumanRequest>,
}

/// Answer of `GET /v1/webhooks/dead-letters`, an extension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct DeadLetterPage {
    /// Deliveries that were given up, the newest first.
    pub dead_letters: Vec<DeadLetter>,
    /// How many there are in all.
    pub total: u64,
    /// As asked.
    pub limit: u32,
    /// As asked.
    pub offset: u64,
}

/// A delivery that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct DeadLetter {
    /// The `webhook-id` of the delivery.
    pub id: String,
    /// See [`WebhookEvent::event`].
    pub event: String,
    /// UUID.
    pub run_id: String,
    /// See [`WebhookEvent::seq`].
    pub seq: u64,
    /// When it happened: RFC 3339, UTC, milliseconds, `Z`.
    pub timestamp: String,
    /// How often it was tried.
    pub tries: u32,
    /// What came of the last try.
    pub outcome: String,
    /// Where it was to go.
    pub webhook_url: String,
}

/// Answer of `POST /v1/webhooks/dead-letters/{id}/replay`, an extension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ReplayAnswer {
    /// Always `true`: it is tried again, as if for the first time.
    pub replayed: bool,
}

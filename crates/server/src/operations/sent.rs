//! What is sent to a run's `webhook_url`: each event with the moment it is about. Sent by `server/src/webhooks.rs`.

use contract::webhooks::WebhookEvent;
use schemars::{Schema, SchemaGenerator};

use super::schema_of;

/// One event.
pub(crate) struct Sent {
    /// Its name in `event` of the body.
    pub(crate) event: &'static str,
    /// When it is sent.
    pub(crate) text: &'static str,
    /// The body as it comes, but for its ids and times.
    pub(crate) example: &'static str,
}

/// All events.
pub(crate) const SENT: [Sent; 4] = [
    Sent {
        event: "human_request",
        text: "The run waits for a person: `human_request` is what it asks.",
        example: r#"{"event": "human_request", "run_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e03", "status": "waiting", "agent_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e01", "build_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e02", "timestamp": "2026-11-23T14:00:00.000Z", "seq": 7, "human_request": {"id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e04", "title": "Pay 80 EUR to Acme?", "description": null, "created_at": "2026-11-23T14:00:00.000Z", "type": "approval"}}"#,
    },
    Sent {
        event: "run_completed",
        text: "The run has completed. A message may resume it; then it completes once more, with another `seq`.",
        example: r#"{"event": "run_completed", "run_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e03", "status": "completed", "agent_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e01", "build_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e02", "timestamp": "2026-11-23T14:00:00.000Z", "seq": 12}"#,
    },
    Sent {
        event: "run_failed",
        text: "The run has failed. Its last message says why.",
        example: r#"{"event": "run_failed", "run_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e03", "status": "failed", "agent_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e01", "build_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e02", "timestamp": "2026-11-23T14:00:00.000Z", "seq": 12}"#,
    },
    Sent {
        event: "run_interrupted",
        text: "The run was stopped.",
        example: r#"{"event": "run_interrupted", "run_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e03", "status": "interrupted", "agent_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e01", "build_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e02", "timestamp": "2026-11-23T14:00:00.000Z", "seq": 12}"#,
    },
];

/// What is said of all of them.
pub(crate) const ABOUT: &str = "Errand sends each as a `POST` to the `webhook_url` that the run was started with, signed as \
    [Standard Webhooks](https://www.standardwebhooks.com) has it: `webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `webhook-id`, \
    `webhook-timestamp` and the body with dots between, by the bytes after `whsec_` of the secret (in base64), which the server's operator prints with \
    `errand webhooks secret`. While a secret is being changed there are two signatures with a space between.\n\n\
    An event may come more than once, with the same `webhook-id` and the same bytes, and those of one run in another order than `seq`.";

/// The headers of a delivery beside those of any JSON.
pub(crate) const CARRIED: [(&str, &str, &str); 3] = [
    (
        "webhook-id",
        "msg_0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e03_12",
        "The same at every try of one event, and of no other.",
    ),
    (
        "webhook-timestamp",
        "1795442400",
        "When this try was made, in seconds since 1970. Refuse what is older than a few minutes.",
    ),
    ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "One signature or two."),
];

/// What the receiver's answers mean.
pub(crate) const ANSWERED: [(&str, &str); 3] = [
    ("2XX", "It has arrived."),
    ("410", "Nobody is there any more: nothing else is sent to this URL until a dead letter to it is sent again."),
    (
        "default",
        "Anything else, and no answer within ten seconds: it is sent again, twelve times in three days, and is then a dead letter.",
    ),
];

/// The body of each.
pub(crate) fn body(generator: &mut SchemaGenerator) -> Schema {
    schema_of::<WebhookEvent>(generator)
}

//! What Errand sends to the `webhook_url` of a run: each event, the headers of a delivery, and what its answer means. Sent in
//! `server/src/webhooks/attempt.rs`.
//!
//! They are no operations, since nobody asks for them: the API's document has them under `webhooks`.

use contract::human_requests::{HumanRequest, HumanRequestKind};
use contract::webhooks::WebhookEvent;
use domain::webhooks::{ID, SIGNATURE, TIMESTAMP, pause_ms};

use super::{SchemaOf, schema_of};

/// One kind of event.
pub(crate) struct Delivery {
    /// `event` of its body.
    pub(crate) event: &'static str,
    /// `status` of its body.
    pub(crate) status: &'static str,
    /// When it is sent.
    pub(crate) summary: &'static str,
    /// What follows.
    pub(crate) text: &'static str,
    /// Whether its body has a `human_request`.
    pub(crate) asks: bool,
}

/// All of them.
pub(crate) const DELIVERIES: [Delivery; 4] = [
    ended("run_completed", "completed", "A run was completed", RESUMED),
    ended("run_failed", "failed", "A run failed", "Its last message says why. It takes no more messages."),
    ended("run_interrupted", "interrupted", "A run was interrupted", RESUMED),
    Delivery {
        event: "human_request",
        status: "waiting",
        summary: "A run asks a person and waits",
        text: "The body has what is asked. Answer it with `human_request.respond`.",
        asks: true,
    },
];

const RESUMED: &str = "A message may resume it; then it ends again, with a higher `seq`.";

/// The shape of all their bodies.
pub(crate) const PAYLOAD: SchemaOf = schema_of::<WebhookEvent>;

/// The headers of a delivery: name, what it says, and one as it comes.
pub(crate) const SENT: [(&str, &str, &str); 3] = [
    (
        ID,
        "The id of the delivery, the same at each try. An event may come more than once: tell it by this.",
        "msg_0192f5a17c3e7d109a553f2b8c1d4e03_4",
    ),
    (TIMESTAMP, "When this try was made, in seconds since 1970. Refuse what is minutes old.", "1795442400"),
    (
        SIGNATURE,
        "`v1,` and a signature in base64; several with spaces between while the secret is being changed, of which one must be right.",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
];

/// What a receiver may answer, as OpenAPI writes the status, and what that does.
pub(crate) fn answers() -> [(&'static str, String); 3] {
    let later = format!(
        "Anything else, a redirect too, and no answer within ten seconds: it is sent again with the same `{ID}` and the same bytes, after {}, \
         each up to a fifth shorter or longer; a `retry-after` in seconds is kept to if it is longer, a day at most. Then it is a dead letter.",
        pauses().join(", ")
    );
    [
        ("2XX", "Taken. Nothing of the answer's body is kept, but one of more than 64 KiB is no answer.".to_owned()),
        (
            "410",
            "Nobody is there any more: this is a dead letter, and nothing more is sent to the URL for this team until one of its dead letters is replayed."
                .to_owned(),
        ),
        ("default", later),
    ]
}

/// What is said of all of them.
pub(crate) const ABOUT: &str = "Sent as `POST` to the `webhook_url` that the run was started with. What is to be sent is written down with what it \
    tells of, so no crash loses it. It may come more than once, and events of one run in another order than `seq`.\n\n\
    Deliveries are signed as Standard Webhooks has it, for which there are libraries in most languages: HMAC-SHA256 over `webhook-id`, `.`, \
    `webhook-timestamp`, `.` and the body as it came, with the bytes of the team's secret, which is base64 behind `whsec_`. The operator of the \
    server gets the secret with `errand webhooks secret` and changes it with `errand webhooks rotate`; the API does not show it.";

/// The pauses between tries, in words.
fn pauses() -> Vec<String> {
    // In the middle of what chance makes of them.
    let seconds = (1..).map_while(|tries| pause_ms(tries, 0)).map(|least| least * 5 / 4 / 1000);
    seconds
        .map(|seconds| match seconds {
            ..60 => format!("{seconds} s"),
            60..3_600 => format!("{} min", seconds / 60),
            _ => format!("{} h", seconds / 3_600),
        })
        .collect()
}

impl Delivery {
    /// A body as it comes.
    pub(crate) fn example(&self) -> WebhookEvent {
        let at = "2026-11-23T14:00:00.000Z";
        WebhookEvent {
            event: self.event.to_owned(),
            run_id: "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e03".to_owned(),
            status: self.status.to_owned(),
            agent_id: "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e01".to_owned(),
            build_id: "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e02".to_owned(),
            timestamp: at.to_owned(),
            seq: 4,
            human_request: self.asks.then(|| HumanRequest {
                id: "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e04".to_owned(),
                title: "Pay 80 EUR to Acme?".to_owned(),
                description: Some("Invoice 7 is due tomorrow.".to_owned()),
                created_at: at.to_owned(),
                kind: HumanRequestKind::Approval,
                questions: None,
            }),
        }
    }
}

const fn ended(event: &'static str, status: &'static str, summary: &'static str, text: &'static str) -> Delivery {
    Delivery { event, status, summary, text, asks: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_are_those_that_are_kept() {
        let all = ["5 s", "30 s", "2 min", "10 min", "30 min", "2 h", "5 h", "10 h", "14 h", "18 h", "22 h"];
        assert_eq!(pauses(), all);
    }
}

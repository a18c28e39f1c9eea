//! `dead_letter.…`: deliveries that were given up. Answered in `server/src/dead_letters.rs`.

use contract::webhooks::{DeadLetterPage, ReplayAnswer};

use super::parameters::page;
use super::{Chapter, Operation};

pub(crate) fn list() -> Operation {
    const TEXT: &str = "What could not be delivered to the `webhook_url` of a run, the newest first. Dead letters are kept for 30 days.";
    Operation::of::<DeadLetterPage>("dead_letter.list", Chapter::Webhooks, "List dead letters", TEXT)
        .asks(page)
        .ours()
        .example(
            "limit=20",
            "",
            r#"{
  "dead_letters": [
    {
      "id": "msg_0192f5a17c3e7d109a553f2b8c1d4e03_4",
      "event": "human_request",
      "run_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e03",
      "seq": 4,
      "timestamp": "2026-11-23T14:00:00.000Z",
      "tries": 1,
      "outcome": "410: nobody is there any more",
      "webhook_url": "https://example.com/hook"
    }
  ],
  "total": 1,
  "limit": 20,
  "offset": 0
}"#,
        )
}

pub(crate) fn replay() -> Operation {
    const TEXT: &str = "Has a dead letter sent again, as if for the first time, with the id and the bytes that it had. A URL that has answered 410 is called again from then on.";
    Operation::of::<ReplayAnswer>("dead_letter.replay", Chapter::Webhooks, "Deliver a dead letter again", TEXT)
        .ours()
        .gives(&["not_found"])
        .example("", "", r#"{"replayed": true}"#)
}

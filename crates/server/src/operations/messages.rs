//! `message.…`: the transcript of a run. Answered in `server/src/messages.rs`.

use contract::messages::{MessagePage, PostMessage, PostedMessageAnswer};

use super::parameters::message_page;
use super::{Chapter, Operation};

pub(crate) fn list() -> Operation {
    const TEXT: &str = "What was said, called and returned in a run, the oldest first. An entry once listed never changes or moves, so a \
        reader may go on behind what it has seen.\n\n\
        `type` is `text`, `tool_call`, `tool_result`, `human_request` or `system`; `role` is `user`, `assistant`, `tool` or `system`.";
    Operation::of::<MessagePage>("message.list", Chapter::People, "Read the transcript", TEXT)
        .asks(message_page)
        .lists(&[400, 401, 403, 404, 500])
        .gives(&["not_found"])
        .example(
            "limit=50&offset=0",
            "",
            r#"{
  "messages": [
    {
      "id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e06",
      "type": "text",
      "role": "user",
      "timestamp": "2026-11-23T14:00:00.000Z",
      "text_content": "Sort the invoices of November."
    },
    {
      "id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e03.4",
      "type": "human_request",
      "role": "assistant",
      "timestamp": "2026-11-23T14:00:00.000Z",
      "text_content": "Pay 80 EUR to Acme?\nInvoice 7 is due tomorrow."
    }
  ],
  "total": 2,
  "limit": 50,
  "offset": 0
}"#,
        )
}

pub(crate) fn post() -> Operation {
    const TEXT: &str = "Says something to a run. One that is at work hears it at its next turn; one that is waiting, completed or \
        interrupted goes on with it. Whoever writes to a waiting run instead of answering it has answered it. A run that failed takes no \
        more messages: `run_not_resumable`.";
    Operation::of::<PostedMessageAnswer>("message.post", Chapter::People, "Write to a run", TEXT)
        .takes::<PostMessage>()
        .creates()
        .tells(&["x-errand-warning"])
        .lists(&[400, 401, 403, 404, 500])
        .gives(&["not_found", "run_not_resumable", "run_full"])
        .example(
            "",
            r#"{
  "message": "Leave out the drafts."
}"#,
            r#"{
  "message": {
    "id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e07",
    "type": "text",
    "role": "user",
    "timestamp": "2026-11-23T14:00:00.000Z",
    "text_content": "Leave out the drafts."
  }
}"#,
        )
}

//! `event.…`: the journal of a run as it grows. Answered in `server/src/events.rs`.

use contract::events::Event;
use serde_json::{Value, json};

use super::parameters::query;
use super::{Chapter, Content, Operation, Parameter, schema_of};

pub(crate) fn stream() -> Operation {
    const TEXT: &str = "The journal of a run as Server-Sent Events: `id` is `seq` (1, 2, 3 … without gaps), `event` is the kind of entry, \
        `data` is one line of JSON of the schema `Event`. Each entry comes once and in order, as soon as it is committed. The stream ends \
        when the run has, and when the key is revoked or expires.\n\n\
        After a broken connection send the last `id` as the header `Last-Event-ID`, or as `after`, and the stream goes on behind it. The \
        header wins.";
    Operation::with("event.stream", Chapter::Runs, "Follow a run", TEXT, Content::Events(schema_of::<Event>))
        .ours()
        .asks(after)
        .asks_in_headers(last_event_id)
        .gives(&["not_found"])
        .example(
            "after=4",
            "",
            r#"id: 5
event: claimed
data: {"seq":5,"type":"claimed","run_id":"0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e03","timestamp":"2026-11-23T14:00:00.000Z","data":{"type":"claimed","attempt":1}}

id: 6
event: interrupted
data: {"seq":6,"type":"interrupted","run_id":"0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e03","timestamp":"2026-11-23T14:00:00.000Z","data":{"type":"interrupted","by":"stop_request"}}

"#,
        )
}

fn after() -> Vec<Parameter> {
    const TEXT: &str = "The last entry that the reader has; 0 or nothing for all.";
    vec![query("after", seq(), 4.into(), TEXT)]
}

fn last_event_id() -> Vec<Parameter> {
    const TEXT: &str =
        "The last `id` that the reader has, as browsers send it when they connect again. It wins over `after`.";
    vec![query("Last-Event-ID", seq(), 4.into(), TEXT)]
}

fn seq() -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": i64::MAX})
}

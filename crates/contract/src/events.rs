//! The events of a run on the wire: `GET /v1/runs/{run_id}/events`, a stream of Server-Sent Events.
//!
//! **This is an extension.** The published v1 API has no such operation; a client that must also
//! work elsewhere polls [`crate::messages`] instead.
//!
//! Each entry of the run's journal is sent once, in order: the event id is [`Event::seq`], the event
//! name is [`Event::kind`], the data line is the [`Event`] itself as JSON. `Last-Event-ID` resumes after
//! that seq, and the stream ends when the run has. What the kinds mean belongs to the domain.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// One entry of the journal of a run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Event {
    /// Position in the journal of this run: 1, 2, 3 … without gaps.
    #[schemars(range(min = 1))]
    pub seq: u64,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// The run.
    #[schemars(extend("format" = "uuid"))]
    pub run_id: String,
    /// RFC 3339, UTC, milliseconds, `Z`: when the entry was committed.
    #[schemars(extend("format" = "date-time"))]
    pub timestamp: String,
    /// What belongs to this kind of event.
    #[schemars(with = "Map<String, Value>")]
    pub data: Box<RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_and_survives_the_way_to_a_client() {
        let event = Event {
            seq: 7,
            kind: "tool_call".to_owned(),
            run_id: "r".to_owned(),
            timestamp: "t".to_owned(),
            data: RawValue::from_string(r#"{"text":"a\nb"}"#.to_owned()).expect("JSON"),
        };
        let sent = serde_json::to_string(&event).expect("plain");
        assert_eq!(sent, r#"{"seq":7,"type":"tool_call","run_id":"r","timestamp":"t","data":{"text":"a\nb"}}"#);
        let read: Event = serde_json::from_str(&sent).expect("readable");
        assert_eq!((read.seq, read.data.get()), (7, r#"{"text":"a\nb"}"#));
    }
}

//! `human_request.…`: what runs ask of people. Answered in `server/src/human_requests.rs`.

use contract::human_requests::{Respond, RespondAnswer};

use super::{Chapter, Operation};

pub(crate) fn respond() -> Operation {
    const TEXT: &str = "Answers what a waiting run asks. An approval takes `approved`; a question takes `answers`, each under the text of \
        its question, its header, or its place counted from 0. Of several choices, give the labels with commas between.\n\n\
        The first answer counts. A second one is refused, and so is one that comes after a message or a stop which the run takes first: \
        `request_already_answered`.";
    Operation::of::<RespondAnswer>("human_request.respond", Chapter::People, "Answer a run", TEXT)
        .takes::<Respond>()
        .lists(&[400, 401, 403, 404, 500])
        .gives(&["not_found", "request_already_answered"])
        .example(
            "",
            r#"{
  "approved": true
}"#,
            r#"{
  "human_request": {
    "id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e04",
    "run_id": "0192f5a1-7c3e-7d10-9a55-3f2b8c1d4e03",
    "title": "Pay 80 EUR to Acme?",
    "description": "Invoice 7 is due tomorrow.",
    "response": "approved",
    "responded_at": "2026-11-23T14:00:00.000Z",
    "created_at": "2026-11-23T14:00:00.000Z"
  }
}"#,
        )
}

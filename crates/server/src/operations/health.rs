//! `health.…`: the two probes. Answered in `server/src/health.rs`.

use super::{Chapter, Content, Operation};

pub(crate) fn alive() -> Operation {
    const TEXT: &str = "The process lives and answers.";
    Operation::with("health.alive", Chapter::Server, "Is it alive?", TEXT, Content::Plain).ours().example(
        "",
        "",
        r#"{"status": "ok"}"#,
    )
}

pub(crate) fn ready() -> Operation {
    const TEXT: &str = "The server takes work: it is not going down, and the database answers.";
    Operation::with("health.ready", Chapter::Server, "Is it ready?", TEXT, Content::Plain)
        .ours()
        .gives(&["internal_error"])
        .example("", "", r#"{"status": "ok"}"#)
}

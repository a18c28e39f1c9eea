//! `documentation.…`: the API's own description. Answered in `server/src/documentation.rs`.

use super::{Chapter, Content, Operation};

pub(crate) fn page() -> Operation {
    const TEXT: &str = "All of this as a page for people. It comes from the server itself and asks for nothing else.";
    Operation::with("documentation.page", Chapter::Server, "Read the documentation", TEXT, Content::Page)
        .ours()
        .gives(&["invalid_request"])
}

pub(crate) fn openapi() -> Operation {
    const TEXT: &str = "The API as an OpenAPI 3.1 document. What the published API does not have is marked `x-errand-extension: true`; \
        `x-errand-scope` says what an operation needs of a key.";
    Operation::with("documentation.openapi", Chapter::Server, "OpenAPI 3.1", TEXT, Content::Plain)
        .ours()
        .gives(&["invalid_request"])
}

pub(crate) fn older() -> Operation {
    const TEXT: &str = "The same as an OpenAPI 3.0.3 document, for tools that do not read 3.1.";
    Operation::with("documentation.older", Chapter::Server, "OpenAPI 3.0.3", TEXT, Content::Plain)
        .ours()
        .gives(&["invalid_request"])
}

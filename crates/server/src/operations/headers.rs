//! The headers that answers of the API carry. The published API lists none, so all of them are Errand's own.

/// Each header with what it says.
pub(crate) const HEADERS: [(&str, &str); 11] = [
    ("x-request-id", "The id of the request: the one that it brought, or a new one. The server's log has it, too."),
    ("x-errand-extension", "`true` on every answer of an operation that the published API does not have."),
    (
        "x-errand-normalized",
        "The places of a config that got another meaning than was written, with commas between. Left out if there are none.",
    ),
    (
        "x-errand-warning",
        "What of the request was taken and, as things are, will not do what it says. Left out if there is nothing.",
    ),
    ("idempotent-replayed", "`true` on an answer that was given before to the same request."),
    (
        "x-ratelimit-limit",
        "How many requests the key may make a minute. These three are left out if there is no limit.",
    ),
    ("x-ratelimit-remaining", "How many of them are left."),
    ("x-ratelimit-reset", "When the next minute begins, in seconds since 1970."),
    ("www-authenticate", "`Bearer`: a key is wanted."),
    ("retry-after", "After how many seconds it is worth another try. Left out if that is not known."),
    ("allow", "The methods that the path takes."),
];

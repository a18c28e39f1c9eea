//! The headers that answers of the API carry. The published API lists none, so all of them are Errand's own.

/// Each header with the type of its value, and what it says.
pub(crate) const HEADERS: [(&str, &str, &str); 12] = [
    (
        "x-request-id",
        "string",
        "The id of the request: the one that it brought, or a new one. The server's log has it, too.",
    ),
    ("x-errand-extension", "string", "`true` on every answer of an operation that the published API does not have."),
    (
        "x-errand-normalized",
        "string",
        "The places of a config that got another meaning than was written, with commas between. Left out if there are none.",
    ),
    (
        "x-errand-warning",
        "string",
        "What of the request was taken and, as things are, will not do what it says. Left out if there is nothing.",
    ),
    ("idempotent-replayed", "string", "`true` on an answer that was given before to the same request."),
    (
        "x-ratelimit-limit",
        "integer",
        "How many requests the key may make a minute. These three are left out if there is no limit, and if it is not known whose key it is.",
    ),
    ("x-ratelimit-remaining", "integer", "How many of them are left."),
    ("x-ratelimit-reset", "integer", "When the next minute begins, in seconds since 1970."),
    ("www-authenticate", "string", "`Bearer`: a key is wanted."),
    ("retry-after", "integer", "After how many seconds it is worth another try. Left out if that is not known."),
    ("allow", "string", "The methods that the path takes."),
    ("content-disposition", "string", "`attachment` with the name of the file, percent-encoded as RFC 8187 has it."),
];

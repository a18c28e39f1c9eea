//! The errors of the API: what each status means, and which codes come with it.
//!
//! The statuses themselves are given in `errors.rs`; a test holds every error that any test gets against this table.

/// One status that is no success.
pub(crate) struct Status {
    pub(crate) code: u16,
    /// What it means, for whoever gets it.
    pub(crate) text: &'static str,
    /// The values that `error` of its body may have.
    pub(crate) errors: &'static [&'static str],
    /// Headers that may come with it beside those of every answer.
    pub(crate) headers: &'static [&'static str],
}

/// The table, by number.
pub(crate) const STATUSES: [Status; 17] = [
    Status {
        code: 400,
        text: "The request cannot be understood, or does not fit: its body, an id in the path, a parameter, or the state of the run. The message names the place.",
        errors: &["invalid_request", "agent_has_no_build", "run_not_resumable", "request_already_answered"],
        headers: &[],
    },
    Status {
        code: 401,
        text: "There is no key, or one that is unknown, expired or revoked. This is looked at before anything else.",
        errors: &["invalid_token"],
        headers: &["www-authenticate"],
    },
    Status {
        code: 403,
        text: "The key is good, but has not the scope that this needs; or an upload URL was changed, or has ended.",
        errors: &["insufficient_scope", "invalid_upload_url"],
        headers: &[],
    },
    Status {
        code: 404,
        text: "It is not there, or not this team's; the answer is the same for both.",
        errors: &["not_found"],
        headers: &[],
    },
    Status {
        code: 405,
        text: "The path does not take that method.",
        errors: &["method_not_allowed"],
        headers: &["allow"],
    },
    Status {
        code: 408,
        text: "The body did not arrive in the time there is for it.",
        errors: &["request_timeout"],
        headers: &[],
    },
    Status {
        code: 409,
        text: "A request with this `Idempotency-Key` is being done at this moment.",
        errors: &["idempotency_key_in_use"],
        headers: &["retry-after"],
    },
    Status {
        code: 413,
        text: "The body is larger than what is taken, or the sandbox is full, or the files of the team take up as much as they may, or the run was told as much as it can keep.",
        errors: &["payload_too_large", "run_full", "sandbox_full", "team_full"],
        headers: &[],
    },
    Status {
        code: 414,
        text: "The path with its query string is longer than 8 KiB.",
        errors: &["uri_too_long"],
        headers: &[],
    },
    Status { code: 415, text: "The body is not JSON.", errors: &["unsupported_media_type"], headers: &[] },
    Status {
        code: 422,
        text: "This `Idempotency-Key` was sent with another body in the last 24 hours.",
        errors: &["idempotency_key_reused"],
        headers: &[],
    },
    Status {
        code: 429,
        text: "The key made as many requests this minute as it may; or so many unknown keys are being tried that a key which this server has not seen was not looked for.",
        errors: &["rate_limited"],
        headers: &["retry-after"],
    },
    Status {
        code: 431,
        text: "There are more than 100 headers, or more than 32 KiB of them.",
        errors: &["headers_too_large"],
        headers: &[],
    },
    Status {
        code: 500,
        text: "The server failed. Its log has the cause under the request's id.",
        errors: &["internal_error"],
        headers: &[],
    },
    Status { code: 502, text: "The published API lists it; Errand never answers it.", errors: &[], headers: &[] },
    Status {
        code: 503,
        text: "Not now: the database is away, the server is going down, too many connections are open or too much is being uploaded, or the request took too long. Nothing was done, unless the message says that it may have been.",
        errors: &["unavailable"],
        headers: &["retry-after"],
    },
    Status {
        code: 507,
        text: "The disk is full. Nothing was stored; reading still works.",
        errors: &["storage_full"],
        headers: &[],
    },
];

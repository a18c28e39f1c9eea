//! The errors of the API: each code with its status, what it means, and which operations may answer it.
//!
//! `errors.rs` gives the status of each as well; a test holds every error that any test gets against the list of the operation that gave it.

/// Which operations may answer a code. Any other that may names it: see [`super::Operation::gives`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given {
    /// All: the door can be full, the head of any request too large, and the database away at any time.
    Always,
    /// Those that need a key.
    WithKey,
    /// Those that read a body, be it one that means nothing.
    WithBody,
    /// Those that read one of at most 2 MiB.
    WithSmallBody,
    /// Those that take a body of JSON.
    WithJson,
    /// Those that change something in a key's name, and so can be sent twice and done once.
    Changing,
    /// Those that write, with a key or without.
    Writing,
    /// Those that name it.
    Named,
    /// None: it is of paths.
    OfPaths,
}

/// One error.
pub(crate) struct Code {
    /// `error` of its body.
    pub(crate) name: &'static str,
    pub(crate) status: u16,
    /// What it means, for whoever gets it.
    pub(crate) text: &'static str,
    pub(crate) given: Given,
    /// Headers that may come with it beside those of every answer.
    pub(crate) headers: &'static [&'static str],
}

/// Statuses that are answered before it is known whose key it is, and so without its limit.
pub(crate) const BEFORE_KEYS: [u16; 3] = [401, 414, 431];

/// What a status means that an operation lists and no code comes with.
const NEVER: &str = "The published API lists it; Errand never answers it.";

/// The table, by status.
pub(crate) const CODES: [Code; 23] = [
    code("invalid_request", 400, Given::WithKey).means(
        "The request cannot be understood, or does not fit: its body, an id in the path, a parameter or a header. The message names the place.",
    ),
    code("agent_has_no_build", 400, Given::Named).means("The agent has no build yet, so there is nothing to run."),
    code("run_not_resumable", 400, Given::Named).means("The run has failed and takes no more messages."),
    code("request_already_answered", 400, Given::Named)
        .means("Somebody has answered already, or the run got a message or a stop instead."),
    code("invalid_token", 401, Given::WithKey)
        .means("There is no key, or one that is unknown, expired or revoked. This is looked at before anything else.")
        .with(&["www-authenticate"]),
    code("insufficient_scope", 403, Given::WithKey).means("The key is good, but has not the scope that this needs."),
    code("invalid_upload_url", 403, Given::Named)
        .means("The upload URL was changed, or it has ended, or the key that it was made with has."),
    code("not_found", 404, Given::Named).means("It is not there, or not this team's; the answer is the same for both."),
    code("method_not_allowed", 405, Given::OfPaths)
        .means("The path does not take that method. `allow` names those it takes.")
        .with(&["allow"]),
    code("request_timeout", 408, Given::WithBody)
        .means("The body did not arrive in the time there is for it. The connection is closed."),
    code("idempotency_key_in_use", 409, Given::Changing)
        .means("A request with this `Idempotency-Key` is being done at this moment.")
        .with(&["retry-after"]),
    code("payload_too_large", 413, Given::WithSmallBody).means("The body, or the file that is sent or asked for, is larger than what is taken."),
    code("run_full", 413, Given::Named).means("The run was told as much as it can keep: 16 MiB in all."),
    code("sandbox_full", 413, Given::Named)
        .means("The sandbox holds as much as it may."),
    code("team_full", 413, Given::Named).means("All files of the team together take up as much as they may, or the place of its own files does."),
    code("uri_too_long", 414, Given::Always).means("The path with its query string is longer than 8 KiB."),
    code("unsupported_media_type", 415, Given::WithJson).means("The body is not JSON in UTF-8 as it is, or `Content-Type` does not say so."),
    code("idempotency_key_reused", 422, Given::Changing)
        .means("This `Idempotency-Key` was sent with another body in the last 24 hours."),
    code("rate_limited", 429, Given::WithKey)
        .means(
            "The key made as many requests this minute as it may; or so many unknown keys are being tried that a key which this server has not seen was not looked for.",
        )
        .with(&["retry-after"]),
    code("headers_too_large", 431, Given::Always).means("There are more than 100 headers, or more than 32 KiB of them."),
    code("internal_error", 500, Given::WithKey)
        .means("The server failed. Its log has the cause under the request's id."),
    code("unavailable", 503, Given::Always)
        .means(
            "Not now: the database is away, the server is going down, too many connections or event streams are open or too much is being uploaded, or the request took too long. Nothing was done, unless the message says that it may have been.",
        )
        .with(&["retry-after"]),
    code("storage_full", 507, Given::Writing).means("The disk is full. Nothing was stored; reading still works."),
];

const fn code(name: &'static str, status: u16, given: Given) -> Code {
    Code { name, status, text: "", given, headers: &[] }
}

impl Code {
    const fn means(self, text: &'static str) -> Self {
        Self { text, ..self }
    }

    const fn with(self, headers: &'static [&'static str]) -> Self {
        Self { headers, ..self }
    }
}

/// What an operation may answer beside its success: a status.
pub(crate) struct Failure {
    pub(crate) status: u16,
    /// None if the published API lists a status that Errand never answers.
    pub(crate) codes: Vec<&'static Code>,
    /// Whether the published API does not list it for the operation.
    pub(crate) unlisted: bool,
}

impl Failure {
    /// When it comes.
    pub(crate) fn text(&self) -> String {
        match self.codes.as_slice() {
            [] => NEVER.to_owned(),
            [one] => one.text.to_owned(),
            more => {
                let told: Vec<_> = more.iter().map(|code| format!("`{}`: {}", code.name, code.text)).collect();
                told.join("\n\n")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_goes_by_status_and_says_everything_once() {
        assert!(CODES.is_sorted_by_key(|code| code.status));
        for (at, code) in CODES.iter().enumerate() {
            assert!(!code.text.is_empty(), "{} has no words", code.name);
            assert!(CODES[..at].iter().all(|other| other.name != code.name), "{} twice", code.name);
        }
    }
}

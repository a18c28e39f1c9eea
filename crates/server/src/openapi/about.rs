//! What the document says of the API as a whole: keys, bodies, errors, limits. Every figure is the one by which requests are judged.

use contract::strict_json::{MAX_DEPTH, MAX_NODES, MAX_STRING_BYTES};
use domain::limits::SAID_MAX;
use domain::sandboxes::FILE_MAX;

use crate::body::BODY_MAX;
use crate::connections::HEAD_MAX;
use crate::edge::{LONGEST_ID, URI_MAX};
use crate::events::STREAMS;
use crate::rates::REQUESTS_PER_MINUTE;
use crate::{upload_urls, uploads};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

const COMMON: &str = "Errand runs AI Jobs durably and answers the v1 API of agents, builds, runs and sandboxes.\n\n\
    Send your API key as `Authorization: Bearer dv_…`. A key belongs to one team; what the team does not own does not exist for it.\n\n\
    Bodies are read strictly: an unknown key, a repeated one, a parameter that the operation does not have are refused by name. Lists take \
    `limit` and `offset`; a value outside of what is listed is refused, not clamped. Ids are UUIDs but for those of sandboxes, times are RFC 3339 \
    in UTC with milliseconds. Every GET may be sent as HEAD.\n\n\
    What is marked `x-errand-extension` is Errand's own: a client that must also work elsewhere does without it. `x-errand-narrower` names the \
    keywords of a schema that are, such as `maxLength`.\n\n\
    Every answer that is no success is `{\"error\": code, \"message\": text}`; `x-errand-codes` lists the codes that may come with each status of \
    an operation. Three things are of paths and connections rather than of operations: a method that a path does not take is a 405 \
    `method_not_allowed`, and `allow` names those it takes; what is at no path is a 404 `not_found`; and what is no HTTP/1.1, or of which the \
    head does not arrive in time, is a 400 `invalid_request` or a 408 `request_timeout`, after which the connection is closed.";

/// The description of the document.
pub(super) fn about() -> String {
    format!("{COMMON}\n\n{}\n\n{}", sizes(), counts())
}

/// What a JSON body may have, for whoever is about to send one.
pub(super) fn json_body() -> String {
    format!(
        "At most {} MiB, with at most {MAX_NODES} values, {MAX_DEPTH} levels of nesting and {} MiB in any one text.",
        BODY_MAX / MIB,
        MAX_STRING_BYTES / MIB
    )
}

fn sizes() -> String {
    format!(
        "Sizes: a path with its query string has at most {} KiB (else 414), the head of a request at most 100 headers with {} KiB in all (431). A body \
         of JSON has at most {} MiB (413), and in it at most {MAX_NODES} values, {MAX_DEPTH} levels of nesting and {} MiB in any one text (400). A \
         file has at most {} MiB (413); one that is sent to an upload URL as many bytes as the server is set to. What a run is told has at most {} MiB \
         in all (413 `run_full`).",
        URI_MAX / KIB,
        HEAD_MAX / KIB,
        BODY_MAX / MIB,
        MAX_STRING_BYTES / MIB,
        FILE_MAX / MIB,
        SAID_MAX / MIB,
    )
}

fn counts() -> String {
    format!(
        "Rates: a key may make {REQUESTS_PER_MINUTE} requests a minute unless it or the server is set otherwise; every answer to it says in \
         `x-ratelimit-limit`, `x-ratelimit-remaining` and `x-ratelimit-reset` how it stands. One too many is a 429 with `retry-after` in seconds. At \
         most {} uploads are read at once, and {} files that come by upload URLs, half of each for one team, and a key has at most {STREAMS} \
         event streams open; one more is a 503 with `retry-after`.\n\n\
         Every answer has an `x-request-id`. A request may bring its own, of 1 to {LONGEST_ID} letters, digits and `-_.:/+=`.",
        uploads::PLACES,
        upload_urls::PLACES,
    )
}

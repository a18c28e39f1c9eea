//! How long the texts of requests may be, where the published schemas say nothing.
//!
//! Each figure is the one by which it is judged. Any other text of a JSON body has the bound of `contract::strict_json`.

use contract::strict_json::MAX_STRING_BYTES;
use domain::agents::NAME_MAX;

use crate::runs::WEBHOOK_MAX;

/// A schema, a field of it, and the most characters there.
pub(crate) const LENGTHS: [(&str, &str, usize); 6] = [
    ("CreateAgent", "name", NAME_MAX),
    ("NewBuild", "name", NAME_MAX),
    ("CreateBuild", "name", NAME_MAX),
    ("CreateRun", "message", MAX_STRING_BYTES),
    ("CreateRun", "webhook_url", WEBHOOK_MAX),
    ("PostMessage", "message", MAX_STRING_BYTES),
];

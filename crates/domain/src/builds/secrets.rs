//! Header values of MCP tools: taken out of a config before anything keeps, shows or logs it.
//!
//! Here: [`Secrets`], what was taken out; [`REDACTED`], what stands in its place; and the [`Vault`] that
//! exchanges one for the other while a config is read (contract A9).
//! Not here: encrypting and storing secrets, sending them to a tool server.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::shape::{Cursor, Flaw};

/// Stands for every header value in a served config; submitted again, it means "the one you have".
pub const REDACTED: &str = "[redacted]";

/// Header values in clear, by `server_label`, each bound to the origin it was given for.
///
/// Serialising gives them away: do so only to store them. `Debug` shows nothing.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secrets(BTreeMap<String, Bound>);

/// The header values of one tool.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Bound {
    /// Scheme, host and port of the `server_url` they were given with: they go nowhere else.
    origin: String,
    headers: BTreeMap<String, String>,
}

impl Secrets {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All header values of the tool labelled `server_label`, if they were given for the origin of `server_url`.
    pub fn headers(&self, server_label: &str, server_url: &str) -> Vec<(String, String)> {
        let bound = self.0.get(server_label).filter(|bound| bound.origin == origin(server_url));
        bound.into_iter().flat_map(|bound| bound.headers.clone()).collect()
    }

    /// The value of a header of the tool labelled `server_label`, if it was given for the origin of `server_url`. The label must match
    /// exactly; a header is also found in another spelling of upper and lower case, as HTTP has it.
    pub fn get(&self, server_label: &str, server_url: &str, header: &str) -> Option<&str> {
        let bound = self.0.get(server_label).filter(|bound| bound.origin == origin(server_url))?;
        let headers = &bound.headers;
        let respelled = || {
            let mut named = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(header));
            named.next().map(|(_, value)| value)
        };
        headers.get(header).or_else(respelled).map(String::as_str)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// A copy of a submitted config that differs only in its header values, which are [`REDACTED`].
///
/// It takes any JSON: headers of the wrong type are replaced as a whole.
pub fn redact_submitted(submitted: &Value) -> Value {
    let mut copy = submitted.clone();
    let tools = copy.pointer_mut("/data/tools").and_then(Value::as_array_mut);
    for headers in tools.into_iter().flatten().filter_map(|tool| tool.get_mut("headers")) {
        match headers {
            Value::Null => {}
            Value::Object(fields) => fields.values_mut().for_each(|value| *value = REDACTED.into()),
            other => *other = REDACTED.into(),
        }
    }
    copy
}

/// Collects the secrets of one config while it is read.
pub(super) struct Vault<'p> {
    previous: Option<&'p Secrets>,
    taken: Secrets,
}

impl<'p> Vault<'p> {
    /// An empty vault; `previous` are the secrets of the Assignment's latest Build.
    pub(super) fn new(previous: Option<&'p Secrets>) -> Self {
        Self { previous, taken: Secrets::default() }
    }

    /// What was taken out of the config.
    pub(super) fn into_secrets(self) -> Secrets {
        self.taken
    }

    /// Reads `headers` of the tool `server_label`: keeps the values, returns the names with
    /// [`REDACTED`]. No flaw of it repeats a value.
    pub(super) fn take(
        &mut self,
        server_label: &str,
        server_url: &str,
        headers: &Cursor<'_>,
    ) -> Result<BTreeMap<String, String>, Flaw> {
        let at = headers.clone().hidden();
        let mut values = BTreeMap::new();
        for (name, value) in at.open_object()?.entries() {
            if name.is_empty() || !name.bytes().all(is_token_byte) {
                // Not even its name is repeated: it may be a whole header line, value and all.
                let expected = "HTTP header names as keys: letters, digits and !#$%&'*+-.^_`|~ only";
                return Err(Flaw::new(headers.pointer(), expected));
            }
            values.insert(name.to_owned(), self.value((server_label, server_url), name, &value)?);
        }
        let redacted = values.keys().map(|name| (name.clone(), REDACTED.to_owned())).collect();
        // Labels are what secrets are found by: two tools that share one would mix theirs up.
        let bound = Bound { origin: origin(server_url), headers: values };
        if !bound.headers.is_empty() && self.taken.0.insert(server_label.to_owned(), bound).is_some() {
            let expected = "headers on only one of the tools that share this server_label";
            return Err(Flaw::new(headers.pointer(), expected));
        }
        Ok(redacted)
    }

    fn value(&self, (label, url): (&str, &str), name: &str, at: &Cursor<'_>) -> Result<String, Flaw> {
        let value = at.string()?;
        if value.chars().any(char::is_control) {
            let expected = "a header value without line breaks and other control characters";
            return Err(Flaw::new(at.pointer(), expected));
        }
        if value != REDACTED {
            return Ok(value.to_owned());
        }
        self.previous.and_then(|secrets| secrets.get(label, url, name)).map(str::to_owned).ok_or_else(|| {
            let expected = format!(
                "the real value of this header: {REDACTED} stands for a stored one, and the \
                     latest Build has none for this server_label, the origin of this server_url and this header"
            );
            Flaw::new(at.pointer(), expected)
        })
    }
}

/// Scheme, host and port of a URL as written, in lower case: everything before the path. Two spellings of one origin count as two, which only
/// asks for the value again.
fn origin(url: &str) -> String {
    let authority = url.find("://").map_or(0, |scheme| scheme + 3);
    let end = url[authority..].find(['/', '?', '#', '\\']).map_or(url.len(), |path| authority + path);
    url[..end].to_ascii_lowercase()
}

/// A byte of an HTTP token (RFC 9110, 5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const URL: &str = "https://crm.example/mcp";

    fn take(headers: &Value, previous: Option<&Secrets>) -> Result<Secrets, Flaw> {
        let mut vault = Vault::new(previous);
        vault.take("crm", URL, &Cursor::new(headers, "/headers"))?;
        Ok(vault.into_secrets())
    }

    #[test]
    fn values_go_to_the_vault_and_names_stay() {
        let mut vault = Vault::new(None);
        let headers = json!({"Authorization": "Bearer s3cret"});
        let redacted = vault.take("crm", URL, &Cursor::new(&headers, "/headers")).unwrap();
        assert_eq!(serde_json::to_value(redacted).unwrap(), json!({"Authorization": REDACTED}));
        let secrets = vault.into_secrets();
        assert_eq!(secrets.get("crm", URL, "authorization"), Some("Bearer s3cret"));
        assert_eq!(secrets.get("CRM", URL, "Authorization"), None);
        assert!(!format!("{secrets:?}").contains("s3cret"));
    }

    #[test]
    fn the_redaction_string_brings_back_the_stored_value() {
        let first = take(&json!({"X-Key": "k1"}), None).unwrap();
        let again = take(&json!({"X-Key": REDACTED}), Some(&first)).unwrap();
        assert_eq!(again, first);
        let flaw = take(&json!({"X-Other": REDACTED}), Some(&first)).unwrap_err();
        assert_eq!(flaw.pointer, "/headers/X-Other");
        assert!(take(&json!({"X-Key": REDACTED}), None).is_err());
    }

    #[test]
    fn a_stored_value_goes_to_no_other_origin() {
        let secrets = take(&json!({"X-Key": "k1"}), None).unwrap();
        assert_eq!(secrets.get("crm", "HTTPS://crm.example/other?x#y", "X-Key"), Some("k1"));
        for url in [
            "https://evil.example/mcp",
            "http://crm.example/mcp",
            "https://crm.example:8443/",
            "https://crm.example@evil/",
            "",
        ] {
            assert_eq!(secrets.get("crm", url, "X-Key"), None, "{url}");
        }
    }

    #[test]
    fn bad_headers_are_refused_without_repeating_them() {
        for (headers, pointer) in [
            (json!("s3cret"), "/headers"),
            (json!({"X Key": "s3cret"}), "/headers"),
            (json!({"X-Key: s3cret": ""}), "/headers"),
            (json!({"": "s3cret"}), "/headers"),
            (json!({"X-Key": "s3cret\r\nX-Other: 1"}), "/headers/X-Key"),
            (json!({"X-Key": ["s3cret"]}), "/headers/X-Key"),
            (json!({"X-Key": null}), "/headers/X-Key"),
        ] {
            let flaw = take(&headers, None).unwrap_err();
            assert_eq!(flaw.pointer, pointer);
            assert!(!flaw.to_string().contains("s3cret"), "{flaw}");
        }
    }

    #[test]
    fn two_tools_cannot_keep_headers_under_one_label() {
        let (none, some) = (json!({}), json!({"X-Key": "k1"}));
        let mut vault = Vault::new(None);
        vault.take("crm", URL, &Cursor::new(&none, "/0")).unwrap();
        vault.take("crm", URL, &Cursor::new(&some, "/1")).unwrap();
        assert_eq!(vault.take("crm", URL, &Cursor::new(&some, "/2")).unwrap_err().pointer, "/2");
    }

    #[test]
    fn a_submission_is_kept_but_for_its_header_values() {
        let submitted = json!({"data": {"temperature": null, "tools": [
            {"headers": {"A": "s3cret", "B": 5}}, {"headers": "s3cret"}, {"headers": null}, "odd"]}});
        let expected = json!({"data": {"temperature": null, "tools": [
            {"headers": {"A": REDACTED, "B": REDACTED}}, {"headers": REDACTED}, {"headers": null}, "odd"]}});
        assert_eq!(redact_submitted(&submitted), expected);
        assert_eq!(redact_submitted(&json!([1])), json!([1]));
    }
}

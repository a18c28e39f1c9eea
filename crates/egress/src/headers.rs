//! Which headers a user may give.

use hyper::header::{HeaderName, HeaderValue};

use crate::errors::HeaderFlaw;

/// What belongs to the connection or to whom it leads, which is ours to say.
const OURS: [&str; 9] =
    ["host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect"];
/// What is no secret, and no use to whom it was not meant for: all else stays behind when a redirect leads to another origin.
const HARMLESS: [&str; 4] = ["accept", "accept-encoding", "accept-language", "user-agent"];

/// A header as it may be sent.
pub(crate) fn check(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), HeaderFlaw> {
    let flaw = |why| HeaderFlaw { name: name.to_owned(), why };
    let read = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| flaw("its name has characters that header names do not have, or none"))?;
    if OURS.contains(&read.as_str()) || read.as_str().starts_with("proxy-") {
        return Err(flaw("it belongs to the connection and cannot be set"));
    }
    // The library would take what is not ASCII, which servers read in different ways.
    let plain = Some(value).filter(|value| value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')));
    let mut value = plain
        .and_then(|value| HeaderValue::from_str(value).ok())
        .ok_or_else(|| flaw("its value has characters other than those of ASCII text, such as a line break"))?;
    // Any of them may be a key: nothing that shows headers shows it.
    value.set_sensitive(true);
    Ok((read, value))
}

/// Whether a header may go to another origin than it was given for.
pub(crate) fn is_harmless(name: &HeaderName) -> bool {
    HARMLESS.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_connection_cannot_be_set() {
        for name in
            ["Host", "CONTENT-LENGTH", "Transfer-Encoding", "Connection", "Keep-Alive", "TE", "Trailer", "Upgrade"]
        {
            assert!(check(name, "x").unwrap_err().why.contains("belongs to the connection"), "{name}");
        }
        for name in ["Expect", "Proxy-Authorization", "proxy-connection", "Proxy-"] {
            assert!(check(name, "x").is_err(), "{name}");
        }
    }

    #[test]
    fn a_header_cannot_hold_a_second_one() {
        for (name, value) in [
            ("", "x"),
            ("a b", "x"),
            ("a:", "x"),
            ("a\r\nhost", "x"),
            ("ä", "x"),
            ("a", "x\r\nhost: y"),
            ("a", "x\ny"),
            ("a", "x\ry"),
            ("a", "x\0"),
            ("a", "\u{7f}"),
            ("a", "ä"),
        ] {
            let told = check(name, value).unwrap_err().to_string();
            assert!(told.starts_with("header \"") && !told.contains(['\r', '\n']), "{told}");
        }
    }

    #[test]
    fn what_is_good_is_kept_and_not_shown() {
        let (name, value) = check("X-Api-Key", "sk-1\tb").unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("x-api-key", b"sk-1\tb".as_slice()));
        assert!(!format!("{value:?}").contains("sk-1"));
    }
}

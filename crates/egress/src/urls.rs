//! What a URL must look like, whatever its name resolves to.

use std::net::IpAddr;

use url::{Host, Url};

use crate::errors::UrlFlaw;

/// The longest URL, in bytes.
const LONGEST: usize = 8_192;

/// Reads a URL as it was written.
pub(crate) fn parse(text: &str) -> Result<Url, UrlFlaw> {
    plain(text)?;
    Url::parse(text).map_err(|flaw| UrlFlaw::NoUrl(flaw.to_string()))
}

/// Reads where a redirect leads.
pub(crate) fn join(base: &Url, location: &str) -> Result<Url, UrlFlaw> {
    plain(location)?;
    base.join(location).map_err(|flaw| UrlFlaw::NoUrl(flaw.to_string()))
}

/// The parser would drop or turn these silently, and others who read the same text would not.
fn plain(text: &str) -> Result<(), UrlFlaw> {
    if text.len() > LONGEST {
        return Err(UrlFlaw::TooLong(LONGEST));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(UrlFlaw::Character);
    }
    Ok(())
}

/// The host of a URL: an address as it is meant, or a name that may be asked for.
pub(crate) fn host(url: &Url) -> Result<Host<String>, UrlFlaw> {
    match url.host() {
        Some(Host::Ipv4(v4)) => Ok(Host::Ipv4(v4)),
        Some(Host::Ipv6(v6)) => Ok(match crate::addresses::meant(v6.into()) {
            IpAddr::V4(v4) => Host::Ipv4(v4),
            IpAddr::V6(v6) => Host::Ipv6(v6),
        }),
        Some(Host::Domain(name)) => {
            if !is_name(name) {
                return Err(UrlFlaw::Name);
            }
            if is_local(name) {
                return Err(UrlFlaw::Localhost);
            }
            Ok(Host::Domain(name.to_owned()))
        }
        None => Err(UrlFlaw::Name),
    }
}

/// Letters, digits and hyphens between dots. The parser has made lower case and Punycode of everything else that is a name.
fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// The names that machines have for themselves. Whatever they resolve to would be refused, too, or is opened and better written as it is.
fn is_local(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let whole = ["localhost4", "localhost6", "ip6-localhost", "ip6-loopback", "loopback"];
    whole.contains(&name) || ["localhost", "localdomain", "localdomain4", "localdomain6"].contains(&last)
}

/// Host and port for people: never path and query, which may hold a secret.
pub(crate) fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

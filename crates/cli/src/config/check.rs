//! Which settings are refused, and in which words: by file and key or place, never with what may be a secret.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use domain::limits::Limits;
use domain::master_key::MasterKey;
use egress::Allow;
use storage::{Pooler, PostgresSettings};

use super::{Database, ServerPart};
use crate::master_key::at_hand;

/// Numbers with which no run would ever move.
pub(super) fn engine(engine: engine::Settings, name: &str) -> anyhow::Result<engine::Settings> {
    if !(1..=1_000_000).contains(&engine.concurrency) {
        anyhow::bail!("{name}: engine.concurrency: expected 1 to 1000000 runs at once");
    }
    if engine.lease_ms < 1_000 {
        anyhow::bail!("{name}: engine.lease_ms: expected at least 1000, or every pause of the machine loses runs");
    }
    if engine.deaths < 2 {
        anyhow::bail!("{name}: engine.deaths: expected at least 2, or one crash would end every Job that was at work");
    }
    Ok(engine)
}

/// Limits that no run could keep. Asking again for the right form may be forbidden, so `repairs` is free.
pub(super) fn limits(limits: Limits, name: &str) -> anyhow::Result<Limits> {
    let numbers = [
        ("turns", u64::from(limits.turns)),
        ("tool_calls", u64::from(limits.tool_calls)),
        ("output_bytes", limits.output_bytes),
        ("wall_ms", limits.wall_ms),
        ("tool_ms", limits.tool_ms),
        ("model_tries", u64::from(limits.model_tries)),
    ];
    match numbers.iter().find(|(_, number)| *number == 0) {
        Some((key, _)) => anyhow::bail!("{name}: limits.{key}: expected at least 1, or no run could do anything"),
        None => Ok(limits),
    }
}

/// Connections with which nobody would get in.
pub(super) fn connections(part: &ServerPart, name: &str) -> anyhow::Result<server::Limits> {
    if !(1..=1_000_000).contains(&part.connections) {
        anyhow::bail!("{name}: server.connections: expected 1 to 1000000");
    }
    for (key, secs) in [("keep_alive_secs", part.keep_alive_secs), ("request_secs", part.request_secs)] {
        if !(1..=86_400).contains(&secs) {
            anyhow::bail!("{name}: server.{key}: expected 1 to 86400");
        }
    }
    Ok(server::Limits {
        connections: part.connections,
        per_address: part.connections_per_address,
        keep_alive: Duration::from_secs(part.keep_alive_secs),
        request: Duration::from_secs(part.request_secs),
        ..server::Limits::default()
    })
}

/// A certificate is of no use without its key. What is in the files is looked at when they are used.
pub(super) fn tls(
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    name: &str,
) -> anyhow::Result<Option<(PathBuf, PathBuf)>> {
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some((cert, key))),
        (None, None) => Ok(None),
        (Some(_), None) => anyhow::bail!("{name}: server.tls_key: not there, but tls_cert is; TLS needs both"),
        (None, Some(_)) => anyhow::bail!("{name}: server.tls_cert: not there, but tls_key is; TLS needs both"),
    }
}

/// Where the master key is, if the operator said so: a flag and variables win over the file.
pub(super) fn master_key(
    variable: Option<&str>,
    named: Option<PathBuf>,
    listed: Option<PathBuf>,
) -> anyhow::Result<Option<at_hand::Place>> {
    match (variable, named) {
        (Some(_), Some(_)) => {
            anyhow::bail!(
                "ERRAND_MASTER_KEY: there is --master-key-file (ERRAND_MASTER_KEY_FILE), too; give one of them"
            )
        }
        (Some(text), None) => match MasterKey::parse(text) {
            Ok(key) => Ok(Some(at_hand::Place::Variable(key))),
            Err(wanted) => anyhow::bail!("ERRAND_MASTER_KEY: {wanted}"),
        },
        (None, named) => Ok(named.or(listed).map(at_hand::Place::Named)),
    }
}

/// What is opened for users' URLs. The variable stands in place of the file's list.
pub(super) fn egress(listed: &[String], variable: Option<&str>, name: &str) -> anyhow::Result<Allow> {
    match variable {
        Some(ranges) => ranges.parse().map_err(|flaw| anyhow::anyhow!("ERRAND_EGRESS_ALLOW: {flaw}")),
        None => Allow::read(listed.iter().map(String::as_str))
            .map_err(|flaw| anyhow::anyhow!("{name}: egress.allow: {flaw}")),
    }
}

/// Servers that the operator knows: each a program or a place.
pub(super) fn mcp(known: BTreeMap<String, mcp::Known>, name: &str) -> anyhow::Result<BTreeMap<String, mcp::Known>> {
    for (server, known) in &known {
        known.check().map_err(|flaw| anyhow::anyhow!("{name}: [mcp.{server}]: {flaw}"))?;
    }
    Ok(known)
}

/// An origin and nothing more, since the paths behind it are ours.
pub(super) fn public_url(url: &str, name: &str) -> anyhow::Result<String> {
    let origin = url.strip_suffix('/').unwrap_or(url);
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    anyhow::ensure!(
        !host.is_empty() && host.bytes().all(plain),
        "{name}: server.public_url: expected http:// or https://, a host and perhaps a port, such as https://errand.example.com"
    );
    Ok(origin.to_owned())
}

/// How long an upload URL is good: not for nothing, and not for ever.
pub(super) fn upload_url_lifetime(secs: u64, name: &str) -> anyhow::Result<Duration> {
    const WEEK: u64 = 7 * 24 * 60 * 60;
    anyhow::ensure!((1..=WEEK).contains(&secs), "{name}: sandboxes.upload_url_secs: expected 1 to {WEEK}");
    Ok(Duration::from_secs(secs))
}

/// Where the file is no TOML, and why. Never the line itself, as the error's own words would have it: it may hold a key.
pub(super) fn misspelt(text: &str, name: &str, flaw: &toml::de::Error) -> anyhow::Error {
    let before = flaw.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    anyhow::anyhow!("{name}: line {line}, column {column}: {}", flaw.message().trim().replace('\n', "; "))
}

/// The database that a URL names.
pub(super) fn database(url: &str, connections: usize, pooled: bool, name: &str) -> anyhow::Result<Database> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        if !(3..=1_000).contains(&connections) {
            anyhow::bail!("{name}: database.connections: expected 3 to 1000: to read, to write, to keep leases");
        }
        let mut settings: PostgresSettings = url.parse()?;
        settings.connections = connections;
        settings.pooler = if pooled { Pooler::Transaction } else { Pooler::None };
        return Ok(Database::Postgres(settings));
    }
    let path = url.strip_prefix("sqlite:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
    match path {
        Some(path) if !path.is_empty() && !path.contains('?') && path != ":memory:" => {
            Ok(Database::Sqlite(path.into()))
        }
        Some(_) => anyhow::bail!("the database URL must be sqlite:PATH with the path of a file and nothing after it"),
        // The URL itself may hold a password.
        None => anyhow::bail!(
            "the database URL must be sqlite:PATH, such as sqlite:/var/lib/errand/errand.db, or postgres://user:password@host/database"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_a_file_or_a_server() {
        let read = |url| database(url, 8, false, "errand.toml");
        for (url, place) in [
            ("sqlite:a.db", "a.db"),
            ("sqlite:///v/a.db", "/v/a.db"),
            ("sqlite://a.db", "a.db"),
            ("postgres://u:secret@h/d", "postgres://h:5432/d"),
        ] {
            assert_eq!(read(url).unwrap().to_string(), place);
        }
        for url in ["mysql://u:secret@h/d", "sqlite:", "sqlite::memory:", "sqlite:a?mode=ro", "a.db"] {
            let refusal = read(url).unwrap_err().to_string();
            assert!(refusal.contains("sqlite:PATH") && !refusal.contains("secret"), "{refusal}");
        }
        let refusal = read("postgres://u:secret@h/d?no=such").unwrap_err().to_string();
        assert!(refusal.contains("database URL") && !refusal.contains("secret"), "{refusal}");
    }
}

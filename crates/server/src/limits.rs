//! What a connection may take of the server: how many there may be, and how long each may be silent, slow or at work.
//!
//! Sizes that no operator needs to change stand where they are judged: the URI's in `edge.rs`, the head's in `connections.rs`, bodies' in `body.rs`
//! and `uploads.rs`.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files that connections leave to the database, the files of sandboxes and the way out: this part of them, and [`RESERVE`] at the least.
const RESERVED_PART: u64 = 4;
const RESERVE: u64 = 64;
/// So many connections are taken in any case: a process that may open less can do nothing.
const LEAST: usize = 8;

/// Limits of connections. The defaults are for a server that strangers reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once. One takes some 20 KiB while it works and 50 KiB if it means ill, and each event stream has one.
    pub connections: usize,
    /// Connections of one client address (of one network /64 with IPv6) at once; 0 is any number. Behind a proxy all come from its address.
    pub per_address: usize,
    /// How long a connection may be idle between two requests. Longer than the 60 s that load balancers keep theirs: whoever closes second
    /// loses no request.
    pub keep_alive: Duration,
    /// How long a request may be at work, once its body is there. An event stream counts until it begins.
    pub request: Duration,
    /// How long the head of a request may take, the TLS handshake and the first byte of a connection.
    pub head: Duration,
    /// How long a body may be silent, and the time at its beginning in which it may be slower than [`Limits::body_rate`].
    pub body_idle: Duration,
    /// How many bytes a second a body must bring.
    pub body_rate: u32,
    /// How long a JSON body may take in all. Files have their own: see `uploads.rs`.
    pub body: Duration,
    /// How long a client may take next to nothing of an answer, or of an event stream, that is there for it.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            per_address: 2_048,
            keep_alive: Duration::from_secs(75),
            request: Duration::from_mins(1),
            head: Duration::from_secs(10),
            body_idle: Duration::from_secs(15),
            body_rate: 1_024,
            body: Duration::from_mins(1),
            stall: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// The same with no more connections than this process may have open files for; an address keeps its share.
    #[must_use]
    pub fn within_open_files(self) -> Self {
        let Rlimit { current, .. } = getrlimit(Resource::Nofile);
        let Some(files) = current else { return self };
        let room = room(files);
        if room >= self.connections {
            return self;
        }
        tracing::warn!(
            "this process may have {files} open files, which leaves room for {room} connections instead of {}: raise its limit (ulimit -n, systemd: LimitNOFILE=)",
            self.connections
        );
        let per_address = match self.per_address {
            0 => 0,
            some => (some * room / self.connections).max(1),
        };
        Self { connections: room, per_address, ..self }
    }
}

/// Lets this process have as many open files as the system lets it ask for: the usual limit of 1,024 is there for programs of another age.
pub fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

fn room(files: u64) -> usize {
    let rest = files.saturating_sub(RESERVE.max(files / RESERVED_PART));
    usize::try_from(rest).unwrap_or(usize::MAX).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_to_the_store() {
        for (files, connections) in [(0, 8), (64, 8), (100, 36), (256, 192), (1_024, 768), (1 << 20, 786_432)] {
            assert_eq!(room(files), connections, "{files}");
        }
    }
}

//! The two signals that ask a server to end, SIGTERM and Ctrl-C, and the one that asks it to read its certificate again, SIGHUP.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

/// Signals so soon after one are the same telling: a terminal and whoever was started by it both pass a Ctrl-C on, supervisors send SIGTERM to a
/// process and then to all of its group.
const ONE_TELLING: Duration = Duration::from_millis(500);

/// Both, heard from its making on.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    told: Option<Instant>,
}

impl Signals {
    /// Listens from now on; the system's own handling (death) is off.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            told: None,
        })
    }

    /// Waits until it is told to end, or told once more.
    pub(crate) async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            if self.told.is_none_or(|told| told.elapsed() >= ONE_TELLING) {
                self.told = Some(Instant::now());
                return;
            }
        }
    }
}

/// SIGHUP, which from now on does not end the process.
pub(crate) fn reload() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

//! The two signals that ask a server to end, SIGTERM and Ctrl-C, and the one that asks it to read its certificate again, SIGHUP.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Both, heard from its making on.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on; the system's own handling (death) is off.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next of them.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// SIGHUP, which from now on does not end the process.
pub(crate) fn reload() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

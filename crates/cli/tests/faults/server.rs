//! The program under test as a process: started, killed, frozen, thawed.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

/// The key that opens every server of these tests.
pub(crate) const KEY: &str = "dv_crash-test-0123456789abcdef";

/// The folder that outlives the servers.
pub(crate) struct Home(TempDir);

impl Home {
    /// With the settings for a model at `model_url`, and `settings` beside them.
    pub(crate) fn new(model_url: &str, settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = format!("[server]\nrequests_per_minute = 0\n{settings}\n[providers.compatible]\nbase_url = \"{model_url}\"\n");
        fs::write(folder.path().join("errand.toml"), file).unwrap();
        Self(folder)
    }

    /// Everything that is kept.
    pub(crate) fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("server.log")
    }

    /// What the servers logged, for a test that fails.
    pub(crate) fn logged(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }
}

/// A running server. Dropping it is `kill -9`.
pub(crate) struct Server {
    process: Child,
    says: BufReader<ChildStdout>,
}

impl Server {
    /// Starts it and does not wait for anything.
    pub(crate) fn spawn(home: &Home) -> Self {
        let log: File = OpenOptions::new().create(true).append(true).open(home.log()).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_errand"))
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--data-dir"])
            .arg(home.data())
            .arg("--config")
            .arg(home.0.path().join("errand.toml"))
            .env_clear()
            .env("ERRAND_API_KEY", KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let says = BufReader::new(process.stdout.take().unwrap());
        Self { process, says }
    }

    /// Waits for the line that says where the API is.
    pub(crate) fn address(&mut self, home: &Home) -> String {
        let mut line = String::new();
        while self.says.read_line(&mut line).unwrap() > 0 {
            if let Some((_, address)) = line.split_once("http://") {
                return format!("http://{}", address.trim_end().trim_end_matches("/v1"));
            }
            line.clear();
        }
        panic!("the server did not start: {}", home.logged());
    }

    /// Stops its clock: no thread of it runs until [`Self::thaw`].
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on, not knowing that time has passed.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.process.id().to_string()).status().unwrap();
        assert!(sent.success(), "kill {signal}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already, which is as well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

//! The program under test as a process: started, killed, frozen, thawed, told to end.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The key that opens every server of these tests.
pub(crate) const KEY: &str = "dv_fault-test-0123456789abcdef";

/// How a node is started.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    /// A folder for its data and its log.
    pub(crate) home: PathBuf,
    /// `errand.toml`.
    pub(crate) config: PathBuf,
    /// Variables beside the key.
    pub(crate) env: Vec<(String, String)>,
}

/// A running node. Dropping it is `kill -9`.
pub(crate) struct Node {
    process: Child,
    says: BufReader<ChildStdout>,
    log: PathBuf,
    address: Option<String>,
}

impl Node {
    /// Starts it and does not wait for anything.
    pub(crate) fn spawn(start: &Start) -> Self {
        fs::create_dir_all(&start.home).unwrap();
        let log = start.home.join("server.log");
        let file: File = OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_errand"))
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--data-dir"])
            .arg(start.home.join("data"))
            .arg("--config")
            .arg(&start.config)
            .env_clear()
            .env("ERRAND_API_KEY", KEY)
            .envs(start.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .unwrap();
        let says = BufReader::new(process.stdout.take().unwrap());
        Self { process, says, log, address: None }
    }

    /// Waits for the line that says where the API is; `None` if it ended before it said so.
    pub(crate) fn address(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.address.is_none() && self.says.read_line(&mut line).unwrap() > 0 {
            if let Some((_, address)) = line.split_once("http://") {
                let address = address.split(['/', '\n']).next().unwrap_or_default();
                self.address = Some(format!("http://{address}"));
            }
            line.clear();
        }
        self.address.clone()
    }

    /// The same, where it must come up.
    pub(crate) fn up(&mut self) -> String {
        self.address().unwrap_or_else(|| panic!("the server did not start: {}", logged(&self.log)))
    }

    /// Its number among processes.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Stops its clock: no thread of it runs until [`Self::thaw`].
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on, not knowing that time has passed.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Asks it to end in good order.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Waits for its end; `None` if it has not come in time.
    pub(crate) fn ended(&mut self, patience: Duration) -> Option<ExitStatus> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return Some(status);
            }
            if began.elapsed() > patience {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.process.id().to_string()).status().unwrap();
        assert!(sent.success(), "kill {signal}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may be gone already, which is as well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a log holds, the end of it if it is long.
pub(crate) fn logged(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

//! Starts the binary, as a server and as a client, with no environment but what a test gives.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use testkit::fake_provider::{FakeProvider, Reply};

/// The key of the servers that tests start.
pub(crate) const KEY: &str = "dv_a_key_for_tests_only";

/// What servers on PostgreSQL seal secrets with.
pub(crate) const MASTER_KEY: (&str, &str) = ("ERRAND_MASTER_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");

/// A running `errand serve`.
pub(crate) struct Server {
    child: Child,
    /// Its greeting.
    pub(crate) printed: String,
    /// Its root, without `/v1`.
    pub(crate) url: String,
}

/// A command without environment, except for where programs are.
pub(crate) fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// `errand` with these arguments.
pub(crate) fn errand(arguments: &[&str]) -> Command {
    let mut command = clean(env!("CARGO_BIN_EXE_errand"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What a finished command said: its exit code, standard output and error.
pub(crate) fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

impl Server {
    /// A server on `folder` with [`KEY`].
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[("ERRAND_API_KEY", KEY)])
    }

    /// A server on `folder` whose model is `model`.
    pub(crate) fn with_model(folder: &Path, model: &FakeProvider) -> Self {
        Self::with_model_at(folder, model, "127.0.0.1:0")
    }

    /// The same at a given address.
    pub(crate) fn with_model_at(folder: &Path, model: &FakeProvider, listen: &str) -> Self {
        let provider = [("ANTHROPIC_API_KEY", "secret-provider-key"), ("ANTHROPIC_BASE_URL", &model.url())];
        let server = [("ERRAND_API_KEY", KEY), ("ERRAND_LISTEN", listen)];
        Self::start_with(folder, &[provider, server].concat())
    }

    /// A server on `folder` with exactly these variables; without `ERRAND_LISTEN`, on a free port. Returns once it is ready.
    pub(crate) fn start_with(folder: &Path, variables: &[(&str, &str)]) -> Self {
        Self::start_logging(folder, variables, Stdio::inherit())
    }

    /// The same, with a place for its warnings and errors.
    pub(crate) fn start_logging(folder: &Path, variables: &[(&str, &str)], log: impl Into<Stdio>) -> Self {
        Self::run(errand(&[]), folder, variables, log)
    }

    /// The same in a process that may have just so many open files.
    pub(crate) fn start_with_files(
        files: u32,
        folder: &Path,
        variables: &[(&str, &str)],
        log: impl Into<Stdio>,
    ) -> Self {
        let mut shell = clean("sh");
        let line = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
        shell.args(["-c", &line, env!("CARGO_BIN_EXE_errand")]).stdin(Stdio::null());
        Self::run(shell, folder, variables, log)
    }

    fn run(mut command: Command, folder: &Path, variables: &[(&str, &str)], log: impl Into<Stdio>) -> Self {
        command
            .args(["serve", "--data-dir"])
            .env("ERRAND_LISTEN", "127.0.0.1:0")
            .env("ERRAND_LOG", "warn")
            .arg(folder)
            .envs(variables.iter().copied())
            .current_dir(folder.parent().unwrap());
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let printed = greeting(child.stdout.as_mut().unwrap());
        let url = printed.split_whitespace().find_map(|word| word.strip_suffix("/v1")).expect(&printed).to_owned();
        let server = Self { child, printed, url };
        server.wait_until_ready();
        server
    }

    fn wait_until_ready(&self) {
        let start = Instant::now();
        while !self.raw("/readyz", KEY).starts_with("HTTP/1.1 200") {
            assert!(start.elapsed() < Duration::from_secs(20), "never ready");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// `GET` as bytes go over the wire: status line, headers, body.
    pub(crate) fn raw(&self, path: &str, key: &str) -> String {
        let host = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Sends JSON with the server's key and these headers; the status, and the body of the answer.
    pub(crate) fn send(&self, line: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let host = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let more: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let more = more.concat();
        let length = body.len();
        write!(
            stream,
            "{line} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n{more}\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Waits until a run is in this status.
    pub(crate) fn until_run(&self, run: &str, status: &str) {
        let (start, wanted) = (Instant::now(), format!("\"status\":\"{status}\""));
        loop {
            let body = self.body(&format!("/v1/runs/{run}"));
            if body.contains(&wanted) {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "not {status}: {body}");
            // Often at first, and then so rarely that the key's requests of this minute last.
            std::thread::sleep((start.elapsed() / 10).max(Duration::from_millis(10)));
        }
    }

    /// The body of a `GET`.
    pub(crate) fn body(&self, path: &str) -> String {
        let answer = self.raw(path, KEY);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// A client command against this server with its key.
    pub(crate) fn client(&self, arguments: &[&str]) -> Command {
        let mut command = errand(arguments);
        command.env("ERRAND_BASE_URL", &self.url).env("ERRAND_API_KEY", KEY);
        command
    }

    /// The JSON that a successful client command prints.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let (code, out, err) = said(&self.client(arguments).arg("--json").output().unwrap());
        assert_eq!(code, Some(0), "{arguments:?}: {out}{err}");
        serde_json::from_str(&out).unwrap()
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM and waits.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        assert!(clean("kill").args(["-TERM", &self.pid().to_string()]).status().unwrap().success());
        self.child.wait().unwrap()
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All that a server prints while it starts: what it found of models comes last, and at once.
fn greeting(stdout: &mut ChildStdout) -> String {
    let (mut printed, mut bytes) = (String::new(), [0; 8192]);
    while !printed.contains("  Models  ") {
        let length = stdout.read(&mut bytes).unwrap();
        assert!(length > 0, "it ended: {printed}");
        printed += std::str::from_utf8(&bytes[..length]).unwrap();
    }
    printed
}

/// A command line of the shell at a terminal, which `script` gives it. `typist` sees the screen each time it changes. The exit code, and the
/// whole screen.
pub(crate) fn at_a_terminal(
    line: &str,
    folder: &Path,
    variables: &[(&str, &str)],
    mut typist: impl FnMut(&str, &mut ChildStdin),
) -> (Option<i32>, String) {
    let mut command = clean("script");
    command.args(["-qec", line, "/dev/null"]).env("TMPDIR", folder).envs(variables.iter().copied()).current_dir(folder);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut seen, mut bytes) = (String::new(), [0; 4096]);
    while let Ok(length @ 1..) = screen.read(&mut bytes) {
        seen += &String::from_utf8_lossy(&bytes[..length]);
        typist(&seen, &mut keyboard);
    }
    (child.wait().unwrap().code(), seen)
}

/// A config for a model that the fake provider plays, as a file.
pub(crate) fn config_file(folder: &Path) -> String {
    let path = folder.join("config.json");
    let config =
        r#"{"version": "v2", "data": {"models": {"agent": {"model": "claude-sonnet-4-6"}}, "input": "Say hello."}}"#;
    std::fs::write(&path, config).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A model that plans, asks which greeting, and finishes with the answer it saw.
pub(crate) async fn asking_model() -> FakeProvider {
    let plan = r#"{"items":[{"text":"Say hello","status":"doing"}]}"#;
    let ask = r#"{"kind":"question","title":"Which greeting?","questions":[{"question":"Which greeting?","options":[{"label":"hello"},{"label":"good day"}]}]}"#;
    FakeProvider::with(move |asked| match asked.assistant_turns {
        0 => Reply::text("First a plan.").call("c1", "plan", plan),
        1 => Reply::text("").call("c2", "ask_person", ask),
        _ if asked.body.to_string().contains("good day\\\"}") => {
            Reply::text("").call("c3", "finish", r#"{"result":"good day, world"}"#)
        }
        _ => Reply::text("").call("c3", "finish", r#"{"result":"hello, world"}"#),
    })
    .await
    .unwrap()
}

//! The processes of a running server: started and ready, stopped and gone.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::install::Install;

/// How long anything may take, on a machine that does much else: recovery after a crash is the longest.
const PATIENCE: Duration = Duration::from_mins(2);
const GLANCE: Duration = Duration::from_millis(10);

/// A server that lets people in.
#[derive(Debug)]
pub(super) struct Server {
    process: Child,
    data: PathBuf,
}

impl Server {
    /// Starts it on `dir/data`, and waits until it is ready. What it says goes to `dir/log`.
    pub(super) fn start(install: &Install, dir: &Path, settings: Vec<String>) -> io::Result<Self> {
        let path = dir.join("log");
        let log = OpenOptions::new().append(true).create(true).open(&path)?;
        let data = dir.join("data");
        let mut command = install.server("postgres", dir);
        command.arg("-D").arg(&data);
        for setting in settings {
            command.arg("-c").arg(setting);
        }
        let process = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut server = Self { process, data };
        let started = Instant::now();
        while !server.is_ready() {
            if server.process.try_wait()?.is_some() || started.elapsed() > PATIENCE {
                server.stop(Signal::KILL)?;
                let log = std::fs::read_to_string(path)?;
                return Err(io::Error::other(format!("PostgreSQL did not start; its log: {log}")));
            }
            sleep(GLANCE);
        }
        Ok(server)
    }

    /// Its first process.
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends the signal and waits until all of its processes are gone. `KILL` goes to each of them.
    pub(super) fn stop(&mut self, signal: Signal) -> io::Result<()> {
        // One that has ended by itself is reaped by this question, and its number may be another's.
        if self.process.try_wait()?.is_none() {
            kill_process(Pid::from_child(&self.process), signal)?;
        }
        let started = Instant::now();
        while self.process.try_wait()?.is_none() {
            in_time(started, "PostgreSQL does not stop")?;
            sleep(GLANCE);
        }
        // Its children see that it is gone when they next look up, and as long as one of them lives no new server may start.
        while let left @ [_, ..] = &*working_in(&self.data)? {
            if signal == Signal::KILL {
                for pid in left {
                    let _already_gone = kill_process(*pid, Signal::KILL);
                }
            }
            in_time(started, "a process of PostgreSQL does not end")?;
            sleep(GLANCE);
        }
        Ok(())
    }

    /// PostgreSQL writes into its lock file who holds it (line 1) and how far it is (line 8): a standby that lets readers in is as far as it
    /// gets. After a crash the file is that of the dead one.
    fn is_ready(&self) -> bool {
        let Ok(lock) = std::fs::read_to_string(self.data.join("postmaster.pid")) else { return false };
        let mut lines = lock.lines().map(str::trim);
        lines.next() == Some(&self.pid().to_string()) && matches!(lines.nth(6), Some("ready" | "standby"))
    }
}

/// The processes that have `dir` as their working directory, as all of a PostgreSQL have its data. Only Linux can say.
pub(super) fn working_in(dir: &Path) -> io::Result<Vec<Pid>> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for process in processes {
        let process = process?;
        let pid = process.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        // One that ends meanwhile, or that is somebody else's, cannot be read.
        if let Some(pid) = pid
            && std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == dir)
        {
            all.push(pid);
        }
    }
    Ok(all)
}

fn in_time(started: Instant, otherwise: &str) -> io::Result<()> {
    if started.elapsed() > PATIENCE { Err(io::Error::new(io::ErrorKind::TimedOut, otherwise)) } else { Ok(()) }
}

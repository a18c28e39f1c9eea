//! Servers that the operator's errand.toml names: programs on this machine that speak over their standard input and output.

use std::process::Stdio as Pipe;

use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::failure::Failure;
use crate::servers::Known;

/// A program and all that it starts, ended when this is dropped.
pub(crate) struct Program(Child);

/// Starts it: with an environment of what the operator names and nothing of ours, in a group of its own, so that what it starts ends with it.
pub(crate) fn start(server: &Known) -> Result<(Program, (ChildStdout, ChildStdin)), Failure> {
    let failed = |why: String| Failure::before("mcp_not_started", why);
    let (program, arguments) = server.command.split_first().ok_or_else(|| failed("its command is empty".into()))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(["PATH", "HOME", "LANG"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.envs(&server.env).stdin(Pipe::piped()).stdout(Pipe::piped()).stderr(Pipe::null());
    if let Some(folder) = &server.folder {
        command.current_dir(folder);
    }
    command.process_group(0).kill_on_drop(true);
    // Where the program is is the operator's business: the log has it.
    let mut child = command.spawn().map_err(|error| {
        tracing::warn!(%error, program, "an MCP server cannot be started");
        failed(format!("it cannot be started: {}", error.kind()))
    })?;
    match (child.stdout.take(), child.stdin.take()) {
        (Some(out), Some(into)) => Ok((Program(child), (out, into))),
        _ => Err(failed("it has no standard input and output".into())),
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Its own group: itself, if it still lives, and whatever it left behind.
        let group = self.0.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(group) = group {
            let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

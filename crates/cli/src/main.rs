//! # cli
//!
//! **Holds** the binary `errand`, the only place where the rooms meet: [`serve`] and [`demo`] wire them, the other commands are clients of
//! the API ([`agents`], [`builds`], [`runs`], [`files`], [`sandboxes`]) or of the data folder ([`teams`], [`keys`], [`master_key`], [`audit`], [`webhooks`], [`backup`], [`restore`], [`doctor`]).
//!
//! **May** wire, print, choose exit codes. **May not** hold rules: what a run does is decided in `domain`.
//!
//! Exit codes: 0 done; 1 anything else, a wrong command line included; 2 no key or a refused one (401); 3 not there (404); 70 the disk of
//! a server's database is in doubt.

mod agents;
mod ambient;
mod ask;
mod audit;
mod backup;
mod builds;
mod client;
mod config;
mod demo;
mod doctor;
mod files;
mod folders;
mod follow;
mod hints;
mod keys;
#[cfg(feature = "faults")]
mod ledger;
mod logs;
mod master_key;
mod meters;
mod office;
mod paint;
mod restore;
mod runs;
mod sandboxes;
mod serve;
mod signals;
mod span;
mod table;
mod teams;
mod telemetry;
mod traces;
mod transcript;
mod webhooks;
mod wire;

use std::process::ExitCode;

use agent::tools::pdf::{READER_ARGUMENT, child as pdf_reader};
use clap::builder::Resettable;
use clap::{Arg, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::client::{Failure, Noun};

/// Runs Assignments: configured AI workers, on your own machine.
#[derive(Parser)]
#[command(name = "errand", version, subcommand_required = true, arg_required_else_help = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Teams(teams::Teams),
    Keys(keys::Keys),
    MasterKey(master_key::Command),
    Audit(audit::Audit),
    Webhooks(webhooks::Webhooks),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Doctor(doctor::Doctor),
    /// Assignments: list them, look at one, create one.
    Agents(Noun<agents::Action>),
    /// Builds: the numbered versions of an Assignment.
    Builds(Noun<builds::Action>),
    /// Jobs: start one, follow it, answer it, read what it did.
    Runs(Noun<runs::Action>),
    /// Files of the team: keep one, list them, fetch one, remove one. Builds name them in `files`.
    Files(Noun<files::Action>),
    /// Sandboxes: give a Job its files, fetch what it wrote.
    Sandboxes(Noun<sandboxes::Action>),
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == READER_ARGUMENT) && arguments.next().is_none() {
        return pdf_reader::main();
    }
    let line = without_empty_variables(CommandLine::command()).try_get_matches();
    match line.and_then(|line| CommandLine::from_arg_matches(&line)) {
        Ok(line) => ending(run(line.command)),
        Err(usage) => {
            // Nowhere else to say it if this fails.
            let _ = usage.print();
            ExitCode::from(u8::from(usage.use_stderr()))
        }
    }
}

/// An empty variable says nothing: compose files and unit files cannot leave one out.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    let deaf = |arg: Arg| if is_empty(&arg) { arg.env(Resettable::Reset) } else { arg };
    command.mut_args(deaf).mut_subcommands(without_empty_variables)
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        match command {
            Command::Serve(serve) => serve.run().await,
            Command::Demo(demo) => demo.run().await,
            Command::Teams(teams) => teams.run().await,
            Command::Keys(keys) => keys.run().await,
            Command::MasterKey(command) => command.run().await,
            Command::Audit(audit) => audit.run().await,
            Command::Webhooks(webhooks) => webhooks.run().await,
            Command::Backup(backup) => backup.run().await,
            Command::Restore(restore) => restore.run().await,
            Command::Doctor(doctor) => doctor.run().await,
            Command::Agents(noun) => noun.run(agents::Action::run).await,
            Command::Builds(noun) => noun.run(builds::Action::run).await,
            Command::Runs(noun) => noun.run(runs::Action::run).await,
            Command::Files(noun) => noun.run(files::Action::run).await,
            Command::Sandboxes(noun) => noun.run(sandboxes::Action::run).await,
        }
    });
    // Whatever still blocks has had its grace.
    runtime.shutdown_background();
    done
}

fn ending(done: anyhow::Result<ExitCode>) -> ExitCode {
    let error = match done {
        Ok(code) => return code,
        Err(error) => error,
    };
    let broken_pipe = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::BrokenPipe;
    if error.downcast_ref::<std::io::Error>().is_some_and(broken_pipe) {
        // Whoever read us has read enough, as in `errand runs list | head -1`.
        return ExitCode::SUCCESS;
    }
    eprintln!("errand: {error:#}");
    ExitCode::from(error.downcast_ref::<Failure>().map_or(1, Failure::exit_code))
}

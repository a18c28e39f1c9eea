//! # bench
//!
//! **Holds** the measurements behind Errand's aims of speed and size, each printed beside its aim: `docs/bench.md` says what every row means.
//!
//! **May** wire the rooms as `cli` does, and start processes. **May not** be a dependency of anything, nor measure with the client's CPU in the
//! figure: the server under test is this same binary, started again as a child ([`child`]).
//!
//! Start at `rows.rs`: the list of what is measured. `load.rs` makes the requests, `report.rs` prints.

mod ambient;
mod bare;
mod child;
mod history;
mod http;
mod load;
mod process;
mod report;
mod rows;
mod seed;
mod store;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum as _};

use crate::child::Role;
use crate::report::Report;
use crate::rows::{Part, Plan};

/// Measures Errand on this machine, over loopback, and prints each figure beside its aim.
#[derive(Parser)]
#[command(name = "errand-bench", args_conflicts_with_subcommands = true)]
struct CommandLine {
    /// Print one JSON array at the end instead of a line as each row is measured.
    #[arg(long)]
    json: bool,
    /// Everything, and also list among 1,000,000 agents: filling that database takes minutes and about 3 GB.
    #[arg(long)]
    full: bool,
    /// Measure only this part; may be given several times.
    #[arg(long = "only", value_enum, value_name = "PART")]
    parts: Vec<Part>,
    /// How many seconds each steady load lasts.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Where the databases are made, and removed again; it must be on the kind of disk that is to be measured [default: the temporary folder].
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// The server whose start and idle memory are measured [default: `errand` beside this program].
    #[arg(long, value_name = "PATH")]
    errand: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// The process that is measured; the bench starts it by itself. It ends when its standard input does.
    #[command(hide = true)]
    ServeChild {
        #[command(subcommand)]
        role: Role,
    },
}

fn main() -> anyhow::Result<()> {
    let line = CommandLine::parse();
    if let Some(Command::ServeChild { role }) = line.command {
        return child::serve(role);
    }
    let asked = line.full || !line.parts.is_empty();
    let unnamed = if line.full { Part::value_variants() } else { &Part::USUAL };
    let parts = if line.parts.is_empty() { unnamed.to_vec() } else { line.parts };
    let plan = Plan {
        full: line.full,
        asked,
        steady: Duration::from_secs(line.seconds.max(1)),
        dir: line.dir.unwrap_or_else(std::env::temp_dir),
        errand: line.errand.map_or_else(beside, Ok)?,
    };
    let mut report = Report::new(line.json);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(async {
        for part in parts {
            rows::measure(part, &plan, &mut report).await?;
        }
        anyhow::Ok(())
    });
    runtime.shutdown_background();
    measured?;
    report.finish()
}

fn beside() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("where this program is")?;
    Ok(own.with_file_name("errand"))
}

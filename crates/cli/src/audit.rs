//! `errand audit`: the log of all changes, checked or printed. What a row says and how it is tied to the one before is in `domain::audit`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use domain::TeamId;
use domain::audit::{BEGINNING, Entry, Hash};
use serde_json::json;
use storage::{Db, audit, teams};

use crate::config::Place;
use crate::{office, paint};

/// Rows read at once.
const PAGE: u32 = 1_000;

/// The audit log: one row for each change, tied to the one before. Works on the database, beside a running server.
#[derive(Args)]
pub(crate) struct Audit {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Checks each team's whole chain, and prints where it ends. Exit code 1 if a row was changed, taken out or moved.
    Verify {
        /// An end that was printed before (NUMBER:HASH of one team): shows also rows that were cut off since.
        #[arg(long, value_name = "NUMBER:HASH", requires = "team")]
        end: Option<String>,
        /// One team, by name or id; without it all.
        #[arg(long)]
        team: Option<String>,
    },
    /// Prints a team's rows as JSON lines, oldest first.
    Export {
        /// The team, by name or id [default: the first]
        #[arg(long)]
        team: Option<String>,
        /// Only rows behind this number.
        #[arg(long, default_value_t = 0)]
        after: u64,
    },
}

impl Audit {
    /// Does it.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let Self { place, action } = self;
        office::at(&place, async move |db| match action {
            Action::Verify { end, team } => verify(db, end.as_deref(), team.as_deref()).await,
            Action::Export { team, after } => export(db, team.as_deref(), after).await,
        })
        .await?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn verify(db: &Db, end: Option<&str>, team: Option<&str>) -> anyhow::Result<String> {
    let teams = match team {
        Some(team) => vec![office::team(db, Some(team)).await?],
        None => db.read(async |tx| teams::all(tx).await).await?,
    };
    let mut said = String::new();
    for team in teams {
        let mut wanted = end;
        let mut last = (0, BEGINNING);
        while let Some(entries) = rows(db, team.id, last.0).await? {
            for entry in entries {
                anyhow::ensure!(
                    entry.follows(last),
                    "team {:?}: row {} does not follow row {}: it was changed, moved, or what stood between was taken out",
                    team.name,
                    entry.seq,
                    last.0
                );
                last = (entry.seq, entry.hash);
                if wanted == Some(text_of(last).as_str()) {
                    wanted = None;
                }
            }
        }
        if let Some(wanted) = wanted {
            anyhow::bail!(
                "team {:?}: row {wanted} is not there any more: the chain was cut or written anew",
                team.name
            );
        }
        // Writing into a string cannot fail.
        let _ = writeln!(said, "team {:?}: {} rows are in order, the end is {}", team.name, last.0, text_of(last));
    }
    Ok(said)
}

async fn export(db: &Db, team: Option<&str>, after: u64) -> anyhow::Result<String> {
    let team = office::team(db, team).await?.id;
    let mut last = after;
    while let Some(entries) = rows(db, team, last).await? {
        let mut lines = String::new();
        for entry in entries {
            last = entry.seq;
            let _ = writeln!(lines, "{}", line(&entry));
        }
        // A page at a time: the log may be long.
        paint::print(&lines)?;
    }
    Ok(String::new())
}

/// The rows behind a number; `None` at the end.
async fn rows(db: &Db, team: TeamId, after: u64) -> anyhow::Result<Option<Vec<Entry>>> {
    let entries = db.read_slow(async move |tx| audit::page(tx, team, after, PAGE).await).await?;
    Ok(Some(entries).filter(|entries| !entries.is_empty()))
}

fn line(entry: &Entry) -> serde_json::Value {
    json!({
        "team": entry.team,
        "seq": entry.seq,
        "at": entry.at.to_string(),
        "who": entry.who,
        "what": entry.what,
        "object": entry.object,
        "before": entry.before.map(|hash| hex(&hash)),
        "after": entry.after.map(|hash| hex(&hash)),
        "request_id": entry.request_id,
        "hash": hex(&entry.hash),
    })
}

fn text_of((seq, hash): (u64, Hash)) -> String {
    format!("{seq}:{}", hex(&hash))
}

fn hex(hash: &Hash) -> String {
    hash.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

//! `errand teams`: the tenants of a server. What belongs to one is invisible to all others.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use domain::{Ambient, TeamId};
use serde_json::{Value, json};
use storage::Db;
use storage::teams::{self, Team};

use crate::ambient::SystemAmbient;
use crate::backup::size;
use crate::config::Place;
use crate::{office, table, wire};

/// Teams: make one, list them. Works on the database, beside a running server.
#[derive(Args)]
pub(crate) struct Teams {
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// A new team. It has no keys yet: `errand keys create --team NAME` makes one.
    Create {
        /// What people call it.
        name: String,
    },
    /// All teams, oldest first. Commands without `--team` mean the first one.
    List,
}

impl Teams {
    /// Does it.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let Self { place, json, action } = self;
        office::at(&place, async move |db| match action {
            Action::Create { name } => create(db, name, json).await,
            Action::List => list(db, json).await,
        })
        .await?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn create(db: &Db, name: String, as_json: bool) -> anyhow::Result<String> {
    anyhow::ensure!(!name.trim().is_empty() && name.chars().count() <= 200, "a team's name has 1 to 200 characters");
    anyhow::ensure!(
        name.parse::<TeamId>().is_err(),
        "{name} looks like a team's id, and --team takes both: choose another name"
    );
    let ambient = SystemAmbient::new();
    let now = ambient.now();
    let team = Team { id: TeamId(ambient.id(now)), name, created_at: now, file_bytes: 0 };
    let new = team.clone();
    let taken = db.write(async move |tx| {
        teams::hold(tx).await?;
        let taken = teams::all(tx).await?.iter().any(|team| team.name == new.name);
        if !taken {
            wire::found_team(tx, new.id, &new.name, now).await?;
        }
        Ok::<_, storage::StoreError>(taken)
    });
    anyhow::ensure!(!taken.await?, "there is a team called {:?} already", team.name);
    Ok(if as_json {
        format!("{}\n", document(&team))
    } else {
        table::fields(&[("id", team.id.to_string()), ("name", team.name)])
    })
}

async fn list(db: &Db, as_json: bool) -> anyhow::Result<String> {
    let teams = db.read(async |tx| teams::all(tx).await).await?;
    if as_json {
        return Ok(format!("{}\n", json!({ "teams": teams.iter().map(document).collect::<Vec<_>>() })));
    }
    let rows = teams.into_iter().map(|team| {
        let Team { id, name, created_at, file_bytes } = team;
        [id.to_string(), created_at.to_string(), size(file_bytes), name]
    });
    Ok(table::rows(["ID", "CREATED", "FILES", "NAME"], rows))
}

fn document(team: &Team) -> Value {
    json!({ "id": team.id, "name": team.name, "created_at": team.created_at.to_string(), "file_bytes": team.file_bytes })
}

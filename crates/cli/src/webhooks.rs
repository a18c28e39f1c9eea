//! `errand webhooks`: the secrets that receivers check deliveries with, and the deliveries that were given up.

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use domain::webhooks::{DeliveryId, Secret};
use domain::{Ambient, TeamId};
use serde_json::{Value, json};
use storage::webhooks::{self, Dead};
use storage::{Db, StoreError, settings};

use crate::ambient::SystemAmbient;
use crate::client::Failure;
use crate::config::{Config, Place};
use crate::master_key::at_hand;
use crate::serve::environment;
use crate::span::Span;
use crate::{office, table, wire};

/// Webhooks: the secret of their signatures, and what could not be delivered. Works on the database, beside a running server.
#[derive(Args)]
pub(crate) struct Webhooks {
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Whose, by name or id [default: the first team]
    #[arg(long, global = true)]
    team: Option<String>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Prints the secrets that receivers check signatures with, the newest first. Deliveries are signed with each of them.
    Secret,
    /// Makes a new secret. The old one signs beside it until the time is over.
    Rotate {
        /// How long the old one still signs.
        #[arg(long, value_name = "SPAN", default_value = "24h")]
        grace: Span,
    },
    /// Deliveries that were given up, the newest first.
    Dead {
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// How many to leave out before them.
        #[arg(long, default_value_t = 0)]
        offset: u64,
    },
    /// Delivers again what was given up.
    Replay {
        /// Ids, as listed.
        #[arg(required = true)]
        ids: Vec<DeliveryId>,
    },
}

impl Webhooks {
    /// Does it.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let Self { place, json, team, action } = self;
        let config = Config::load(&place, None, &environment)?;
        office::with(&config, async |db| {
            let team = office::team(db, team.as_deref()).await?.id;
            match action {
                Action::Secret => secrets(&config, db, team, json).await,
                Action::Rotate { grace } => rotate(&config, db, team, grace, json).await,
                Action::Dead { limit, offset } => dead(db, team, (limit, offset), json).await,
                Action::Replay { ids } => replay(db, team, &ids, json).await,
            }
        })
        .await?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn secrets(config: &Config, db: &Db, team: TeamId, as_json: bool) -> anyhow::Result<String> {
    let ambient = Arc::new(SystemAmbient::new());
    let now = ambient.now();
    let keys = at_hand::look(config, db, ambient).await?;
    let read = db.read::<_, StoreError, _>(async |tx| {
        Ok((settings::server_key(tx, &keys).await?, webhooks::generations(tx, team, now).await?))
    });
    let (key, generations) = read.await?;
    let key =
        key.ok_or_else(|| anyhow::anyhow!("there are no secrets yet; `errand serve` makes them at its first start"))?;
    let shown: Vec<_> = generations.into_iter().map(|number| Secret::derive(&key, team, number).shown()).collect();
    Ok(if as_json { format!("{}\n", json!({ "secrets": shown })) } else { shown.join("\n") + "\n" })
}

async fn rotate(config: &Config, db: &Db, team: TeamId, grace: Span, as_json: bool) -> anyhow::Result<String> {
    let now = SystemAmbient::new().now();
    db.write(async move |tx| {
        webhooks::rotate(tx, team, now.plus_ms(grace.0)).await?;
        wire::note(tx, team, now, "webhook_secret.rotate", team, None).await
    })
    .await?;
    secrets(config, db, team, as_json).await
}

async fn dead(db: &Db, team: TeamId, page: (u32, u64), as_json: bool) -> anyhow::Result<String> {
    let (dead, total) = db.read_slow(async move |tx| webhooks::dead(tx, team, page.0, page.1).await).await?;
    if as_json {
        let dead: Vec<_> = dead.iter().map(document).collect();
        return Ok(format!("{}\n", json!({ "dead_letters": dead, "total": total })));
    }
    let rows = dead
        .into_iter()
        .map(|dead| [dead.id.to_string(), dead.event, dead.at.to_string(), dead.tries.to_string(), dead.outcome]);
    Ok(table::rows(["ID", "EVENT", "AT", "TRIES", "OUTCOME"], rows))
}

async fn replay(db: &Db, team: TeamId, ids: &[DeliveryId], as_json: bool) -> anyhow::Result<String> {
    let now = SystemAmbient::new().now();
    for id in ids.iter().copied() {
        let replayed = db.write(async move |tx| {
            let replayed = webhooks::replay(tx, team, id).await?;
            if replayed {
                wire::note(tx, team, now, "webhook.replay", id, None).await?;
            }
            Ok::<_, StoreError>(replayed)
        });
        if !replayed.await? {
            let told = format!("no delivery {id} that was given up; `errand webhooks dead` shows them");
            return Err(Failure::NotFound(told).into());
        }
    }
    Ok(if as_json {
        format!("{}\n", json!({ "replayed": ids.iter().map(ToString::to_string).collect::<Vec<_>>() }))
    } else {
        format!("{} to be delivered again, within some seconds if a server runs\n", ids.len())
    })
}

fn document(dead: &Dead) -> Value {
    json!({
        "id": dead.id.to_string(),
        "event": dead.event,
        "run_id": dead.id.run,
        "seq": dead.id.seq,
        "timestamp": dead.at.to_string(),
        "tries": dead.tries,
        "outcome": dead.outcome,
        "webhook_url": dead.url,
    })
}

//! `errand keys`: API keys, in the data folder itself, since the API has no operation for them. Works beside a running server, which looks
//! each key up at each request.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use domain::api_keys::{self, ApiKey};
use domain::{Ambient, ApiKeyId, TeamId};
use serde_json::{Value, json};
use storage::{Db, MIGRATIONS, teams};

use crate::ambient::SystemAmbient;
use crate::client::Failure;
use crate::config::{Config, Database, Place};
use crate::serve::environment;
use crate::{paint, table, wire};

/// API keys: make one, list them, revoke one. Works on the data folder, beside a running server.
#[derive(Args)]
pub(crate) struct Keys {
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
    /// A new key. It is shown this once; only its hash is kept.
    Create {
        /// What it is for.
        #[arg(long, default_value = "made on the command line")]
        name: String,
    },
    /// All keys, oldest first, without their secrets.
    List,
    /// Refuses a key from now on.
    Revoke {
        /// Its id, as listed.
        id: ApiKeyId,
    },
}

impl Keys {
    /// Does it.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(&self.place, None, &environment)?;
        if let Database::Sqlite(path) = &config.database
            && !path.exists()
        {
            anyhow::bail!("{}: no database there; `errand serve` makes it at its first start", path.display());
        }
        let (db, _) = wire::open_database(&config.database).await?;
        let shown = act(&db, self.action, self.json).await;
        db.close().await;
        paint::print(&shown?)?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn act(db: &Db, action: Action, as_json: bool) -> anyhow::Result<String> {
    db.require_schema(MIGRATIONS).await?;
    let Some(team) = db.read(async |tx| teams::first(tx).await).await? else {
        anyhow::bail!("there is no team yet; `errand serve` makes it at its first start");
    };
    match action {
        Action::Create { name } => create(db, team, name, as_json).await,
        Action::List => list(db, team, as_json).await,
        Action::Revoke { id } => revoke(db, team, id, as_json).await,
    }
}

async fn create(db: &Db, team: TeamId, name: String, as_json: bool) -> anyhow::Result<String> {
    let ambient = SystemAmbient::new();
    let mut secret = [0; 32];
    ambient.random(&mut secret);
    let secret = api_keys::from_random(secret);
    let now = ambient.now();
    let id = ApiKeyId(ambient.id(now));
    let key = ApiKey { id, team, name, hash: api_keys::hash(&secret), created_at: now, revoked_at: None };
    let mut shown = document(&key);
    db.write(async move |tx| storage::api_keys::insert(tx, &key).await).await?;
    if as_json {
        shown["key"] = Value::String(secret);
        return Ok(format!("{shown}\n"));
    }
    Ok(format!(
        "{}\nThis key is shown only this once.\n",
        table::fields(&[("id", id.to_string()), ("key", secret)]).trim_end()
    ))
}

async fn list(db: &Db, team: TeamId, as_json: bool) -> anyhow::Result<String> {
    let keys = db.read(async |tx| storage::api_keys::list(tx, team).await).await?;
    if as_json {
        return Ok(format!("{}\n", json!({ "keys": keys.iter().map(document).collect::<Vec<_>>() })));
    }
    let rows = keys.into_iter().map(|key| {
        let revoked = key.revoked_at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        [key.id.to_string(), key.name, key.created_at.to_string(), revoked]
    });
    Ok(table::rows(["ID", "NAME", "CREATED", "REVOKED"], rows))
}

async fn revoke(db: &Db, team: TeamId, id: ApiKeyId, as_json: bool) -> anyhow::Result<String> {
    let now = SystemAmbient::new().now();
    if !db.write(async move |tx| storage::api_keys::revoke(tx, team, id, now).await).await? {
        return Err(Failure::NotFound(format!("no valid key {id}; `errand keys list` shows them")).into());
    }
    Ok(if as_json {
        format!("{}\n", json!({ "id": id, "revoked_at": now.to_string() }))
    } else {
        format!("revoked {id}\n")
    })
}

fn document(key: &ApiKey) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "created_at": key.created_at.to_string(),
        "revoked_at": key.revoked_at.map(|at| at.to_string()),
    })
}

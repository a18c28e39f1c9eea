//! `errand master-key`: the operator's key that secrets are sealed with. Another one comes into use in four steps: `new`, `add`, each node is started
//! with it, `only`. Where the key is, is in `at_hand.rs`.

pub(crate) mod at_hand;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use domain::master_key::MasterKey;
use serde_json::json;
use storage::master_keys::{self, Keyring};
use storage::{Db, StoreError};

use crate::ambient::SystemAmbient;
use crate::config::{Config, Database, Place};
use crate::serve::environment;
use crate::{office, paint, table, wire};

/// Secrets that are sealed anew in one transaction.
const BATCH: u32 = 100;

/// The key that secrets in the database are sealed with: make one, see which ones open them, change to another.
#[derive(Args)]
pub(crate) struct Command {
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
    /// Prints a fresh key. Nothing is changed.
    New,
    #[command(flatten)]
    Kept(Kept),
}

/// What is done to the keys that the database knows.
#[derive(Subcommand)]
enum Kept {
    /// The keys that open the secrets, by their ids, and which of them is at hand.
    List,
    /// Lets another key open the secrets, beside those that do. Then start each node with it.
    Add {
        /// The file it is in.
        file: PathBuf,
    },
    /// Makes the key at hand the only one, and seals everything anew. Nodes that were not started with it can no longer use secrets.
    Only,
    /// Gives up all secrets, where the key that they were sealed with is lost: header values of MCP tools, the secrets of webhooks, upload URLs.
    /// Everything else stays. No server may run.
    Forget {
        /// The key is lost.
        #[arg(long, required = true)]
        lost: bool,
    },
}

impl Command {
    /// Does it.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let Self { place, json, action } = self;
        match action {
            Action::New => new(json)?,
            Action::Kept(kept) => {
                let config = Config::load(&place, None, &environment)?;
                let act = async |db: &Db| match kept {
                    Kept::List => list(&config, db, json).await,
                    Kept::Add { file } => add(&config, db, &at_hand::read_file(&file)?, json).await,
                    Kept::Only => only(&config, db, json).await,
                    Kept::Forget { lost: _ } => forget(&config, db, json).await,
                };
                office::with(&config, act).await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn new(as_json: bool) -> anyhow::Result<()> {
    let key = MasterKey::draw(&SystemAmbient::new());
    let (id, text) = (key.id(), key.text());
    let shown = if as_json { json!({ "id": id, "key": *text }).to_string() } else { text.to_string() };
    Ok(paint::print(&format!("{shown}\n"))?)
}

async fn list(config: &Config, db: &Db, as_json: bool) -> anyhow::Result<String> {
    let accepted = db.read(async |tx| master_keys::accepted(tx).await).await?;
    let at_hand = config.master_key.read()?.map(|key| key.id());
    if as_json {
        let keys: Vec<_> = accepted
            .iter()
            .map(|key| json!({ "id": key.id, "since": key.since.to_string(), "at_hand": at_hand.as_ref() == Some(&key.id) }))
            .collect();
        return Ok(format!("{}\n", json!({ "master_keys": keys, "at_hand": at_hand })));
    }
    let place = config.master_key.shown();
    let rows = accepted.iter().map(|key| {
        let here = if at_hand.as_ref() == Some(&key.id) { place.clone() } else { String::new() };
        [key.id.clone(), key.since.to_string(), here]
    });
    let shown = table::rows(["ID", "SINCE", "AT HAND"], rows);
    let strange = at_hand.filter(|id| accepted.iter().all(|key| key.id != *id));
    let strange = strange.map(|id| format!("The key at hand ({place}) is {id}, which opens nothing here.\n"));
    Ok(shown + &strange.unwrap_or_default())
}

async fn add(config: &Config, db: &Db, other: &MasterKey, as_json: bool) -> anyhow::Result<String> {
    let keys = keyring(config, db).await?;
    let (other, id) = (other.clone(), other.id());
    let added = db.write(async move |tx| master_keys::accept(tx, &keys, &other).await).await?;
    Ok(if as_json {
        format!("{}\n", json!({ "id": id, "added": added }))
    } else if added {
        format!("{id} opens the secrets, too. Start each node with it, then run `errand master-key only` with it.\n")
    } else {
        format!("{id} opened them already.\n")
    })
}

async fn only(config: &Config, db: &Db, as_json: bool) -> anyhow::Result<String> {
    let keys = keyring(config, db).await?;
    let (id, first) = (keys.master.id(), keys.clone());
    db.write(async move |tx| master_keys::only(tx, &first).await).await?;
    let mut sealed = 0;
    loop {
        let keys = keys.clone();
        match db.write(async move |tx| master_keys::seal_anew(tx, &keys, BATCH).await).await? {
            0 => break,
            more => sealed += more,
        }
    }
    if as_json {
        return Ok(format!("{}\n", json!({ "id": id, "sealed_anew": sealed })));
    }
    let traces = if db.is_shared() {
        "PostgreSQL keeps what rows were before until they are vacuumed: VACUUM FULL builds, settings, answers, data_keys."
    } else {
        "What is left of the older key in the file goes at the next start of the server."
    };
    Ok(format!("{id} is the only master key now; {sealed} secrets were sealed anew. {traces}\n"))
}

async fn forget(config: &Config, db: &Db, as_json: bool) -> anyhow::Result<String> {
    let _locks = match &config.database {
        Database::Sqlite(path) => wire::take_locks(&config.data_dir, path)?,
        Database::Postgres(_) => Vec::new(),
    };
    let builds = db.write::<_, StoreError, _>(async |tx| master_keys::forget(tx).await).await?;
    Ok(if as_json {
        format!("{}\n", json!({ "builds": builds }))
    } else {
        format!(
            "Forgotten: the header values of {builds} Builds, the secrets of webhooks, upload URLs. The next start begins with a key of its own: \
             give the tools of your Assignments their headers again, and your receivers what `errand webhooks secret` prints.\n"
        )
    })
}

async fn keyring(config: &Config, db: &Db) -> anyhow::Result<Keyring> {
    at_hand::look(config, db, Arc::new(SystemAmbient::new())).await
}

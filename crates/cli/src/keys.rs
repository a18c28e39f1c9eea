//! `errand keys`: API keys, in the database itself, since the API has no operation for them. Works beside a running server, which looks
//! each key up again after a quarter of a second.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use domain::api_keys::{self, ApiKey, Scopes};
use domain::{Ambient, ApiKeyId, TeamId, Timestamp};
use serde_json::{Value, json};
use storage::{Db, StoreError, Tx};

use crate::ambient::SystemAmbient;
use crate::client::Failure;
use crate::config::Place;
use crate::span::Span;
use crate::{office, table, wire};

/// API keys: make one, list them, renew one, revoke one. Works on the database, beside a running server.
#[derive(Args)]
pub(crate) struct Keys {
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Whose keys, by name or id [default: the first team]
    #[arg(long, global = true)]
    team: Option<String>,
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
        /// What it may do: read (look), run (start Jobs and deal with them), manage (change Assignments and Builds).
        #[arg(long, default_value_t = Scopes::ALL)]
        scopes: Scopes,
        /// After which time it is refused, such as 90d [default: never]
        #[arg(long, value_name = "SPAN", value_parser = Span::lasting)]
        expires_in: Option<Span>,
        /// Requests a minute, 0 for any number [default: what the server's settings say]
        #[arg(long)]
        requests_per_minute: Option<u32>,
    },
    /// All keys, oldest first, without their secrets.
    List,
    /// A new key like an old one, which is refused when the time is over.
    Rotate {
        /// The old one's id, as listed.
        id: ApiKeyId,
        /// How long the old one is taken beside the new one.
        #[arg(long, value_name = "SPAN", default_value = "24h")]
        grace: Span,
        /// After which time the new one is refused [default: when the old one would have been]
        #[arg(long, value_name = "SPAN", value_parser = Span::lasting)]
        expires_in: Option<Span>,
    },
    /// Refuses a key from now on.
    Revoke {
        /// Its id, as listed.
        id: ApiKeyId,
    },
}

impl Keys {
    /// Does it.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let Self { place, json, team, action } = self;
        office::at(&place, async move |db| {
            let team = office::team(db, team.as_deref()).await?.id;
            match action {
                Action::Create { name, scopes, expires_in, requests_per_minute } => {
                    let (secret, mut key) = fresh(team, name);
                    key.scopes = scopes;
                    key.expires_at = expires_in.map(|Span(ms)| key.created_at.plus_ms(ms));
                    key.requests_per_minute = requests_per_minute;
                    let new = key.clone();
                    db.write(async move |tx| add(tx, &new).await).await?;
                    Ok(once(&key, secret, json))
                }
                Action::List => list(db, team, json).await,
                Action::Rotate { id, grace, expires_in } => {
                    rotate(db, team, Renewal { id, grace, expires_in }, json).await
                }
                Action::Revoke { id } => revoke(db, team, id, json).await,
            }
        })
        .await?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Adds a key, and says so in the audit log.
pub(crate) async fn add(tx: &mut Tx<'_>, key: &ApiKey) -> Result<(), StoreError> {
    storage::api_keys::insert(tx, key).await?;
    wire::note(tx, key.team, key.created_at, "key.create", key.id, Some(document(key))).await
}

/// A key as people are shown it: without its secret.
pub(crate) fn document(key: &ApiKey) -> Value {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    json!({
        "id": key.id,
        "name": key.name,
        "scopes": key.scopes.to_string(),
        "requests_per_minute": key.requests_per_minute,
        "created_at": key.created_at.to_string(),
        "expires_at": time(key.expires_at),
        "last_used_at": time(key.last_used_at),
        "revoked_at": time(key.revoked_at),
    })
}

fn fresh(team: TeamId, name: String) -> (String, ApiKey) {
    let ambient = SystemAmbient::new();
    let mut secret = [0; 32];
    ambient.random(&mut secret);
    let secret = api_keys::from_random(secret);
    let now = ambient.now();
    let key = ApiKey {
        id: ApiKeyId(ambient.id(now)),
        team,
        name,
        hash: api_keys::hash(&secret),
        scopes: Scopes::ALL,
        requests_per_minute: None,
        created_at: now,
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    };
    (secret, key)
}

fn once(key: &ApiKey, secret: String, as_json: bool) -> String {
    if as_json {
        let mut shown = document(key);
        shown["key"] = Value::String(secret);
        return format!("{shown}\n");
    }
    let fields = table::fields(&[("id", key.id.to_string()), ("key", secret)]);
    format!("{}\nThis key is shown only this once.\n", fields.trim_end())
}

async fn list(db: &Db, team: TeamId, as_json: bool) -> anyhow::Result<String> {
    let keys = db.read(async |tx| storage::api_keys::list(tx, team).await).await?;
    if as_json {
        return Ok(format!("{}\n", json!({ "keys": keys.iter().map(document).collect::<Vec<_>>() })));
    }
    let time = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    let rows = keys.into_iter().map(|key| {
        let scopes = key.scopes.to_string();
        let (created, used) = (key.created_at.to_string(), time(key.last_used_at));
        let rate = match key.requests_per_minute {
            None => "-".to_owned(),
            Some(0) => "any".to_owned(),
            Some(rate) => rate.to_string(),
        };
        [key.id.to_string(), key.name, scopes, rate, created, used, time(key.expires_at), time(key.revoked_at)]
    });
    Ok(table::rows(["ID", "NAME", "SCOPES", "A MINUTE", "CREATED", "LAST USED", "EXPIRES", "REVOKED"], rows))
}

/// Which key is to have a successor, and how.
struct Renewal {
    id: ApiKeyId,
    grace: Span,
    expires_in: Option<Span>,
}

async fn rotate(db: &Db, team: TeamId, renewal: Renewal, as_json: bool) -> anyhow::Result<String> {
    let Renewal { id, grace, expires_in } = renewal;
    let (secret, blank) = fresh(team, String::new());
    let (now, expires) = (blank.created_at, expires_in.map(|Span(ms)| blank.created_at.plus_ms(ms)));
    let renewed = db.write(async move |tx| {
        let old = storage::api_keys::get(tx, team, id).await?;
        let Some(old) = old.filter(|old| old.is_good(now)) else { return Ok::<_, StoreError>(None) };
        storage::api_keys::end(tx, team, id, now.plus_ms(grace.0)).await?;
        let ended = storage::api_keys::get(tx, team, id).await?;
        let key = ApiKey {
            name: old.name,
            scopes: old.scopes,
            requests_per_minute: old.requests_per_minute,
            expires_at: expires.or(old.expires_at),
            ..blank.clone()
        };
        add(tx, &key).await?;
        wire::note(tx, team, now, "key.end", id, ended.as_ref().map(document)).await?;
        Ok(Some((key, ended.and_then(|ended| ended.expires_at))))
    });
    let (key, old_ends) = renewed.await?.ok_or_else(|| no_such(id))?;
    let told = once(&key, secret, as_json);
    let ends =
        |end: Option<Timestamp>| end.map_or_else(|| "has no end".to_owned(), |end| format!("is refused from {end} on"));
    Ok(if as_json { told } else { format!("{told}It {}; the old one {}.\n", ends(key.expires_at), ends(old_ends)) })
}

async fn revoke(db: &Db, team: TeamId, id: ApiKeyId, as_json: bool) -> anyhow::Result<String> {
    let now = SystemAmbient::new().now();
    let revoked = db.write(async move |tx| {
        let revoked = storage::api_keys::revoke(tx, team, id, now).await?;
        if revoked {
            let key = storage::api_keys::get(tx, team, id).await?;
            wire::note(tx, team, now, "key.revoke", id, key.as_ref().map(document)).await?;
        }
        Ok::<_, StoreError>(revoked)
    });
    if !revoked.await? {
        return Err(no_such(id).into());
    }
    Ok(if as_json {
        format!("{}\n", json!({ "id": id, "revoked_at": now.to_string() }))
    } else {
        format!("revoked {id}\n")
    })
}

fn no_such(id: ApiKeyId) -> Failure {
    Failure::NotFound(format!("no valid key {id}; `errand keys list` shows which are there and which are over"))
}

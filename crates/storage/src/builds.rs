//! Builds: written once. Their numbers come from the Assignment's own counter, taken in the transaction that inserts, so that they have neither
//! gaps nor duplicates, and the highest one is the count. Their secrets are sealed before they come here: see `master_keys.rs`.

use domain::builds::{Build, Secrets};
use domain::master_key::{Place, Sealed};
use domain::{AgentId, BuildId, TeamId, Timestamp};
use zeroize::Zeroizing;

use crate::db::{Row, StoreError, Tx, params};
use crate::master_keys::{Keyring, open, seal};

const NUMBER: &str = "UPDATE agents SET build_count = build_count + 1, updated_at = $3 WHERE team_id = $1 AND id = $2 RETURNING build_count";
const INSERT: &str = "INSERT INTO builds (team_id, id, agent_id, revision_number, name, config, submitted, sealed, created_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const GET: &str = "SELECT id, team_id, agent_id, revision_number, name, config, created_at FROM builds WHERE team_id = $1 AND id = $2";
const PAGE: &str = "SELECT id, team_id, agent_id, revision_number, name, config, created_at FROM builds \
    WHERE team_id = $1 AND agent_id = $2 ORDER BY revision_number DESC LIMIT $3 OFFSET $4";
const TOTAL: &str = "SELECT build_count FROM agents WHERE team_id = $1 AND id = $2";
const LATEST_SECRETS: &str =
    "SELECT id, sealed, secrets FROM builds WHERE team_id = $1 AND agent_id = $2 ORDER BY revision_number DESC LIMIT 1";
const SECRETS: &str = "SELECT id, sealed, secrets FROM builds WHERE team_id = $1 AND id = $2";
const CLEAR: &str = "SELECT team_id, id, secrets FROM builds WHERE secrets IS NOT NULL LIMIT $1";
// Bytes 2 to 5 are the data key's number.
const OLD: &str =
    "SELECT team_id, id, sealed FROM builds WHERE sealed IS NOT NULL AND substr(sealed, 2, 4) <> $1 LIMIT $2";
const SEAL: &str = "UPDATE builds SET sealed = $3, secrets = NULL WHERE team_id = $1 AND id = $2";
const FORGET: &str = "UPDATE builds SET sealed = NULL WHERE sealed IS NOT NULL";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[NUMBER, INSERT, GET, PAGE, TOTAL, LATEST_SECRETS, SECRETS, CLEAR, OLD, SEAL, FORGET];

/// A Build that has no number yet.
#[derive(Debug)]
pub struct NewBuild {
    /// Its id.
    pub id: BuildId,
    /// The Assignment it is for.
    pub agent: AgentId,
    /// Its name.
    pub name: String,
    /// The normalised config as JSON text, without secrets.
    pub config: String,
    /// What was submitted, header values redacted.
    pub submitted: String,
    /// The header values of its MCP tools, for [`Place::Headers`]: see [`sealed`].
    pub sealed: Option<Sealed>,
    /// When.
    pub created_at: Timestamp,
}

/// Numbers and adds a Build. `None`: the team has no such Assignment.
pub async fn insert(tx: &mut Tx<'_>, team: TeamId, new: NewBuild) -> Result<Option<Build>, StoreError> {
    let Some(row) = tx.row(NUMBER, &params![team, new.agent, new.created_at]).await? else {
        return Ok(None);
    };
    let revision_number = row.u32(0)?;
    let sealed = new.sealed.map(|sealed| sealed.as_bytes().to_vec());
    let values = params![
        team,
        new.id,
        new.agent,
        revision_number,
        &new.name,
        &new.config,
        &new.submitted,
        sealed,
        new.created_at
    ];
    tx.exec(INSERT, &values).await?;
    Ok(Some(Build {
        id: new.id,
        agent: new.agent,
        team,
        name: new.name,
        revision_number,
        config_json: new.config,
        created_at: new.created_at,
    }))
}

/// One Build of the team.
pub async fn get(tx: &mut Tx<'_>, team: TeamId, id: BuildId) -> Result<Option<Build>, StoreError> {
    tx.row(GET, &params![team, id]).await?.as_ref().map(read).transpose()
}

/// A page of an Assignment's Builds, newest first, and how many it has. `None`: the team has no such Assignment.
pub async fn page(
    tx: &mut Tx<'_>,
    team: TeamId,
    agent: AgentId,
    limit: u32,
    offset: u64,
) -> Result<Option<(Vec<Build>, u64)>, StoreError> {
    let Some(total) = tx.row(TOTAL, &params![team, agent]).await? else {
        return Ok(None);
    };
    let offset = i64::try_from(offset).unwrap_or(i64::MAX);
    let rows = tx.rows(PAGE, &params![team, agent, limit, offset]).await?;
    Ok(Some((rows.iter().map(read).collect::<Result<_, _>>()?, total.u64(0)?)))
}

/// The secrets of a new Build, sealed. `None`: it has none.
pub async fn sealed(
    tx: &mut Tx<'_>,
    keys: &Keyring,
    (team, build): (TeamId, BuildId),
    secrets: &Secrets,
) -> Result<Option<Sealed>, StoreError> {
    if secrets.is_empty() {
        return Ok(None);
    }
    let json = serde_json::to_vec(secrets).map(Zeroizing::new);
    // The error might quote a value: it is not passed on.
    let json = json.map_err(|_| StoreError::Corrupt { what: "the secrets of a new Build are no JSON".into() })?;
    seal(tx, keys, Place::Headers(team, build), &json).await.map(Some)
}

/// The header values of the newest Build, which a new one may refer to without repeating them (contract A9).
pub async fn latest_secrets(
    tx: &mut Tx<'_>,
    keys: &Keyring,
    team: TeamId,
    agent: AgentId,
) -> Result<Option<Secrets>, StoreError> {
    opened(keys, team, tx.row(LATEST_SECRETS, &params![team, agent]).await?, tx).await
}

/// The header values of a Build.
pub async fn secrets(
    tx: &mut Tx<'_>,
    keys: &Keyring,
    team: TeamId,
    build: BuildId,
) -> Result<Option<Secrets>, StoreError> {
    opened(keys, team, tx.row(SECRETS, &params![team, build]).await?, tx).await
}

async fn opened(
    keys: &Keyring,
    team: TeamId,
    row: Option<Row>,
    tx: &mut Tx<'_>,
) -> Result<Option<Secrets>, StoreError> {
    let Some(row) = row else { return Ok(None) };
    let place = Place::Headers(team, BuildId(row.uuid(0)?));
    let json = match row.opt_bytes(1)? {
        Some(sealed) => open(tx, keys, place, &Sealed::from_bytes(sealed)).await?,
        // A node of an older version wrote it since the last start.
        None => match row.opt_text(2)? {
            Some(clear) => Zeroizing::new(clear.into_bytes()),
            None => return Ok(None),
        },
    };
    // The error would quote the text: it is not passed on.
    serde_json::from_slice(&json).map(Some).map_err(|_| StoreError::Corrupt { what: "the secrets of a Build".into() })
}

/// Seals the secrets of up to `most` Builds that an older version left in clear; how many they were.
pub(crate) async fn seal_clear(tx: &mut Tx<'_>, keys: &Keyring, most: u32) -> Result<u64, StoreError> {
    let rows = tx.rows(CLEAR, &params![most]).await?;
    for row in &rows {
        let (team, id) = (TeamId(row.uuid(0)?), BuildId(row.uuid(1)?));
        put_sealed(tx, keys, (team, id), row.text_ref(2)?.as_bytes()).await?;
    }
    Ok(rows.len() as u64)
}

/// Seals the secrets of up to `most` Builds anew that another data key sealed than this one; how many they were.
pub(crate) async fn seal_anew(tx: &mut Tx<'_>, keys: &Keyring, number: u32, most: u32) -> Result<u64, StoreError> {
    let rows = tx.rows(OLD, &params![number.to_be_bytes().as_slice(), most]).await?;
    for row in &rows {
        let (team, id) = (TeamId(row.uuid(0)?), BuildId(row.uuid(1)?));
        let opened = open(tx, keys, Place::Headers(team, id), &Sealed::from_bytes(row.bytes(2)?)).await?;
        put_sealed(tx, keys, (team, id), &opened).await?;
    }
    Ok(rows.len() as u64)
}

/// Forgets the secrets of all Builds; how many had some.
pub(crate) async fn forget_secrets(tx: &mut Tx<'_>) -> Result<u64, StoreError> {
    tx.exec(FORGET, &[]).await
}

async fn put_sealed(
    tx: &mut Tx<'_>,
    keys: &Keyring,
    (team, id): (TeamId, BuildId),
    secrets: &[u8],
) -> Result<(), StoreError> {
    let sealed = seal(tx, keys, Place::Headers(team, id), secrets).await?;
    tx.exec(SEAL, &params![team, id, sealed.as_bytes()]).await.map(drop)
}

fn read(row: &Row) -> Result<Build, StoreError> {
    Ok(Build {
        id: BuildId(row.uuid(0)?),
        team: TeamId(row.uuid(1)?),
        agent: AgentId(row.uuid(2)?),
        revision_number: row.u32(3)?,
        name: row.text(4)?,
        config_json: row.text(5)?,
        created_at: row.time(6)?,
    })
}

//! Builds: written once. Their numbers come from the Assignment's own counter, taken in the transaction that inserts, so that they have neither
//! gaps nor duplicates, and the highest one is the count.

use domain::builds::{Build, Secrets};
use domain::{AgentId, BuildId, TeamId, Timestamp};

use crate::db::{Row, StoreError, Tx, params};
use crate::journal;

const NUMBER: &str = "UPDATE agents SET build_count = build_count + 1, updated_at = $3 WHERE team_id = $1 AND id = $2 RETURNING build_count";
const INSERT: &str = "INSERT INTO builds (team_id, id, agent_id, revision_number, name, config, submitted, secrets, created_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const GET: &str = "SELECT id, team_id, agent_id, revision_number, name, config, created_at FROM builds WHERE team_id = $1 AND id = $2";
const PAGE: &str = "SELECT id, team_id, agent_id, revision_number, name, config, created_at FROM builds \
    WHERE team_id = $1 AND agent_id = $2 ORDER BY revision_number DESC LIMIT $3 OFFSET $4";
const TOTAL: &str = "SELECT build_count FROM agents WHERE team_id = $1 AND id = $2";
const LATEST_SECRETS: &str =
    "SELECT secrets FROM builds WHERE team_id = $1 AND agent_id = $2 ORDER BY revision_number DESC LIMIT 1";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[NUMBER, INSERT, GET, PAGE, TOTAL, LATEST_SECRETS];

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
    /// The header values of its MCP tools.
    pub secrets: Secrets,
    /// When.
    pub created_at: Timestamp,
}

/// Numbers and adds a Build. `None`: the team has no such Assignment.
pub async fn insert(tx: &mut Tx<'_>, team: TeamId, new: NewBuild) -> Result<Option<Build>, StoreError> {
    let Some(row) = tx.row(NUMBER, &params![team, new.agent, new.created_at]).await? else {
        return Ok(None);
    };
    let revision_number = row.u32(0)?;
    let secrets = if new.secrets.is_empty() { None } else { Some(journal::json(&new.secrets)?) };
    let values = params![
        team,
        new.id,
        new.agent,
        revision_number,
        &new.name,
        &new.config,
        &new.submitted,
        secrets,
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

/// The header values of the newest Build, which a new one may refer to without repeating them (contract A9).
pub async fn latest_secrets(tx: &mut Tx<'_>, team: TeamId, agent: AgentId) -> Result<Option<Secrets>, StoreError> {
    let Some(row) = tx.row(LATEST_SECRETS, &params![team, agent]).await? else {
        return Ok(None);
    };
    let Some(json) = row.opt_text(0)? else { return Ok(None) };
    // The error would quote the text: it is not passed on.
    serde_json::from_str(&json).map(Some).map_err(|_| StoreError::Corrupt { what: "builds.secrets".into() })
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

//! Assignments. Newest first everywhere (contract A18); the team's counter gives `total` without counting.

use domain::agents::Agent;
use domain::builds::Build;
use domain::{AgentId, BuildId, TeamId};

use crate::db::{Row, StoreError, Tx, params};

const INSERT: &str =
    "INSERT INTO agents (team_id, id, name, build_count, created_at, updated_at) VALUES ($1, $2, $3, 0, $4, $5)";
const COUNT_UP: &str = "UPDATE teams SET agent_count = agent_count + 1 WHERE id = $1";
const GET: &str = "SELECT id, team_id, name, created_at, updated_at FROM agents WHERE team_id = $1 AND id = $2";
// An Assignment's counter is the number of its newest Build.
const GET_WITH_BUILD: &str = "SELECT a.id, a.team_id, a.name, a.created_at, a.updated_at, \
    b.id, b.revision_number, b.name, b.config, b.created_at FROM agents a \
    LEFT JOIN builds b ON b.team_id = a.team_id AND b.agent_id = a.id AND b.revision_number = a.build_count \
    WHERE a.team_id = $1 AND a.id = $2";
const PAGE: &str = "SELECT id, team_id, name, created_at, updated_at FROM agents WHERE team_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3";
const TOTAL: &str = "SELECT agent_count FROM teams WHERE id = $1";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[INSERT, COUNT_UP, GET, GET_WITH_BUILD, PAGE, TOTAL];

/// Adds an Assignment.
pub async fn insert(tx: &mut Tx<'_>, agent: &Agent) -> Result<(), StoreError> {
    let values = params![agent.team, agent.id, &agent.name, agent.created_at, agent.updated_at];
    tx.exec(INSERT, &values).await?;
    tx.exec(COUNT_UP, &params![agent.team]).await.map(drop)
}

/// One Assignment of the team.
pub async fn get(tx: &mut Tx<'_>, team: TeamId, id: AgentId) -> Result<Option<Agent>, StoreError> {
    tx.row(GET, &params![team, id]).await?.as_ref().map(read).transpose()
}

/// One Assignment of the team with its newest Build, if it has one: the one that a run would be pinned to now (contract A16). What is read most, so
/// in one statement.
pub async fn get_with_build(
    tx: &mut Tx<'_>,
    team: TeamId,
    id: AgentId,
) -> Result<Option<(Agent, Option<Build>)>, StoreError> {
    let Some(row) = tx.row(GET_WITH_BUILD, &params![team, id]).await? else { return Ok(None) };
    let agent = read(&row)?;
    let Some(build) = row.opt_uuid(5)? else { return Ok(Some((agent, None))) };
    let build = Build {
        id: BuildId(build),
        agent: agent.id,
        team: agent.team,
        revision_number: row.u32(6)?,
        name: row.text(7)?,
        config_json: row.text(8)?,
        created_at: row.time(9)?,
    };
    Ok(Some((agent, Some(build))))
}

/// A page of the team's Assignments and how many it has in all.
pub async fn page(tx: &mut Tx<'_>, team: TeamId, limit: u32, offset: u64) -> Result<(Vec<Agent>, u64), StoreError> {
    let total = match tx.row(TOTAL, &params![team]).await? {
        Some(row) => row.u64(0)?,
        None => 0,
    };
    let offset = i64::try_from(offset).unwrap_or(i64::MAX);
    let rows = tx.rows(PAGE, &params![team, limit, offset]).await?;
    Ok((rows.iter().map(read).collect::<Result<_, _>>()?, total))
}

fn read(row: &Row) -> Result<Agent, StoreError> {
    Ok(Agent {
        id: AgentId(row.uuid(0)?),
        team: TeamId(row.uuid(1)?),
        name: row.text(2)?,
        created_at: row.time(3)?,
        updated_at: row.time(4)?,
    })
}

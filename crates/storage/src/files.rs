//! Team files: what they are called, and under which name their bytes lie. The bytes are not here: they are written before their row, and
//! removed after it.

use domain::files::TeamFile;
use domain::{FileId, TeamId};
use uuid::Uuid;

use crate::db::{Row, Sql, StoreError, Tx, params};
use crate::quota;

const BY_ID: &str =
    "SELECT id, team_id, name, size, sha256, blob, created_at, updated_at FROM files WHERE team_id = $1 AND id = $2";
const BY_NAME: &str =
    "SELECT id, team_id, name, size, sha256, blob, created_at, updated_at FROM files WHERE team_id = $1 AND name = $2";
const LIST: &str = "SELECT id, team_id, name, size, sha256, blob, created_at, updated_at FROM files WHERE team_id = $1 \
    ORDER BY name LIMIT $2 OFFSET $3";
const COUNT: &str = "SELECT count(*) FROM files WHERE team_id = $1";
const PUT: &str = "INSERT INTO files (team_id, id, name, size, sha256, blob, created_at, updated_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (team_id, name) DO UPDATE SET \
    size = excluded.size, sha256 = excluded.sha256, blob = excluded.blob, updated_at = excluded.updated_at \
    RETURNING id, team_id, name, size, sha256, blob, created_at, updated_at";
const DELETE: &str = "DELETE FROM files WHERE team_id = $1 AND id = $2 RETURNING size";
const SIZE: Sql = Sql::pair(
    "SELECT size FROM files WHERE team_id = $1 AND name = $2",
    "SELECT size FROM files WHERE team_id = $1 AND name = $2 FOR UPDATE",
);
const HAS_BLOB: &str = "SELECT 1 FROM files WHERE team_id = $1 AND blob = $2";
const TEAMS: &str = "SELECT id FROM teams WHERE id > $1 ORDER BY id LIMIT $2";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[BY_ID, BY_NAME, LIST, COUNT, PUT, DELETE, HAS_BLOB, TEAMS];
#[cfg(test)]
pub(crate) const PAIRS: &[Sql] = &[SIZE];

/// The file of the team that has this id or, where no id is meant, this name.
pub async fn find(tx: &mut Tx<'_>, team: TeamId, id_or_name: &str) -> Result<Option<TeamFile>, StoreError> {
    let by_id = match id_or_name.parse::<FileId>() {
        Ok(id) => tx.row(BY_ID, &params![team, id]).await?,
        Err(_) => None,
    };
    let found = match by_id {
        None => tx.row(BY_NAME, &params![team, id_or_name]).await?,
        found => found,
    };
    found.as_ref().map(read).transpose()
}

/// A page of the team's files by name, and how many there are in all.
pub async fn list(tx: &mut Tx<'_>, team: TeamId, limit: u32, offset: u64) -> Result<(Vec<TeamFile>, u64), StoreError> {
    let total = tx.row(COUNT, &params![team]).await?.map_or(Ok(0), |row| row.u64(0))?;
    let offset = i64::try_from(offset).unwrap_or(i64::MAX);
    let rows = tx.rows(LIST, &params![team, limit, offset]).await?;
    Ok((rows.iter().map(read).collect::<Result<_, _>>()?, total))
}

/// Adds a file, or puts it in the place of the one of its name, which keeps its id. Answers what is there now.
pub async fn put(tx: &mut Tx<'_>, file: &TeamFile) -> Result<TeamFile, StoreError> {
    let size = i64::try_from(file.size).unwrap_or(i64::MAX);
    let (hash, blob) = (file.sha256.to_vec(), file.blob);
    // Files of one name that are sent at the same moment follow each other: each counts what the one before it left.
    tx.alone(place(file.team, &file.name)).await?;
    let was = tx.row(SIZE, &params![file.team, &file.name]).await?.map_or(Ok(0), |row| row.u64(0))?;
    quota::replaced(tx, file.team, was, file.size).await?;
    let values = params![file.team, file.id, &file.name, size, hash, blob, file.created_at, file.updated_at];
    let row = tx.row(PUT, &values).await?;
    row.as_ref()
        .map(read)
        .transpose()?
        .ok_or_else(|| StoreError::Corrupt { what: "files: a row that is not there".into() })
}

/// Forgets a file; whether it was there.
pub async fn delete(tx: &mut Tx<'_>, team: TeamId, id: FileId) -> Result<bool, StoreError> {
    let Some(row) = tx.row(DELETE, &params![team, id]).await? else { return Ok(false) };
    quota::replaced(tx, team, row.u64(0)?, 0).await?;
    Ok(true)
}

/// Whether any file of the team has these bytes.
pub async fn has_blob(tx: &mut Tx<'_>, team: TeamId, blob: Uuid) -> Result<bool, StoreError> {
    Ok(tx.row(HAS_BLOB, &params![team, blob]).await?.is_some())
}

/// Up to `most` teams after one. For the reaper only.
pub async fn teams(tx: &mut Tx<'_>, after: TeamId, most: u32) -> Result<Vec<TeamId>, StoreError> {
    tx.rows(TEAMS, &params![after, most]).await?.iter().map(|row| Ok(TeamId(row.uuid(0)?))).collect()
}

/// The name of its lock. Two that share one by chance wait for each other; nothing else comes of it.
fn place(team: TeamId, name: &str) -> Uuid {
    let hash = domain::audit::hash(format!("{team} {name}").as_bytes());
    Uuid::from_u128(hash.iter().take(16).fold(0, |all, byte| all << 8 | u128::from(*byte)))
}

fn read(row: &Row) -> Result<TeamFile, StoreError> {
    Ok(TeamFile {
        id: FileId(row.uuid(0)?),
        team: TeamId(row.uuid(1)?),
        name: row.text(2)?,
        size: row.u64(3)?,
        sha256: row.hash(4)?,
        blob: row.uuid(5)?,
        created_at: row.time(6)?,
        updated_at: row.time(7)?,
    })
}

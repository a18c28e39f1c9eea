//! Team files, extensions: sending one, listing them, fetching one, removing one. How a file comes out of a request is in `uploads.rs`; how it comes into a
//! run's workspace is the engine's.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use contract::files::{FileRemoved, TeamFile as Shown, TeamFileAnswer, TeamFilePage};
use contract::pages::PageQuery;
use domain::files::{TeamFile, area, name, stored_at};
use domain::sandboxes::{FileError, Files};
use domain::{FileId, TeamId, audit};
use storage::{Tx, files};
use uuid::Uuid;

use crate::Shared;
use crate::auth::{Caller, MayManage, MayRead};
use crate::body::Ignored;
use crate::change::{Change, Done};
use crate::errors::ApiError;
use crate::path::{FileName, Id};
use crate::query::{FilePath, Nothing, Query};
use crate::sandboxes::{as_file, bad_path};
use crate::uploads::{Upload, base_name};

/// `file.list`: by name.
pub(crate) async fn list(
    caller: Caller<MayRead>,
    Query(page): Query<PageQuery>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<TeamFilePage>, ApiError> {
    let PageQuery { limit, offset } = page;
    let read = async move |tx: &mut Tx<'_>| Ok(files::list(tx, caller.team, limit, offset).await?);
    let (rows, total) = shared.read_page(page, read).await?;
    Ok(Json(TeamFilePage { files: rows.iter().map(shown).collect(), total, limit, offset }))
}

/// `file.push`: adds a file, or puts it in the place of the one of its name.
pub(crate) async fn push(
    mut change: Change<MayManage>,
    Query(FilePath(path)): Query<FilePath>,
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, ApiError> {
    let team = change.caller.team;
    let place = shared.uploads.take(team).await?;
    let Upload { path, bytes } = Upload::read(request, path).await?;
    let name = name(&path).map_err(bad_path)?;
    let sha256 = audit::hash(&bytes);
    let asked = audit::hash(&[name.as_bytes(), &[0], sha256.as_slice()].concat());
    if let Some(response) = shared.replay(&mut change, asked).await? {
        return Ok(response);
    }
    shared.team_has_room(team, bytes.len() as u64).await?;
    let (ambient, now) = (shared.app.ambient.as_ref(), shared.app.ambient.now());
    let (id, blob, size) = (FileId(ambient.id(now)), ambient.id(now), bytes.len() as u64);
    let file = TeamFile { id, team, name, size, sha256, blob, created_at: now, updated_at: now };
    let write = move |files: &dyn Files| {
        // Until the bytes are out of memory, also when the client has gone.
        let _place = place;
        Ok(files.write(&area(team), &stored_at(blob), &bytes))
    };
    shared.files(write).await?.map_err(|error| match error {
        FileError::Quota(why) => ApiError::TeamFull(format!("The place of the team's files is full: {why}.")),
        error => error.into(),
    })?;
    // Bytes without a row are nobody's and are swept; a row without bytes never is.
    let was = shared.found(team, &file.name).await?;
    let put = async move |tx: &mut Tx<'_>| {
        let file = files::put(tx, &file).await?;
        Done::new(StatusCode::CREATED, &TeamFileAnswer { file: shown(&file) }, "file.push", file.id)
    };
    let response = shared.change(change, asked, None, put).await?;
    if let Some(was) = was {
        shared.drop_bytes(team, was.blob).await;
    }
    Ok(response)
}

/// `file.download`, by id or by name: its bytes.
pub(crate) async fn download(
    caller: Caller<MayRead>,
    Id(FileName(name)): Id<FileName>,
    _: Query<Nothing>,
    State(shared): State<Arc<Shared>>,
) -> Result<impl IntoResponse, ApiError> {
    let (team, gone) = (caller.team, || ApiError::no_such("file"));
    let mut file = shared.found(team, &name).await?.ok_or_else(gone)?;
    loop {
        let stored = file.stored_at();
        let read = move |files: &dyn Files| Ok(files.read(&area(team), &stored));
        match shared.files(read).await? {
            Ok(bytes) => return Ok(as_file(base_name(&file.name), bytes)),
            // Replaced in between: its row names other bytes by now.
            Err(FileError::NotFound(_)) => {
                let now = shared.found(team, &name).await?.filter(|now| now.blob != file.blob);
                file = now.ok_or_else(gone)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// `file.remove`, by id or by name. Runs that have it keep it.
pub(crate) async fn remove(
    change: Change<MayManage>,
    Id(FileName(name)): Id<FileName>,
    _: Query<Nothing>,
    State(shared): State<Arc<Shared>>,
    Ignored(asked): Ignored,
) -> Result<Response, ApiError> {
    let team = change.caller.team;
    let was = shared.found(team, &name).await?;
    let remove = async move |tx: &mut Tx<'_>| {
        let file = files::find(tx, team, &name).await?.ok_or_else(|| ApiError::no_such("file"))?;
        files::delete(tx, team, file.id).await?;
        Done::new(StatusCode::OK, &FileRemoved { removed: true }, "file.remove", file.id)?.after(&shown(&file))
    };
    let response = shared.change(change, asked, None, remove).await?;
    if let Some(was) = was {
        shared.drop_bytes(team, was.blob).await;
    }
    Ok(response)
}

impl Shared {
    async fn found(&self, team: TeamId, name: &str) -> Result<Option<TeamFile>, ApiError> {
        self.app.db.read(async |tx| Ok(files::find(tx, team, name).await?)).await
    }

    /// Removes bytes that no row names any more. What is left of them by a failure is swept later.
    async fn drop_bytes(&self, team: TeamId, blob: Uuid) {
        let named = self.app.db.read(async |tx| Ok::<_, ApiError>(files::has_blob(tx, team, blob).await?)).await;
        if matches!(named, Ok(false))
            && let Err(error) = self.files(move |files| files.remove(&area(team), &stored_at(blob))).await
        {
            tracing::debug!(?error, "the bytes of a team file stay until they are swept");
        }
    }
}

fn shown(file: &TeamFile) -> Shown {
    let hex = file.sha256.iter().map(|byte| format!("{byte:02x}"));
    Shown {
        id: file.id.to_string(),
        name: file.name.clone(),
        size_bytes: file.size,
        sha256: hex.collect::<Vec<_>>().concat(),
        created_at: file.created_at.to_string(),
        updated_at: file.updated_at.to_string(),
    }
}

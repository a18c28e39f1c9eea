//! Sandboxes: making one, and the files in it.
//!
//! The rules of paths are the domain's; opening files is behind its trait `Files` and blocks, so it is done beside the async threads. How a
//! file comes out of a request is in `uploads.rs`.

use std::fmt::Display;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use contract::sandboxes::{FilePage, SandboxAnswer, SandboxFile, SandboxFileKind, UploadedFile, WORKSPACE};
use domain::sandboxes::{FileError, FileInfo, Files, LIFETIME_MS, Sandbox, SandboxPath};
use domain::{Ambient, TeamId, Timestamp, audit};
use storage::{Tx, sandboxes};

use crate::Shared;
use crate::auth::{Caller, MayRead, MayRun};
use crate::body::Ignored;
use crate::change::{Change, Done};
use crate::errors::ApiError;
use crate::path::{Id, SandboxId};
use crate::query::{FilePath, Nothing, Query};
use crate::quota;
use crate::uploads::Upload;

/// `sandbox.create`. It takes no body; one that comes along means nothing.
pub(crate) async fn create(
    change: Change<MayRun>,
    _: Query<Nothing>,
    State(shared): State<Arc<Shared>>,
    Ignored(asked): Ignored,
) -> Result<Response, ApiError> {
    let ambient = shared.app.ambient.as_ref();
    let sandbox = fresh(ambient, change.caller.team, ambient.now());
    let create = async move |tx: &mut Tx<'_>| {
        sandboxes::insert(tx, &sandbox).await?;
        let answer = SandboxAnswer { sandbox_id: sandbox.id.clone(), expires_at: sandbox.expires_at.to_string() };
        Done::new(StatusCode::CREATED, &answer, "sandbox.create", sandbox.id)
    };
    shared.change(change, asked, None, create).await
}

/// `sandbox.list_files`: what lies directly in one folder.
pub(crate) async fn list(
    caller: Caller<MayRead>,
    Id(SandboxId(id)): Id<SandboxId>,
    Query(FilePath(path)): Query<FilePath>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<FilePage>, ApiError> {
    let id = shared.sandbox(caller.team, id).await?;
    let folder = SandboxPath::parse(path.as_deref().unwrap_or(WORKSPACE)).map_err(bad_path)?;
    let listed = shared.files(move |files| files.list(&id, &folder)).await?;
    Ok(Json(FilePage { files: listed.into_iter().map(shown).collect() }))
}

/// `sandbox.upload`: a file of the request's body, under the path that the request or the file itself names.
pub(crate) async fn upload(
    mut change: Change<MayRun>,
    Id(SandboxId(id)): Id<SandboxId>,
    Query(FilePath(path)): Query<FilePath>,
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, ApiError> {
    let team = change.caller.team;
    let id = shared.sandbox(team, id).await?;
    let place = shared.uploads.take(team).await?;
    let Upload { path, bytes } = Upload::read(request, path).await?;
    let file = SandboxPath::parse_file(&path).map_err(bad_path)?;
    let answer = UploadedFile { path: file.to_string(), size_bytes: bytes.len() as u64 };
    // By place and content, since a form's boundary is another one each time.
    let asked = audit::hash(&[file.to_string().as_bytes(), &[0], audit::hash(&bytes).as_slice()].concat());
    if let Some(response) = shared.replay(&mut change, asked).await? {
        return Ok(response);
    }
    shared.team_has_room(team, answer.size_bytes).await?;
    let (object, sandbox) = (format!("{id}{file}"), id.clone());
    let write = move |files: &dyn Files| {
        // Until the bytes are out of memory, also when the client has gone.
        let _place = place;
        files.write(&id, &file, &bytes)?;
        quota::measured(files, &id)
    };
    let used = shared.files(write).await?;
    // The file is there before anything is said of it. Whoever dies in between leaves a file that the client sends again.
    let note = async move |tx: &mut Tx<'_>| {
        quota::note(tx, team, &sandbox, used).await?;
        Done::new(StatusCode::CREATED, &answer, "sandbox.upload", object)
    };
    shared.change(change, asked, None, note).await
}

/// `sandbox.download`, an extension: the bytes of one file.
pub(crate) async fn download(
    caller: Caller<MayRead>,
    Id(SandboxId(id)): Id<SandboxId>,
    Query(FilePath(path)): Query<FilePath>,
    State(shared): State<Arc<Shared>>,
) -> Result<impl IntoResponse, ApiError> {
    let id = shared.sandbox(caller.team, id).await?;
    let path = path.ok_or_else(|| bad_path(format!("missing, expected a file such as {WORKSPACE}/data.csv")))?;
    let file = SandboxPath::parse_file(&path).map_err(bad_path)?;
    let name = file.names().last().cloned().unwrap_or_default();
    let bytes = shared.files(move |files| files.read(&id, &file)).await?;
    Ok(as_file(&name, bytes))
}

/// A new sandbox, not yet stored.
pub(crate) fn fresh(ambient: &dyn Ambient, team: TeamId, now: Timestamp) -> Sandbox {
    let mut random = [0; 16];
    ambient.random(&mut random);
    let id = format!("sbx_{:032x}", u128::from_be_bytes(random));
    Sandbox { id, team, created_at: now, expires_at: now.plus_ms(LIFETIME_MS) }
}

/// The team's sandbox, until it expires or as long as a run names it; all else is the same 404.
pub(crate) async fn live(tx: &mut Tx<'_>, team: TeamId, id: &str, now: Timestamp) -> Result<Sandbox, ApiError> {
    let gone = || ApiError::no_such("sandbox");
    let sandbox = sandboxes::get(tx, team, id).await?.ok_or_else(gone)?;
    if now < sandbox.expires_at || sandboxes::has_run(tx, team, id).await? { Ok(sandbox) } else { Err(gone()) }
}

impl Shared {
    /// Checks that the team may use the sandbox.
    async fn sandbox(&self, team: TeamId, id: String) -> Result<String, ApiError> {
        let now = self.app.ambient.now();
        self.app.db.read(async |tx| live(tx, team, &id, now).await.map(|sandbox| sandbox.id)).await
    }

    /// Does something with files, on a thread that may block.
    pub(crate) async fn files<T, F>(&self, job: F) -> Result<T, ApiError>
    where
        F: FnOnce(&dyn Files) -> Result<T, FileError> + Send + 'static,
        T: Send + 'static,
    {
        let files = Arc::clone(&self.app.files);
        let done = tokio::task::spawn_blocking(move || job(files.as_ref())).await;
        Ok(done.map_err(|error| ApiError::Internal(format!("sandbox files: {error}")))??)
    }
}

/// A file of this name as an answer. Its bytes are a stranger's, so no browser may take them for a page of ours.
pub(crate) fn as_file(name: &str, bytes: Vec<u8>) -> impl IntoResponse + use<> {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type(name))),
        (header::CONTENT_DISPOSITION, attachment(name)),
    ];
    (headers, bytes)
}

pub(crate) fn bad_path(sentence: impl Display) -> ApiError {
    ApiError::InvalidRequest(format!("path: {sentence}"))
}

fn shown(file: FileInfo) -> SandboxFile {
    let (kind, size_bytes) = if file.is_dir { (SandboxFileKind::Dir, 0) } else { (SandboxFileKind::File, file.size) };
    SandboxFile { name: file.name, path: file.path, kind, size_bytes }
}

/// By the ending of the name; HTML and SVG can run scripts and so are nothing but bytes.
fn media_type(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref() {
        Some("txt" | "log") => "text/plain; charset=utf-8",
        Some("md") => "text/markdown; charset=utf-8",
        Some("csv") => "text/csv; charset=utf-8",
        Some("json") => "application/json",
        Some("pdf") => "application/pdf",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        _ => "application/octet-stream",
    }
}

/// The name for the file on the client's disk, percent-encoded as RFC 8187 has it, so that any name survives.
fn attachment(name: &str) -> HeaderValue {
    let encoded: String = name.bytes().map(encoded).collect();
    HeaderValue::from_str(&format!("attachment; filename*=UTF-8''{encoded}"))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

fn encoded(byte: u8) -> String {
    let plain = byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

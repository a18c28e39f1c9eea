//! Upload URLs: the right to put one file into one sandbox, handed to whoever has no API key, and the files that come by them.
//!
//! What a URL carries is `domain::uploads`. Its file may be far larger than one that is sent with a key, so it is never held in memory: it goes to
//! the disk piece by piece, and nobody sees it before it is whole. The token of a URL is a secret: see [`shown`].

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body as Bytes, BodyDataStream};
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use contract::sandboxes::{NewUploadUrl, UploadUrl, UploadedFile};
use domain::api_keys::ApiKey;
use domain::audit::{self, Who};
use domain::sandboxes::{FileError, Incoming, SandboxPath};
use domain::uploads::{Grant, Refused, Seal};
use futures_util::TryStreamExt;
use storage::{Tx, api_keys};

use crate::Shared;
use crate::auth::MayRun;
use crate::body::{Body, cut_off, declared_length, media_type};
use crate::change::{Change, Done};
use crate::edge::RequestId;
use crate::errors::ApiError;
use crate::path::{Id, SandboxId, UploadToken};
use crate::query::{Nothing, Query};
use crate::quota;
use crate::sandboxes::live;
use crate::uploads::{as_it_is, file_too_large};

/// Files that come in by URLs at once. How they are shared out is in `places.rs`.
pub(crate) const PLACES: usize = 64;
/// Of these, files that come by one URL.
pub(crate) const SENDERS: usize = 4;
pub(crate) const BUSY: &str =
    "As many files as may are being sent to this URL at this moment. Send this one again after a second.";
/// Held in memory of each.
const PIECE: usize = 128 * 1024;
/// How long [`PIECE`] bytes may take: who is slower than two kilobytes a second has stalled.
const STALL: Duration = Duration::from_mins(1);
/// How long a whole file may take. Below the time that an expired sandbox is left alone, so that no file is written into one that is gone.
pub(crate) const LONGEST: Duration = Duration::from_mins(50);

/// How upload URLs are made.
#[derive(Debug, Clone)]
pub struct UploadUrls {
    /// What their tokens are sealed with.
    pub seal: Seal,
    /// The server's origin as its clients see it, such as `https://errand.example.com`. Without it, it is what the request was sent to, by `https` if
    /// TLS ends at this server. What a proxy before it spoke is not asked: a header of whoever sends would say so.
    pub public_url: Option<String>,
    /// How long they are good for.
    pub lifetime: Duration,
    /// The most bytes of a file.
    pub most: u64,
}

/// `upload_url.create`
pub(crate) async fn create(
    change: Change<MayRun>,
    Id(SandboxId(id)): Id<SandboxId>,
    _: Query<Nothing>,
    State(shared): State<Arc<Shared>>,
    (uri, headers): (Uri, HeaderMap),
    Body(asked, hash): Body<NewUploadUrl>,
) -> Result<Response, ApiError> {
    let urls = &shared.app.upload_urls;
    let path =
        SandboxPath::parse_file(&asked.path).map_err(|wrong| ApiError::InvalidRequest(format!("/path: {wrong}")))?;
    let origin = match &urls.public_url {
        Some(url) => url.clone(),
        None => format!("{}://{}", if shared.secure { "https" } else { "http" }, host(&uri, &headers)?),
    };
    let (team, key, now) = (change.caller.team, change.caller.key, shared.app.ambient.now());
    let lifetime = u64::try_from(urls.lifetime.as_millis()).unwrap_or(u64::MAX);
    let (object, answered) = (format!("{id}{path}"), path.to_string());
    let grant = Grant { team, key, sandbox: id, path, expires_at: now.plus_ms(lifetime), most: urls.most };
    let answer = UploadUrl {
        upload_url: format!("{origin}{UPLOADS}{}", grant.token(&urls.seal)),
        path: answered,
        expires_in_seconds: urls.lifetime.as_secs(),
    };
    let create = async move |tx: &mut Tx<'_>| {
        live(tx, team, &grant.sandbox, now).await?;
        Ok(Done::new(StatusCode::OK, &answer, "upload_url.create", object)?.secret())
    };
    shared.change(change, hash, None, create).await
}

/// `upload_url.put` and `upload_url.post`, extensions: the file itself. Sent again it takes its own place.
pub(crate) async fn put(
    Id(UploadToken(token)): Id<UploadToken>,
    _: Query<Nothing>,
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Json<UploadedFile>, ApiError> {
    let app = &shared.app;
    let grant = Grant::read(&token, &app.upload_urls.seal, app.ambient.now()).map_err(|refused| match refused {
        Refused::Altered => ApiError::InvalidUploadUrl("This upload URL was not made by this server, or was changed."),
        Refused::Expired => ApiError::InvalidUploadUrl("This upload URL has expired. Ask for a new one."),
    })?;
    let key = shared.still_good(&grant).await?;
    // A request of the key that the URL was made with. What its answers say of that is not for whoever has the URL.
    if let Some(refusal) = shared.rates.count(&app.db, &key, app.ambient.now()).await.refusal() {
        return Err(refusal);
    }
    if media_type(request.headers()).as_deref() == Some("multipart/form-data") {
        let text = "An upload URL takes the file itself as the body, not a form: curl --upload-file FILE URL.";
        return Err(ApiError::InvalidRequest(text.into()));
    }
    as_it_is(request.headers())?;
    if declared_length(request.headers()).is_some_and(|length| length > grant.most) {
        return Err(file_too_large(grant.most));
    }
    // Of a file that does not say how long it is, whether there is room for any.
    shared.team_has_room(grant.team, declared_length(request.headers()).unwrap_or(1)).await?;
    let _sender = shared.senders.take(format!("{}{}", grant.sandbox, grant.path)).await?;
    let _place = shared.streams.take(grant.team).await?;
    let what = if *request.method() == Method::POST { "upload_url.post" } else { "upload_url.put" };
    let request_id = request.extensions().get::<RequestId>().map(|RequestId(id)| id.clone());
    let incoming = {
        let (sandbox, path, most) = (grant.sandbox.clone(), grant.path.clone(), grant.most);
        shared.files(move |files| files.begin(&sandbox, &path, most)).await?
    };
    let received = tokio::time::timeout(LONGEST, received(request.into_body(), incoming)).await;
    let incoming = received.unwrap_or(Err(ApiError::TooSlow))?;
    // It may have gone while the file was on its way.
    shared.still_good(&grant).await?;
    let size_bytes = blocking(move || incoming.finish()).await?;
    let sandbox = grant.sandbox.clone();
    let used = shared.files(move |files| quota::measured(files, &sandbox)).await?;
    let answer = UploadedFile { path: grant.path.to_string(), size_bytes };
    let after = serde_json::to_vec(&answer).map_err(|error| ApiError::Internal(format!("an answer: {error}")))?;
    let done = audit::Change {
        who: Who::Key(grant.key),
        what,
        object: format!("{}{}", grant.sandbox, grant.path),
        before: None,
        after: Some(audit::hash(&after)),
        request_id: request_id.and_then(|id| id.to_str().ok().map(str::to_owned)),
    };
    shared.note(&grant, used, done).await?;
    Ok(Json(answer))
}

/// A request's path for a log: without the token that it may hold.
pub(crate) fn shown(path: &str) -> &str {
    if is_one(path) { UPLOADS } else { path }
}

/// Whether a request's path is that of an upload URL.
pub(crate) fn is_one(path: &str) -> bool {
    path.starts_with(UPLOADS)
}

/// Where upload URLs lead, but for the token.
const UPLOADS: &str = "/v1/uploads/";

impl Shared {
    /// Checks that the sandbox is there and that the key which the URL was made with is still good; the key.
    async fn still_good(&self, grant: &Grant) -> Result<ApiKey, ApiError> {
        let now = self.app.ambient.now();
        let look = async |tx: &mut Tx<'_>| {
            let key = api_keys::get(tx, grant.team, grant.key).await?.filter(|key| key.is_good(now));
            let text = "The API key that this upload URL was made with is no longer valid.";
            let key = key.ok_or(ApiError::InvalidUploadUrl(text))?;
            live(tx, grant.team, &grant.sandbox, now).await?;
            Ok(key)
        };
        self.app.db.read(look).await
    }

    /// Adds a row to the team's audit log, for what was done without a key, and notes how much the sandbox holds.
    async fn note(&self, grant: &Grant, used: Option<u64>, done: audit::Change) -> Result<(), ApiError> {
        let (now, team, sandbox) = (self.app.ambient.now(), grant.team, grant.sandbox.clone());
        let note = async move |tx: &mut Tx<'_>| {
            quota::note(tx, team, &sandbox, used).await?;
            Ok(storage::audit::append(tx, team, now, done).await?)
        };
        self.app.db.write(note).await
    }
}

/// Where the request was sent to, if that can be a host.
fn host(uri: &Uri, headers: &HeaderMap) -> Result<String, ApiError> {
    const WANTED: &str = "The header Host: expected the server's name as clients reach it, perhaps with a port.";
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        (None, None) => uri.authority().map(Authority::as_str),
        _ => None,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    // A port that is no number is no part of what is read.
    let whole = |read: &Authority| read.host().len() + read.port().map_or(0, |port| 1 + port.as_str().len());
    let read = |host: &str| host.parse().is_ok_and(|read: Authority| whole(&read) == host.len());
    let host = host.filter(|host| host.len() <= 255 && host.bytes().all(plain) && read(host));
    let host = host.ok_or_else(|| ApiError::InvalidRequest(WANTED.into()))?;
    Ok(host.to_owned())
}

/// Takes the whole body, a piece at a time.
async fn received(body: Bytes, mut incoming: Box<dyn Incoming>) -> Result<Box<dyn Incoming>, ApiError> {
    let mut stream = body.into_data_stream();
    loop {
        let piece = tokio::time::timeout(STALL, piece(&mut stream)).await;
        let (piece, ends) = piece.unwrap_or(Err(ApiError::TooSlow))?;
        let push = move || incoming.push(&piece).map(|()| incoming);
        incoming = blocking(push).await?;
        if ends {
            return Ok(incoming);
        }
    }
}

/// The next bytes, and whether they are the last.
async fn piece(stream: &mut BodyDataStream) -> Result<(Vec<u8>, bool), ApiError> {
    let mut bytes = Vec::new();
    while bytes.len() < PIECE {
        match stream.try_next().await.map_err(|error| cut_off(&error))? {
            Some(chunk) => bytes.extend_from_slice(&chunk),
            None => return Ok((bytes, true)),
        }
    }
    Ok((bytes, false))
}

async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(job).await;
    Ok(done.map_err(|error| ApiError::Internal(format!("sandbox files: {error}")))??)
}

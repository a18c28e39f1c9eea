//! How a file comes out of a request: as the file part of a form, or as the whole body.
//!
//! The published API does not say what an upload looks like, so both customs are taken (contract 2.11). At most one byte more than a file may
//! have is read before it is refused; a request that announces its size is refused unread. A file is held in memory until it is written, so only
//! so many are taken at once.

use std::time::Duration;

use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderMap, StatusCode, header};
use contract::sandboxes::WORKSPACE;
use domain::sandboxes::FILE_MAX;
use futures_util::TryStreamExt;

use crate::body::{cut_off, declared_length, is_encoded, is_json, media_type};
use crate::connections::TooSlow;
use crate::errors::ApiError;
use crate::limits::Limits;
use crate::upload_urls;

/// What a form may weigh beside its file: boundaries, headers, the path.
const FORM_EXTRA: usize = 64 * 1024;
/// The most bytes of a request that uploads.
pub(crate) const BODY_MAX: usize = FILE_MAX + FORM_EXTRA;
/// The longest path in a form, in bytes.
const PATH_MAX: usize = 16 * 1024;
/// Uploads read or written at once: with [`BODY_MAX`], what they may take of the memory. How they are shared out is in `places.rs`.
pub(crate) const PLACES: usize = 32;
pub(crate) const BUSY: &str = "Too many files are being uploaded at this moment. Send this one again after a second.";
/// How long one may take to arrive: a stalled client gives its place back. Far below the time that an expired sandbox is left alone, so that no file
/// is written into one that is gone.
const LONGEST: Duration = Duration::from_mins(2);

/// A file to store, and where.
pub(crate) struct Upload {
    /// As the client gave it, unchecked.
    pub(crate) path: String,
    /// The whole file.
    pub(crate) bytes: Vec<u8>,
}

impl Upload {
    /// Reads the file of a request; `path` is what the query string says.
    pub(crate) async fn read(request: Request, path: Option<String>) -> Result<Self, ApiError> {
        as_it_is(request.headers())?;
        let is_form = media_type(request.headers()).as_deref() == Some("multipart/form-data");
        let most = if is_form { BODY_MAX } else { FILE_MAX };
        if declared_length(request.headers()).is_some_and(|length| length > most as u64) {
            return Err(too_large());
        }
        let reading = async {
            if is_form {
                Self::from_form(request, path).await
            } else {
                Self::from_body(request.into_body(), path).await
            }
        };
        let read = tokio::time::timeout(LONGEST, reading).await;
        read.unwrap_or(Err(ApiError::TooSlow))
    }

    async fn from_body(body: Body, path: Option<String>) -> Result<Self, ApiError> {
        let path = path.ok_or_else(|| {
            ApiError::InvalidRequest("A file that is the whole body needs its place: add ?path=data.csv.".into())
        })?;
        let mut stream = body.into_data_stream();
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.try_next().await.map_err(|error| cut_off(&error))? {
            push(&mut bytes, &chunk, FILE_MAX)?;
        }
        Ok(Self { path, bytes })
    }

    async fn from_form(request: Request, mut path: Option<String>) -> Result<Self, ApiError> {
        let form = Multipart::from_request(request, &()).await;
        let mut form = form.map_err(|_| ApiError::InvalidRequest("The form's Content-Type has no boundary.".into()))?;
        let mut file = None;
        while let Some(field) = form.next_field().await.map_err(|error| broken(&error))? {
            let is_file = field.file_name().is_some() || field.name() == Some("file");
            if is_file {
                // Some clients send the whole path on their own disk: only its last name counts here.
                let name = field.file_name().map(base_name).map(str::to_owned);
                let bytes = read_field(field, FILE_MAX).await?;
                if file.replace((name, bytes)).is_some() {
                    return Err(ApiError::InvalidRequest(
                        "The form holds more than one file; send one a request.".into(),
                    ));
                }
            } else if field.name() == Some("path") {
                let text = read_field(field, PATH_MAX).await.map_err(|error| match error {
                    ApiError::PayloadTooLarge(_) => {
                        ApiError::InvalidRequest(format!("path: longer than {PATH_MAX} bytes"))
                    }
                    error => error,
                })?;
                let text = String::from_utf8(text);
                let text = text.map_err(|_| ApiError::InvalidRequest("path: is not UTF-8".into()))?;
                if path.replace(text).is_some() {
                    return Err(ApiError::InvalidRequest("path: given twice, expected once".into()));
                }
            } else {
                let name = field.name().unwrap_or_default();
                return Err(ApiError::InvalidRequest(format!("unknown form field {name:?}, expected a file and path")));
            }
        }
        let (name, bytes) = file.ok_or_else(|| ApiError::InvalidRequest("The form holds no file.".into()))?;
        let named = name.filter(|name| !name.is_empty()).map(|name| format!("{WORKSPACE}/{name}"));
        let path = path.or(named);
        let path =
            path.ok_or_else(|| ApiError::InvalidRequest("The file has no name: add a form field path.".into()))?;
        Ok(Self { path, bytes })
    }
}

/// Refuses a part of a file, and a file in an encoding: stored as it came, each would be taken for the file.
pub(crate) fn as_it_is(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.contains_key(header::CONTENT_RANGE) {
        let text = "A file is sent whole: there is no Content-Range. One that broke off is sent again from its start.";
        return Err(ApiError::InvalidRequest(text.into()));
    }
    if is_encoded(headers) {
        return Err(ApiError::InvalidRequest(
            "A file is stored as it comes: send it without a Content-Encoding.".into(),
        ));
    }
    Ok(())
}

/// How long the body of a request may take to arrive: what is no JSON is a file.
pub(crate) fn longest(path: &str, headers: &HeaderMap, limits: &Limits) -> Duration {
    if upload_urls::is_one(path) {
        upload_urls::LONGEST
    } else if is_json(headers) {
        limits.body
    } else {
        LONGEST
    }
}

/// The last name of a path, also of one on a client's disk.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

async fn read_field(mut field: Field<'_>, most: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error))? {
        push(&mut bytes, &chunk, most)?;
    }
    Ok(bytes)
}

fn push(bytes: &mut Vec<u8>, chunk: &[u8], most: usize) -> Result<(), ApiError> {
    if bytes.len() + chunk.len() > most {
        return Err(too_large());
    }
    bytes.extend_from_slice(chunk);
    Ok(())
}

fn broken(error: &MultipartError) -> ApiError {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ if TooSlow::is_beneath(error) => ApiError::TooSlow,
        _ => ApiError::InvalidRequest("The form is not valid multipart/form-data, or it ended early.".into()),
    }
}

fn too_large() -> ApiError {
    file_too_large(FILE_MAX as u64)
}

pub(crate) fn file_too_large(most: u64) -> ApiError {
    ApiError::PayloadTooLarge(format!("A file may have at most {most} bytes."))
}

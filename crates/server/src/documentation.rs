//! The API's own description: a page for people, and the document behind it in two versions of OpenAPI.
//!
//! It is the same for everybody and says nothing about what is stored, so it needs no key. It is made once, when it is first asked for. The
//! page is one file with its style and its script in it: the policy it comes with lets a browser run just these, and load nothing at all.

mod deliveries;
mod html;
mod page;
mod shapes;

use std::sync::LazyLock;

use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::errors::ApiError;
use crate::query::{Nothing, Query};
use crate::{openapi as made, router};

const STYLE: &str = include_str!("documentation/page.css");
const SCRIPT: &str = include_str!("documentation/page.js");

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| made::document(&router::entries()));
static NEWER: LazyLock<String> = LazyLock::new(|| DOCUMENT.to_string());
static OLDER: LazyLock<String> = LazyLock::new(|| older_openapi_document().to_string());
static PAGE: LazyLock<String> = LazyLock::new(|| page::page(&router::entries(), &DOCUMENT, STYLE, SCRIPT));
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

/// The API's OpenAPI 3.1 document.
pub fn openapi_document() -> Value {
    DOCUMENT.clone()
}

/// The same in OpenAPI 3.0.3.
pub fn older_openapi_document() -> Value {
    made::older(&DOCUMENT)
}

/// `documentation.page`.
pub(crate) async fn page(_: Query<Nothing>) -> Result<impl IntoResponse, ApiError> {
    let policy = HeaderValue::from_str(&POLICY).map_err(|error| ApiError::Internal(format!("a policy: {error}")))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    Ok((headers, PAGE.as_str()))
}

/// `documentation.openapi`.
pub(crate) async fn openapi(_: Query<Nothing>) -> impl IntoResponse {
    json(&NEWER)
}

/// `documentation.older`.
pub(crate) async fn older(_: Query<Nothing>) -> impl IntoResponse {
    json(&OLDER)
}

fn json(document: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], document)
}

//! An error as it goes over the wire, for what is refused before there is a request: the same answer as any other, written by hand.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::edge;
use crate::errors::ApiError;

/// The whole answer, which is the last one of its connection.
pub(crate) fn words(error: &ApiError, id: HeaderValue) -> Vec<u8> {
    let body = serde_json::to_vec(&error.body()).unwrap_or_default();
    let mut headers = HeaderMap::new();
    headers.extend(error.told());
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_LENGTH, body.len().into());
    edge::dress(&mut headers, id);
    let (status, _) = error.status();
    let line = format!("HTTP/1.1 {} {}", status.as_str(), status.canonical_reason().unwrap_or_default());
    let mut bytes = line.into_bytes();
    for (name, value) in &headers {
        bytes.extend([b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()].concat());
    }
    bytes.extend(b"\r\n\r\n");
    bytes.extend(body);
    bytes
}

//! What a call brought, as it is told on: words, and bytes for files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::Value;

/// What came of a call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Results {
    /// Its parts, in order.
    pub parts: Vec<Part>,
    /// Its structured result.
    pub structured: Option<Value>,
    /// Whether the tool says that it failed.
    pub failed: bool,
}

/// A part of a result.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Words.
    Text(String),
    /// A picture, a sound, a document.
    Bytes {
        /// Its media type, as the server says it.
        media_type: String,
        /// Where it is from, if it has an address.
        uri: Option<String>,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

impl Results {
    pub(crate) fn read(result: CallToolResult) -> Self {
        Self {
            parts: result.content.into_iter().map(part).collect(),
            structured: result.structured_content,
            failed: result.is_error.unwrap_or(false),
        }
    }
}

fn part(block: ContentBlock) -> Part {
    match block {
        ContentBlock::Text(text) => Part::Text(text.text),
        ContentBlock::Image(image) => bytes(image.mime_type, None, &image.data),
        ContentBlock::Audio(audio) => bytes(audio.mime_type, None, &audio.data),
        ContentBlock::Resource(resource) => match resource.resource {
            ResourceContents::TextResourceContents { uri, text, .. } => Part::Text(format!("{uri}:\n{text}")),
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                bytes(mime_type.unwrap_or_else(|| "application/octet-stream".into()), Some(uri), &blob)
            }
            _ => Part::Text("(a resource of a kind that Errand does not know)".into()),
        },
        ContentBlock::ResourceLink(link) => Part::Text(format!("(a link to {}: {})", link.name, link.uri)),
        _ => Part::Text("(something of a kind that Errand does not know)".into()),
    }
}

fn bytes(media_type: String, uri: Option<String>, data: &str) -> Part {
    match STANDARD.decode(data) {
        Ok(bytes) => Part::Bytes { media_type, uri, bytes },
        Err(_) => Part::Text(format!("({media_type} that is not valid base64)")),
    }
}

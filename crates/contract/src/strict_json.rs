//! From the bytes of a body to a request: JSON read more strictly than its grammar demands.
//!
//! What two parsers could understand differently, or what a store could not keep, is refused before
//! anyone looks at the meaning: a key written twice, U+0000 in text, lone surrogates, and sizes or
//! depths beyond the limits below. The walk itself is in `strict_json/walk.rs`. How many bytes a
//! body may have is the server's business.

use std::borrow::Cow;
use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::fields::Object;

mod walk;

/// How deep arrays and objects may be nested: far beyond any config, far below any stack.
pub const MAX_DEPTH: usize = 64;
/// How many values one body may hold, so that a small body cannot become a large tree.
pub const MAX_NODES: usize = 50_000;
/// How many bytes one string or key may have, once its escapes are resolved.
pub const MAX_STRING_BYTES: usize = 1024 * 1024;

/// Reads a body strictly into a tree.
pub fn parse(bytes: &[u8]) -> Result<Value, Flaw> {
    walk::tree(utf8(bytes)?)
}

/// Reads a body strictly into a request. Every body of the v1 API is an object, so anything else is
/// refused here.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Flaw> {
    let text = utf8(bytes)?;
    walk::tree(text)?;
    let mut json = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize(&mut json) {
        Ok(Object(request)) => Ok(request),
        Err(err) => Err(Flaw::at(&pointer(err.path()), &without_position(err.inner()))),
    }
}

/// What is wrong with a body, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    pointer: Option<String>,
    sentence: String,
}

impl Flaw {
    /// The JSON pointer (RFC 6901) to the offending value; empty for the body as a whole, `None`
    /// when the bytes are not JSON and so have no inner places. A key that should not be there is
    /// part of the pointer.
    pub fn pointer(&self) -> Option<&str> {
        self.pointer.as_deref()
    }

    /// What is wrong there, without the place.
    pub fn sentence(&self) -> &str {
        &self.sentence
    }

    fn at(pointer: &str, sentence: &str) -> Self {
        let pointer = Some(shorten(pointer).into_owned());
        Self { pointer, sentence: shorten(sentence).into_owned() }
    }

    fn nowhere(sentence: &str) -> Self {
        Self { pointer: None, sentence: shorten(sentence).into_owned() }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pointer() {
            None | Some("") => write!(out, "the body: {}", self.sentence),
            Some(pointer) => write!(out, "{pointer}: {}", self.sentence),
        }
    }
}

impl std::error::Error for Flaw {}

/// Cuts text that a client chose, which may be a megabyte, to what fits into an error message.
pub(crate) fn shorten(text: &str) -> Cow<'_, str> {
    const MOST: usize = 300;
    if text.len() <= MOST {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{}…", &text[..text.floor_char_boundary(MOST)]))
}

fn utf8(bytes: &[u8]) -> Result<&str, Flaw> {
    if bytes.is_empty() {
        return Err(Flaw::nowhere("is empty, expected a JSON object"));
    }
    std::str::from_utf8(bytes).map_err(|err| Flaw::nowhere(&format!("is not UTF-8 at byte {}", err.valid_up_to())))
}

fn pointer(path: &Path) -> String {
    path.iter().fold(String::new(), |mut pointer, segment| {
        match segment {
            Segment::Seq { index } => push_step(&mut pointer, &index.to_string()),
            Segment::Map { key } => push_step(&mut pointer, key),
            Segment::Enum { variant } => push_step(&mut pointer, variant),
            Segment::Unknown => {}
        }
        pointer
    })
}

fn push_step(pointer: &mut String, step: &str) {
    pointer.push('/');
    for character in step.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

/// The parser's message without line and column: the pointer says it better.
fn without_position(err: &serde_json::Error) -> String {
    let message = err.to_string();
    let position = format!(" at line {} column {}", err.line(), err.column());
    message.strip_suffix(&position).unwrap_or(&message).to_owned()
}

#[cfg(test)]
mod tests;

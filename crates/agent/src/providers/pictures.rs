//! The pictures of tool results that one turn shows: the newest, as many as fit into a request.
//!
//! Every turn says the whole conversation again, and vendors refuse requests that are too large. Older pictures become words, and their
//! files are not even opened. Not here: who reads the files ([`crate::models::Pictures`]), and without blocking other runs.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::builds::Part as SeedPart;
use domain::turns::{ImageRef, Line, Outcome};

use crate::models::TurnRequest;

/// Bytes of base64 in one request, pictures of the Build included. The strictest vendor takes 20 MB for everything.
const BASE64_MAX: u64 = 15 * 1024 * 1024;

/// What is shown of each picture, by the id of the call that it came from.
#[derive(Debug, Default)]
pub(super) struct Album<'a>(HashMap<&'a str, Shown>);

/// What is shown of one picture.
#[derive(Debug)]
pub(super) enum Shown {
    /// All of it, in base64.
    Whole(String),
    /// The file is not what it was.
    Changed,
    /// Newer pictures took the room.
    NoRoom,
}

impl Album<'_> {
    /// Takes out what the call `id` shows.
    pub(super) fn take(&mut self, id: &str) -> Shown {
        self.0.remove(id).unwrap_or(Shown::Changed)
    }
}

/// Loads what fits, newest first.
pub(super) async fn gather<'a>(request: &TurnRequest<'a>) -> Album<'a> {
    let mut album = Album::default();
    let mut room = BASE64_MAX.saturating_sub(of_the_build(request));
    for line in request.lines.iter().rev() {
        let Line::ToolResult { call_id, outcome: Outcome::Image(image), .. } = line else { continue };
        // Once one is left out all older ones are, so that a picture does not come and go.
        room = room.saturating_sub(in_base64(image));
        let shown = if room == 0 { Shown::NoRoom } else { load(request, image).await };
        album.0.insert(call_id, shown);
    }
    album
}

async fn load(request: &TurnRequest<'_>, image: &ImageRef) -> Shown {
    request.pictures.load(image).await.map_or(Shown::Changed, |bytes| Shown::Whole(STANDARD.encode(bytes)))
}

fn in_base64(image: &ImageRef) -> u64 {
    image.size_bytes.div_ceil(3).saturating_mul(4)
}

/// Bytes of the pictures that the Build itself brings along.
fn of_the_build(request: &TurnRequest<'_>) -> u64 {
    let parts = request.seed.iter().flat_map(|turn| &turn.parts);
    let urls = parts.filter_map(|part| match part {
        SeedPart::InputImage { url: Some(url), .. } if url.starts_with("data:") => Some(url.len() as u64),
        _ => None,
    });
    urls.sum()
}

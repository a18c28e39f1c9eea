//! Tells by its first bytes what a file is. Names lie, and uploads keep the name they came with.

use domain::turns::ImageRef;

use crate::workspace::sha256_hex;

/// Largest picture handed to a model, in bytes: what the strictest provider takes.
pub(super) const IMAGE_MAX: usize = 5 * 1024 * 1024;

/// The media type, if the file is a picture that models see.
pub(super) fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

/// The picture by content, so that later turns show these bytes or none.
pub(super) fn reference(path: String, media_type: &str, bytes: &[u8]) -> ImageRef {
    ImageRef { path, media_type: media_type.into(), sha256: sha256_hex(bytes), size_bytes: bytes.len() as u64 }
}

/// Words for a file that is neither text nor picture nor PDF.
pub(super) fn binary_kind(bytes: &[u8]) -> &'static str {
    match bytes {
        [b'P', b'K', 3 | 5, ..] => "a ZIP archive, or an Office document such as .xlsx or .docx",
        [0xd0, 0xcf, 0x11, 0xe0, ..] => "an old Office document such as .xls or .doc",
        [0x1f, 0x8b, ..] => "gzip data",
        [0x7f, b'E', b'L', b'F', ..] | [b'M', b'Z', ..] => "a program",
        [b'S', b'Q', b'L', b'i', b't', b'e', ..] => "an SQLite database",
        [b'I', b'I', 0x2a, 0, ..] | [b'M', b'M', 0, 0x2a, ..] => "a TIFF picture",
        [b'B', b'M', ..] => "a bitmap picture",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "a video, or a HEIC or AVIF picture",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "text in UTF-16; it is needed in UTF-8",
        _ if !bytes.contains(&0) => "text that is not in UTF-8, or other data",
        _ => "binary data",
    }
}

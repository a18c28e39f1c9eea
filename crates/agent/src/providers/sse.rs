//! Server-Sent Events as providers send them: bytes in, the data of whole events out.
//!
//! Only data counts: every provider repeats the event's name in it. Line ends may be LF or CRLF, and a chunk may end anywhere, also inside
//! of a letter.

/// A decoder. The caller bounds what goes in.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// Bytes of a line that has not ended yet.
    line: Vec<u8>,
    /// Data lines of an event that has not ended yet.
    data: Vec<u8>,
}

impl Decoder {
    /// Takes a chunk, returns the data of every event that it completes.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Vec<Vec<u8>> {
        let mut events = Vec::new();
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            events.extend(self.end_line());
        }
        self.line.extend_from_slice(rest);
        events
    }

    /// The data of the last event where the body ended without the empty line after it. It may be half; JSON will tell.
    pub(super) fn end(&mut self) -> Option<Vec<u8>> {
        self.end_line().or_else(|| self.end_line())
    }

    /// An empty line ends an event; other lines add to it or mean nothing to us.
    fn end_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if line.is_empty() {
            return Some(std::mem::take(&mut self.data)).filter(|data| !data.is_empty());
        }
        if let Some(data) = line.strip_prefix(b"data:") {
            if !self.data.is_empty() {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_may_end_anywhere() {
        let text =
            "event: a\r\ndata: {\"t\":\r\ndata: \"ü\"}\r\n\r\n: ping\n\ndata:two\n\nid: 7\n\ndata: last".as_bytes();
        for size in 1..=text.len() {
            let mut decoder = Decoder::default();
            let mut events: Vec<_> = text.chunks(size).flat_map(|chunk| decoder.feed(chunk)).collect();
            events.extend(decoder.end());
            let events: Vec<_> = events.iter().map(|event| std::str::from_utf8(event).unwrap()).collect();
            assert_eq!(events, ["{\"t\":\n\"ü\"}", "two", "last"], "in chunks of {size}");
        }
    }
}

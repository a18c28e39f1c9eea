//! Server-Sent Events as our server sends them: lines ended by `\n` or `\r\n`, UTF-8. Bytes in, frames out, however the network cut them.

/// One event of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Its `id`; empty if it had none.
    pub(super) id: String,
    /// Its `data` lines.
    pub(super) data: String,
}

/// Collects bytes until they are frames.
#[derive(Debug, Default)]
pub(super) struct Parser {
    buffer: Vec<u8>,
    /// Where in the buffer the next unread line begins.
    read: usize,
    id: String,
    data: Vec<String>,
}

impl Parser {
    /// Takes what came in.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.read);
        self.read = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one. Comments and frames without data are left out.
    pub(super) fn next(&mut self) -> Option<Frame> {
        while let Some(line) = self.line() {
            if line.is_empty() {
                let (id, data) = (std::mem::take(&mut self.id), std::mem::take(&mut self.data));
                if data.is_empty() {
                    continue;
                }
                return Some(Frame { id, data: data.join("\n") });
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => value.clone_into(&mut self.id),
                "data" => self.data.push(value.to_owned()),
                // The event's name is in its data too; a comment has an empty field.
                _ => {}
            }
        }
        None
    }

    fn line(&mut self) -> Option<String> {
        let rest = &self.buffer[self.read..];
        let length = rest.iter().position(|byte| *byte == b'\n')?;
        let line = rest[..length].strip_suffix(b"\r").unwrap_or(&rest[..length]);
        let line = String::from_utf8_lossy(line).into_owned();
        self.read += length + 1;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_wherever_the_stream_is_cut() {
        let stream =
            ": hello\n\nid: 1\nevent: created\ndata: {\"a\":1}\n\nid:2\r\ndata: ä\r\ndata: b\r\n\r\ndata: half";
        let frame = |id: &str, data: &str| Frame { id: id.into(), data: data.into() };
        for size in 1..stream.len() {
            let mut parser = Parser::default();
            let mut found = vec![];
            for bytes in stream.as_bytes().chunks(size) {
                parser.push(bytes);
                while let Some(frame) = parser.next() {
                    found.push(frame);
                }
            }
            assert_eq!(found, [frame("1", "{\"a\":1}"), frame("2", "ä\nb")], "pieces of {size}");
        }
    }
}

//! The client: HTTP/1.1 over one kept-alive connection, with requests that are bytes already and answers that are read no further than needed.
//!
//! It knows only what Errand's JSON routes answer: a status, a `content-length`, a body. Anything else is an error, not a guess.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::seed::KEY;

/// The bytes of a GET.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {KEY}\r\n\r\n").into_bytes()
}

/// The bytes of a POST of JSON.
pub(crate) fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// One connection, for one request after the other.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects, without delaying small packets.
    pub(crate) async fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request and reads the whole answer; an error unless its status is `expected`.
    pub(crate) async fn ask(&mut self, request: &[u8], expected: u16) -> anyhow::Result<()> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (head, whole) = loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection");
            }
            if let Some(head) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break (head, head + 4 + length(&self.buffer[..head])?);
            }
        };
        while self.buffer.len() < whole {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection within an answer");
            }
        }
        let status = self.buffer.get(9..12).unwrap_or_default();
        if status != expected.to_string().as_bytes() {
            let (status, body) = (String::from_utf8_lossy(status), String::from_utf8_lossy(&self.buffer[head + 4..]));
            bail!("expected {expected}, got {status}: {body}");
        }
        Ok(())
    }
}

/// The value of `content-length`.
fn length(head: &[u8]) -> anyhow::Result<usize> {
    const NAME: &str = "content-length:";
    let head = std::str::from_utf8(head)?;
    let is_length = |line: &&str| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME));
    let line = head.lines().find(is_length).context("an answer without content-length")?;
    Ok(line[NAME.len()..].trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_length_in_any_spelling() {
        assert_eq!(length(b"HTTP/1.1 200 OK\r\nContent-Length:  12\r\nx: y").unwrap(), 12);
        assert!(length(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked").is_err());
    }
}

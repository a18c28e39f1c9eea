//! The ledger's file: one line of JSON for each arrival, on the disk before anyone is answered.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Record;

/// One arrival.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The idempotency key.
    pub key: Uuid,
    /// The run that called.
    pub run: Uuid,
    /// Which call of the run.
    pub call: String,
    /// Whether it was declared safe to repeat.
    pub safe: bool,
    /// What was to be written down.
    pub line: String,
    /// Whether it had an effect, or only arrived.
    pub applied: bool,
}

/// All entries of the file at `path`, whoever writes it. A last line without its end is not there yet.
pub fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let bytes = std::fs::read(path)?;
    let text = str::from_utf8(&bytes[..whole(&bytes)]).map_err(io::Error::other)?;
    let parse = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("line {} of the ledger: {error}", number + 1))
        })
    };
    text.lines().enumerate().map(parse).collect()
}

/// The open file, and what has to be known of it to go on.
pub(super) struct Log {
    file: File,
    entries: usize,
    applied: HashSet<Uuid>,
    broken: bool,
}

impl Log {
    /// Opens or creates it. A torn last line is cut off: it was never answered, and the next one would be glued to it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        file.set_len(whole(&std::fs::read(path)?) as u64)?;
        file.sync_all()?;
        let entries = read(path)?;
        let applied = entries.iter().filter(|entry| entry.applied).map(|entry| entry.key).collect();
        Ok(Self { file, entries: entries.len(), applied, broken: false })
    }

    /// Writes an arrival, with its effect if it is to have one; a safe key has it once. Gives the entry's number and whether it had one.
    pub(super) fn append(&mut self, record: Record, effect: bool) -> io::Result<(usize, bool)> {
        if self.broken {
            return Err(io::Error::other("the ledger could not be written before, what it holds is in doubt"));
        }
        let Record { key, run, call, safe, line } = record;
        let applied = effect && !(safe && self.applied.contains(&key));
        let mut text = serde_json::to_string(&Entry { key, run, call, safe, line, applied })?;
        text.push('\n');
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        self.broken = written.is_err();
        written?;
        self.entries += 1;
        if applied {
            self.applied.insert(key);
        }
        Ok((self.entries, applied))
    }
}

/// Where the last whole line ends. Of bytes, since a tear may go through a character.
fn whole(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

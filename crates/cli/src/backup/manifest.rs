//! `backup.json`: what is in a backup, so that a torn or altered one is found. Its hashes find damage; they do not stop somebody who can write them anew.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use agent::workspace::archive::Tally;
use anyhow::Context;
use domain::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// The names in the folder.
pub(crate) const MANIFEST: &str = "backup.json";
pub(crate) const DATABASE: &str = "errand.db";
pub(crate) const SANDBOXES: &str = "sandboxes";

/// The form of the folder. It goes up when an older version could not restore it rightly.
const FORMAT: u32 = 1;

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    /// The version that wrote it.
    pub(crate) errand: String,
    /// Whatever was acknowledged by then is in it.
    pub(crate) taken_at: String,
    /// The schema, as the numbers of its steps.
    pub(crate) migrations: Vec<u32>,
    /// Ids of the master keys that open its secrets, none of which is in it. Empty: they are not sealed, or there are none.
    #[serde(default)]
    pub(crate) master_keys: Vec<String>,
    pub(crate) database: Saved,
    pub(crate) sandboxes: Kept,
}

/// The files of sandboxes: in the backup, or where this says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Kept {
    Here(Saved),
    Elsewhere(String),
}

/// One part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saved {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

impl From<Tally> for Saved {
    fn from(tally: Tally) -> Self {
        Self { files: tally.files, bytes: tally.bytes, sha256: tally.sha256 }
    }
}

/// The file: the manifest with a hash of its very text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<'t> {
    #[serde(borrow)]
    backup: &'t RawValue,
    sha256: &'t str,
}

impl Manifest {
    /// Of a backup that this version takes. `schema` is the migrations and the master keys.
    pub(crate) fn new(taken_at: Timestamp, schema: (Vec<u32>, Vec<String>), database: Saved, sandboxes: Kept) -> Self {
        let (errand, (migrations, master_keys)) = (env!("CARGO_PKG_VERSION").to_owned(), schema);
        Self { format: FORMAT, errand, taken_at: taken_at.to_string(), migrations, master_keys, database, sandboxes }
    }

    /// Writes it into the folder, durably.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        let sealed = format!("{{\n\"backup\": {text},\n\"sha256\": \"{}\"\n}}\n", hex(&Sha256::digest(&text)));
        let path = folder.join(MANIFEST);
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).and_then(|mut file| {
            file.write_all(sealed.as_bytes())?;
            file.sync_all()
        });
        written.with_context(|| path.display().to_string())
    }

    /// Reads the one of a folder.
    ///
    /// # Errors
    /// The folder is no backup, was altered, or was taken by a version that this one does not understand.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(MANIFEST);
        let name = path.display();
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                anyhow::bail!("{name} is not there: {} is no backup, or one that was not finished", folder.display())
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => anyhow::bail!("{name} was altered: {error}"),
            read => read.with_context(|| name.to_string())?,
        };
        let altered = |why: String| anyhow::anyhow!("{name} was altered or damaged ({why}): use another backup");
        let sealed: Sealed<'_> = serde_json::from_str(&text).map_err(|error| altered(error.to_string()))?;
        let text = sealed.backup.get();
        if hex(&Sha256::digest(text)) != sealed.sha256 {
            return Err(altered("its text does not have the hash that stands in it".to_owned()));
        }
        // Sound, so what cannot be read was written by another version.
        let format = serde_json::from_str::<serde_json::Value>(text)?["format"].as_u64().unwrap_or(0);
        if format != u64::from(FORMAT) {
            anyhow::bail!(
                "{name} has format {format}, and this version of Errand reads {FORMAT}: restore with the version that took it"
            );
        }
        serde_json::from_str(text).with_context(|| format!("{name}: restore with the version that took it"))
    }
}

/// Hash and size of a file.
pub(crate) fn sum(path: &Path) -> io::Result<(String, u64)> {
    copy(path, &mut io::sink())
}

/// Copies a file; the hash and the size of what was copied.
pub(crate) fn copy(from: &Path, to: &mut impl Write) -> io::Result<(String, u64)> {
    let (mut file, mut hash, mut bytes) = (File::open(from)?, Sha256::new(), 0);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let length = file.read(&mut buffer)?;
        let Some(chunk) = buffer.get(..length).filter(|chunk| !chunk.is_empty()) else { break };
        to.write_all(chunk)?;
        hash.update(chunk);
        bytes += length as u64;
    }
    Ok((hex(&hash.finalize()), bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_byte_of_it_changes_it_is_refused_or_means_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let saved = Saved { files: 1, bytes: 2, sha256: "aa".into() };
        let manifest = Manifest::new(
            Timestamp(0),
            (vec![1, 2], vec!["0123456789abcdef".into()]),
            saved.clone(),
            Kept::Here(saved),
        );
        manifest.write(folder.path()).unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), manifest);
        let path = folder.path().join(MANIFEST);
        let text = fs::read(&path).unwrap();
        for place in 0..text.len() {
            for bit in 0..8 {
                let mut altered = text.clone();
                altered[place] ^= 1 << bit;
                fs::write(&path, &altered).unwrap();
                if let Ok(read) = Manifest::read(folder.path()) {
                    assert_eq!(read, manifest, "byte {place}, bit {bit}");
                }
            }
        }
    }
}

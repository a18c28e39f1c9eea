//! The demo's temporary data folder: made for its owner only, removed with everything in it unless it is to be kept.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use uuid::Uuid;

/// Removes itself when it is dropped, however the demo ends.
pub(super) struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// Makes it among the system's temporary files.
    pub(super) fn new(id: Uuid, keep: bool) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("errand-demo-{id}"));
        crate::folders::make_private(&path).with_context(|| path.display().to_string())?;
        Ok(Self { path, keep })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it unless it is kept.
    ///
    /// # Errors
    /// It is still there, at least in part.
    pub(super) fn done(mut self) -> anyhow::Result<()> {
        let path = std::mem::take(&mut self.path);
        if self.keep {
            return Ok(());
        }
        remove(&path).with_context(|| format!("{} could not be removed", path.display()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep && !self.path.as_os_str().is_empty() {
            // The demo failed for a reason that is told already.
            let _ = remove(&self.path);
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    std::fs::remove_dir_all(path)
}

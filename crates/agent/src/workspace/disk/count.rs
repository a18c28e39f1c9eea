//! How much a sandbox holds. The count stops at the limit itself.

use std::io;

use cap_fs_ext::DirExt;
use cap_std::fs::Dir;

use super::super::quota::{Quota, Used};

/// Folders deeper than this count as a full sandbox; paths of ours nest half as deep at most.
const DEPTH_MAX: usize = 64;

impl Quota {
    /// What is in a folder and beneath it.
    pub(super) fn count(self, home: &Dir) -> io::Result<Used> {
        let mut used = Used::default();
        self.add(home, DEPTH_MAX, &mut used)?;
        Ok(used)
    }

    fn add(self, folder: &Dir, depth: usize, used: &mut Used) -> io::Result<()> {
        for entry in folder.entries()? {
            used.entries += 1;
            if used.entries > self.entries {
                return Ok(());
            }
            let entry = entry?;
            let metadata = match entry.metadata() {
                // Gone since the folder was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            if metadata.is_file() {
                used.bytes = used.bytes.saturating_add(metadata.len());
            } else if metadata.is_dir() && depth == 0 {
                used.entries = usize::MAX;
            } else if metadata.is_dir() {
                self.add(&folder.open_dir_nofollow(entry.file_name())?, depth - 1, used)?;
            }
        }
        Ok(())
    }
}

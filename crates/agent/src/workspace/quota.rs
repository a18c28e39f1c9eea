//! How much one sandbox may hold. Counted afresh at each write: nothing to keep in step, and the count stops at the limit itself.

use std::io;

use cap_fs_ext::DirExt;
use cap_std::fs::Dir;
use domain::sandboxes::FileError;
use serde::Deserialize;

/// Folders deeper than this count as a full sandbox; paths of ours nest half as deep at most.
const DEPTH_MAX: usize = 64;

/// What one sandbox may hold, and what all files of a team may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quota {
    /// Files and folders together. Enough for a Job's papers; not for a worker that unpacks the world.
    pub entries: usize,
    /// Bytes of all files, by their apparent size, so that sparse files count in full.
    pub bytes: u64,
    /// Bytes of all files of one team, in its sandboxes and beside them; 0: no bound. Who knows the sum sees to it: here is only the number.
    pub team_bytes: u64,
}

impl Default for Quota {
    fn default() -> Self {
        Self { entries: 1_000, bytes: 1 << 30, team_bytes: 0 }
    }
}

impl Quota {
    /// Whether `new_names` more entries and `added` bytes in place of `removed` ones still fit.
    pub(super) fn check(
        self,
        home: &Dir,
        new_names: usize,
        removed: u64,
        added: u64,
    ) -> io::Result<Result<(), FileError>> {
        let mut used = Quota { entries: 0, bytes: 0, team_bytes: 0 };
        self.count(home, DEPTH_MAX, &mut used)?;
        let entries = used.entries.saturating_add(new_names);
        let bytes = used.bytes.saturating_sub(removed).saturating_add(added);
        Ok(if new_names > 0 && entries > self.entries {
            Err(FileError::Quota(format!("it may hold {} files and folders; write into one that exists", self.entries)))
        } else if added > removed && bytes > self.bytes {
            Err(FileError::Quota(format!("it may hold {} bytes, and this would make {bytes}", self.bytes)))
        } else {
            Ok(())
        })
    }

    /// How many bytes a file may have that takes the place of one with `removed` bytes.
    pub(super) fn room(self, home: &Dir, removed: u64) -> io::Result<u64> {
        let mut used = Quota { entries: 0, bytes: 0, team_bytes: 0 };
        self.count(home, DEPTH_MAX, &mut used)?;
        Ok(self.bytes.saturating_sub(used.bytes).saturating_add(removed))
    }

    /// How many bytes the files in it have.
    pub(super) fn used(self, home: &Dir) -> io::Result<u64> {
        let mut used = Quota { entries: 0, bytes: 0, team_bytes: 0 };
        self.count(home, DEPTH_MAX, &mut used)?;
        Ok(used.bytes)
    }

    fn count(self, folder: &Dir, depth: usize, used: &mut Quota) -> io::Result<()> {
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
                self.count(&folder.open_dir_nofollow(entry.file_name())?, depth - 1, used)?;
            }
        }
        Ok(())
    }
}

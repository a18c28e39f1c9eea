//! How much one sandbox may hold. Counted afresh at each write: nothing to keep in step.

use domain::sandboxes::FileError;
use serde::Deserialize;

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

/// What a sandbox holds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Used {
    pub(super) entries: usize,
    pub(super) bytes: u64,
}

impl Quota {
    /// Whether `new_names` more entries and `added` bytes in place of `removed` ones still fit.
    pub(super) fn check(self, used: Used, new_names: usize, removed: u64, added: u64) -> Result<(), FileError> {
        let entries = used.entries.saturating_add(new_names);
        let bytes = used.bytes.saturating_sub(removed).saturating_add(added);
        if new_names > 0 && entries > self.entries {
            Err(FileError::Quota(format!("it may hold {} files and folders; write into one that exists", self.entries)))
        } else if added > removed && bytes > self.bytes {
            Err(FileError::Quota(format!("it may hold {} bytes, and this would make {bytes}", self.bytes)))
        } else {
            Ok(())
        }
    }

    /// How many bytes a file may have that takes the place of one with `removed` bytes.
    pub(super) fn room(self, used: Used, removed: u64) -> u64 {
        self.bytes.saturating_sub(used.bytes).saturating_add(removed)
    }
}

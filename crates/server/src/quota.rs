//! What all files of a team may take up (`team_bytes`): whether one more may come in, and noting what came.
//!
//! The sum is looked at before a file comes and changed after it, so files that come at the same moment may each find the room that is left for one.
//! Without a bound nothing is looked at or noted; the engine counts once there is one.

use domain::TeamId;
use domain::sandboxes::{FileError, Files};
use storage::{StoreError, Tx};

use crate::Shared;
use crate::errors::ApiError;

impl Shared {
    /// Refuses a file of so many bytes for which the team has no room. What it would take the place of is not counted off.
    pub(crate) async fn team_has_room(&self, team: TeamId, bytes: u64) -> Result<(), ApiError> {
        let most = self.app.files.team_bytes();
        if most == 0 {
            return Ok(());
        }
        let used = self.app.db.read::<_, ApiError, _>(async |tx| Ok(storage::quota::used(tx, team).await?)).await?;
        if used.saturating_add(bytes) <= most {
            return Ok(());
        }
        Err(ApiError::TeamFull(format!(
            "The team's files may have {most} bytes in all; they have {used}, and this one has {bytes}. Remove files of the team that are no longer \
             needed (DELETE /v1/files/{{file_id}}), or ask the server's operator for more. Sandboxes without a run go by themselves after a day."
        )))
    }
}

/// How many bytes a sandbox has now, if that is of interest.
pub(crate) fn measured(files: &dyn Files, sandbox: &str) -> Result<Option<u64>, FileError> {
    if files.team_bytes() == 0 { Ok(None) } else { files.used(sandbox).map(Some) }
}

/// Notes what was measured.
pub(crate) async fn note(tx: &mut Tx<'_>, team: TeamId, sandbox: &str, used: Option<u64>) -> Result<(), StoreError> {
    match used {
        Some(used) => storage::quota::note_sandbox(tx, team, sandbox, used).await,
        None => Ok(()),
    }
}

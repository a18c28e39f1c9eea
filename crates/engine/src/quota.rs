//! What all files of a team may take up (`team_bytes`), where Jobs write them: what one may still write, and counting what it wrote.
//!
//! A Job may write what its team had left when its worker took it, so Jobs at work at the same time may each write that much. A sandbox is counted
//! when its Job lets go of it, and all are counted every hour: whatever was missed is found then. Without a bound nothing is counted.

use agent::workspace::{Workspace, Workspaces};
use domain::TeamId;
use storage::{Db, StoreError, quota, sandboxes};
use uuid::Uuid;

use crate::shop::Shop;

/// Rows looked up at once.
const BATCH: u32 = 100;

/// The files of a sandbox, for a Job in it: bounded by what else its team has.
pub(crate) async fn bounded(
    shop: &Shop,
    team: TeamId,
    sandbox: &str,
    workspace: Workspace,
) -> Result<Workspace, StoreError> {
    let (db, most) = (&shop.parts.db, shop.parts.workspaces.quota().team_bytes);
    if most == 0 {
        return Ok(workspace);
    }
    let look = async |tx: &mut storage::Tx<'_>| {
        Ok::<_, StoreError>((quota::used(tx, team).await?, quota::of_sandbox(tx, team, sandbox).await?))
    };
    let (used, own) = db.read(look).await?;
    Ok(workspace.within(most.saturating_sub(used.saturating_sub(own))))
}

/// Counts a sandbox that a Job let go of.
pub(crate) async fn note(db: &Db, workspaces: &Workspaces, team: TeamId, sandbox: String) {
    if workspaces.quota().team_bytes > 0
        && let Err(error) = count(db, workspaces, team, sandbox).await
    {
        tracing::debug!(%error, "a sandbox is counted later");
    }
}

/// Counts all sandboxes.
pub(crate) async fn recount(db: &Db, workspaces: &Workspaces) -> Result<(), StoreError> {
    if workspaces.quota().team_bytes == 0 {
        return Ok(());
    }
    let (mut team, mut id) = (TeamId(Uuid::nil()), String::new());
    loop {
        let after = id.clone();
        let batch = db.read_slow(async move |tx| sandboxes::all(tx, (team, &after), BATCH).await).await?;
        let Some(last) = batch.last() else { return Ok(()) };
        (team, id) = last.clone();
        for (team, sandbox) in batch {
            count(db, workspaces, team, sandbox).await?;
        }
    }
}

async fn count(db: &Db, workspaces: &Workspaces, team: TeamId, sandbox: String) -> Result<(), StoreError> {
    let workspace = workspaces.open(&sandbox);
    // What cannot be counted now keeps the number that it had.
    let Ok(Ok(bytes)) = tokio::task::spawn_blocking(move || workspace.used()).await else { return Ok(()) };
    let known = sandbox.clone();
    if db.read(async move |tx| quota::of_sandbox(tx, team, &known).await).await? == bytes {
        return Ok(());
    }
    db.write(async move |tx| quota::note_sandbox(tx, team, &sandbox, bytes).await).await
}

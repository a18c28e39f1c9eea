//! Removes what nobody needs: sandboxes that expired before any run was started on them, files that were left half-written, answers kept for
//! repeated requests, and webhooks that were delivered or given up long ago.
//!
//! What a run worked in stays, also after its end, since people fetch its results. Files go before the row: a process that dies in between leaves
//! a row, which the next round finds again, and never files that nobody knows of. It is safe to run on every node.

use std::sync::Arc;
use std::time::Duration;

use agent::workspace::Workspaces;
use domain::sandboxes::Sandbox;
use domain::{TeamId, Timestamp};
use storage::{Db, StoreError, answers, sandboxes, webhooks};
use uuid::Uuid;

use crate::files;
use crate::quota;
use crate::shop::Shop;

/// Between two rounds.
const PAUSE: Duration = Duration::from_hours(1);
/// Rows looked up at once.
const BATCH: u32 = 100;
/// How long after its end a sandbox is left alone, in milliseconds: an upload that began before it may still be under way, and its file would
/// be left behind.
const GRACE_MS: i64 = 60 * 60 * 1000;
/// How long after its last byte a half-written file is left alone, in milliseconds: no upload is silent for so long, whatever clock its disk has.
const LEFT_MS: i64 = 24 * 60 * 60 * 1000;

/// Reaps at once, then every hour.
pub(crate) async fn keep_reaping(shop: Arc<Shop>) {
    loop {
        if let Err(error) = reap(&shop.parts.db, &shop.parts.workspaces, shop.now()).await {
            tracing::error!(%error, "reaping sandboxes failed; the next round tries again");
        }
        if let Err(error) = quota::recount(&shop.parts.db, &shop.parts.workspaces).await {
            tracing::error!(%error, "counting what teams' files take up failed; the next round tries again");
        }
        if let Err(error) = sweep(&shop.parts.db, shop.now()).await {
            tracing::error!(%error, "forgetting old answers and webhooks failed; the next round tries again");
        }
        tokio::time::sleep(PAUSE).await;
        // What lies on the disk is old when it goes, so it can wait until the server has been up for a while.
        tidy(shop.parts.workspaces.clone(), shop.now()).await;
        if let Err(error) = files::sweep(&shop.parts.db, &shop.parts.workspaces, shop.now()).await {
            tracing::error!(%error, "looking for bytes of team files that are gone failed; the next round tries again");
        }
    }
}

/// One round. A sandbox whose files cannot be removed keeps its row and holds up no other.
async fn reap(db: &Db, workspaces: &Workspaces, now: Timestamp) -> Result<(), StoreError> {
    let ended = Timestamp(now.0.saturating_sub(GRACE_MS));
    let (mut team, mut id) = (TeamId(Uuid::nil()), String::new());
    loop {
        let after = id.clone();
        let batch = db.read_slow(async move |tx| sandboxes::expired(tx, ended, (team, &after), BATCH).await).await?;
        let Some(last) = batch.last() else { return Ok(()) };
        (team, id) = (last.team, last.id.clone());
        for sandbox in batch {
            if removed(workspaces, &sandbox).await {
                db.write(async move |tx| sandboxes::delete(tx, sandbox.team, &sandbox.id).await).await?;
            }
        }
    }
}

/// Removes half-written files of nodes that were killed. Where there is one node, they go at its next start.
async fn tidy(workspaces: Workspaces, now: Timestamp) {
    let before = Timestamp(now.0.saturating_sub(LEFT_MS));
    match tokio::task::spawn_blocking(move || workspaces.sweep(before)).await {
        Ok(Ok(0)) => {}
        Ok(Ok(files)) => tracing::info!(files, "half-written files were removed"),
        Ok(Err(error)) => tracing::error!(%error, "half-written files cannot be removed; the next round tries again"),
        Err(error) => tracing::error!(%error, "half-written files cannot be removed; the next round tries again"),
    }
}

/// Forgets answers and settled webhooks, a few at a time so that nobody waits long.
async fn sweep(db: &Db, now: Timestamp) -> Result<(), StoreError> {
    while db.write(async move |tx| answers::sweep(tx, now, BATCH).await).await? > 0 {}
    while db.write(async move |tx| webhooks::sweep(tx, now, BATCH).await).await? > 0 {}
    Ok(())
}

async fn removed(workspaces: &Workspaces, sandbox: &Sandbox) -> bool {
    let (workspaces, id) = (workspaces.clone(), sandbox.id.clone());
    let why = match tokio::task::spawn_blocking(move || workspaces.remove(&id)).await {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => error.to_string(),
        Err(broken) => broken.to_string(),
    };
    tracing::error!(sandbox = sandbox.id, why, "the files of an expired sandbox cannot be removed");
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use domain::agents::Agent;
    use domain::sandboxes::SandboxPath;
    use domain::{AgentId, BuildId, RunId};
    use storage::builds::NewBuild;
    use storage::runs::NewRun;
    use storage::{MIGRATIONS, Settings, Tx, agents, builds, runs, teams};

    const TEAM: TeamId = TeamId(Uuid::from_u128(1));
    const AGENT: AgentId = AgentId(Uuid::from_u128(2));
    const BUILD: BuildId = BuildId(Uuid::from_u128(3));
    const END: Timestamp = Timestamp(1_764_000_000_000);
    const AFTER_GRACE: Timestamp = Timestamp(END.0 + GRACE_MS);

    /// A database with a Build, and the folder of the sandboxes.
    async fn house(folder: &Path) -> (Db, Workspaces) {
        let db = Db::open(&Settings::new(folder.join("errand.db"), Arc::new(|| END))).unwrap();
        db.migrate(MIGRATIONS, 0).await.unwrap();
        let furnish = async |tx: &mut Tx<'_>| {
            teams::insert(tx, TEAM, "ours", END).await?;
            let agent = Agent { id: AGENT, team: TEAM, name: "worker".into(), created_at: END, updated_at: END };
            agents::insert(tx, &agent).await?;
            let new = NewBuild {
                id: BUILD,
                agent: AGENT,
                name: "build".into(),
                config: "{}".into(),
                submitted: "{}".into(),
                sealed: None,
                created_at: END,
            };
            builds::insert(tx, TEAM, new).await
        };
        db.write::<_, StoreError, _>(furnish).await.unwrap();
        (db, Workspaces::new(folder.join("sandboxes")))
    }

    /// A sandbox that ends at [`END`], with a file in it.
    async fn sandbox(db: &Db, workspaces: &Workspaces, id: &'static str) {
        let sandbox = Sandbox { id: id.into(), team: TEAM, created_at: Timestamp(0), expires_at: END };
        db.write(async move |tx| sandboxes::insert(tx, &sandbox).await).await.unwrap();
        workspaces.open(id).write(&SandboxPath::parse_file("a.txt").unwrap(), b"a").unwrap();
    }

    async fn run_on(db: &Db, sandbox: &'static str) {
        let new = NewRun {
            id: RunId(Uuid::from_u128(4)),
            agent: AGENT,
            build: BUILD,
            sandbox: sandbox.into(),
            title: "job".into(),
            source: "api",
            webhook: None,
            message: None,
            created_at: END,
        };
        db.write(async move |tx| runs::insert(tx, TEAM, new).await).await.unwrap();
    }

    async fn is_there(db: &Db, folder: &Path, id: &'static str) -> (bool, bool) {
        let row = db.read(async |tx| sandboxes::get(tx, TEAM, id).await).await.unwrap();
        (row.is_some(), folder.join("sandboxes").join(id).join("a.txt").exists())
    }

    #[tokio::test]
    async fn what_expired_goes_with_its_files_unless_a_run_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let (db, workspaces) = house(folder.path()).await;
        for id in ["sbx_1", "sbx_2", "sbx_3"] {
            sandbox(&db, &workspaces, id).await;
        }
        run_on(&db, "sbx_2").await;
        reap(&db, &workspaces, Timestamp(AFTER_GRACE.0 - 1)).await.unwrap();
        assert_eq!(is_there(&db, folder.path(), "sbx_1").await, (true, true), "too early");
        for _round in 0..2 {
            reap(&db, &workspaces, AFTER_GRACE).await.unwrap();
            assert_eq!(is_there(&db, folder.path(), "sbx_1").await, (false, false));
            assert_eq!(is_there(&db, folder.path(), "sbx_2").await, (true, true), "a run worked in it");
            assert_eq!(is_there(&db, folder.path(), "sbx_3").await, (false, false));
        }
    }

    #[tokio::test]
    async fn a_row_whose_files_are_gone_already_goes_too() {
        let folder = tempfile::tempdir().unwrap();
        let (db, workspaces) = house(folder.path()).await;
        sandbox(&db, &workspaces, "sbx_1").await;
        workspaces.remove("sbx_1").unwrap();
        reap(&db, &workspaces, AFTER_GRACE).await.unwrap();
        assert_eq!(is_there(&db, folder.path(), "sbx_1").await, (false, false));
    }

    #[tokio::test]
    async fn files_that_cannot_be_removed_keep_their_row_and_hold_up_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let (db, workspaces) = house(folder.path()).await;
        // No plain name, so removing it is refused; it comes first in the order of keys.
        let odd = Sandbox { id: "../x".into(), team: TEAM, created_at: Timestamp(0), expires_at: END };
        db.write(async move |tx| sandboxes::insert(tx, &odd).await).await.unwrap();
        sandbox(&db, &workspaces, "sbx_1").await;
        reap(&db, &workspaces, AFTER_GRACE).await.unwrap();
        assert_eq!(is_there(&db, folder.path(), "../x").await, (true, false));
        assert_eq!(is_there(&db, folder.path(), "sbx_1").await, (false, false));
    }
}

//! Putting a team's files into a Job's workspace, before its first model turn.
//!
//! It leaves nothing in the journal: until the model has answered once, whoever has the run does it again, with the same outcome. A name that nothing
//! has, or bytes that cannot be put there, end the Job with a cause that names them.

use std::time::Duration;

use agent::workspace::{Workspace, Workspaces};
use domain::files::{TeamFile, area, came_at};
use domain::runs::Cause;
use domain::sandboxes::{FileError, SandboxPath};
use domain::{TeamId, Timestamp};
use storage::work::Lease;
use storage::{Db, StoreError, files};
use uuid::Uuid;

use crate::leases;
use crate::shop::Shop;

/// After a trouble of the store that passes, before the next try.
const RETRY: Duration = Duration::from_millis(300);
/// How often a file is looked up whose bytes are gone: it was replaced between the two looks.
const LOOKS: usize = 3;
/// How long bytes without a row are left alone, in milliseconds: their row may be about to be written.
const LEFT_MS: i64 = 24 * 60 * 60 * 1000;
/// Teams looked up at once.
const BATCH: u32 = 100;

/// Puts each of the files there that a Build names, by id or by name.
pub(crate) async fn place(shop: &Shop, lease: Lease, names: &[String], workspace: &Workspace) -> Result<(), NotPlaced> {
    for name in names {
        // A worker that lost the run must not overwrite what the next one's model has written since.
        still_ours(shop, lease).await?;
        faults::point("files.place");
        place_one(shop, lease.team, name, workspace).await.map_err(NotPlaced::Because)?;
    }
    faults::point("files.placed");
    // Placing many takes its time, and a model turn follows.
    still_ours(shop, lease).await
}

/// Why not all files are there.
pub(crate) enum NotPlaced {
    /// They never will be.
    Because(Cause),
    /// The lease cannot be renewed in time: whoever claims the run next begins anew.
    LeaseEnds,
}

async fn still_ours(shop: &Shop, lease: Lease) -> Result<(), NotPlaced> {
    if shop.may_act(lease) || leases::renew_one(shop, lease).await { Ok(()) } else { Err(NotPlaced::LeaseEnds) }
}

/// Removes bytes that no row names: what a server left that died between the two, or could not remove.
pub(crate) async fn sweep(db: &Db, workspaces: &Workspaces, now: Timestamp) -> Result<(), StoreError> {
    let before = Timestamp(now.0.saturating_sub(LEFT_MS));
    let mut last = TeamId(Uuid::nil());
    loop {
        let teams = db.read_slow(async move |tx| files::teams(tx, last, BATCH).await).await?;
        let Some(end) = teams.last() else { return Ok(()) };
        last = *end;
        for team in teams {
            let store = workspaces.open(&area(team));
            let listing = store.clone();
            let listed = tokio::task::spawn_blocking(move || listing.list(&SandboxPath::root())).await;
            for file in listed.ok().and_then(Result::ok).unwrap_or_default() {
                let old = came_at(&file.name).is_some_and(|at| at < before);
                let Some(blob) = Uuid::try_parse(&file.name).ok().filter(|_| old) else { continue };
                if db.read_slow(async move |tx| files::has_blob(tx, team, blob).await).await? {
                    continue;
                }
                let store = store.clone();
                let removing = move || store.remove(&domain::files::stored_at(blob));
                if let Ok(Err(error)) = tokio::task::spawn_blocking(removing).await {
                    tracing::error!(%error, "the bytes of a team file that is gone cannot be removed");
                }
            }
        }
    }
}

async fn place_one(shop: &Shop, team: TeamId, name: &str, workspace: &Workspace) -> Result<(), Cause> {
    for _look in 0..LOOKS {
        let file = match find(shop, team, name).await {
            Ok(Some(file)) => file,
            Ok(None) => return Err(missing(name)),
            Err(error) => return Err(not_placed(name, &error.to_string())),
        };
        match copied(shop, file, workspace.clone()).await {
            Ok(()) => return Ok(()),
            // Its bytes have gone: somebody replaced or removed it at this moment.
            Err(Copying::Gone) => {}
            Err(Copying::Failed(error)) => return Err(not_placed(name, &error)),
        }
    }
    Err(missing(name))
}

async fn find(shop: &Shop, team: TeamId, name: &str) -> Result<Option<TeamFile>, StoreError> {
    loop {
        match shop.parts.db.read(async |tx| files::find(tx, team, name).await).await {
            Err(error) if error.passes() && shop.goes_on() => tokio::time::sleep(RETRY).await,
            found => return found,
        }
    }
}

enum Copying {
    Gone,
    Failed(String),
}

async fn copied(shop: &Shop, file: TeamFile, workspace: Workspace) -> Result<(), Copying> {
    let store = shop.parts.workspaces.open(&area(file.team));
    let copy = move || {
        let target = file.placed_at().map_err(Copying::Failed)?;
        let bytes = store.read(&file.stored_at()).map_err(|error| match error {
            FileError::NotFound(_) => Copying::Gone,
            error => Copying::Failed(error.to_string()),
        })?;
        workspace.write(&target, &bytes).map_err(|error| Copying::Failed(error.to_string()))
    };
    tokio::task::spawn_blocking(copy).await.unwrap_or_else(|broken| Err(Copying::Failed(broken.to_string())))
}

fn missing(name: &str) -> Cause {
    let message = format!(
        "The Build names the team file {name:?}, and the team has none of that id or name. Put it there (POST /v1/files, `errand files push`), \
         then start a new Job."
    );
    Cause { code: "file_missing".into(), message }
}

fn not_placed(name: &str, why: &str) -> Cause {
    let message = format!("The team file {name:?} could not be put into the workspace: {why}.");
    Cause { code: "file_not_placed".into(), message }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::FileId;
    use storage::{MIGRATIONS, Settings, teams};

    use super::*;

    const TEAM: TeamId = TeamId(Uuid::from_u128(1));
    /// What bytes are called that came in the millisecond 0x1000.
    const NAMED: Uuid = Uuid::from_u128(0x0000_0000_1000_7000_8000_0000_0000_0001);
    const NOBODYS: Uuid = Uuid::from_u128(0x0000_0000_1000_7000_8000_0000_0000_0002);

    #[tokio::test]
    async fn bytes_that_no_row_names_go_once_they_are_old() {
        let folder = tempfile::tempdir().unwrap();
        let workspaces = Workspaces::new(folder.path().join("sandboxes"));
        let db = Db::open(&Settings::new(folder.path().join("errand.db"), Arc::new(|| Timestamp(0)))).unwrap();
        db.migrate(MIGRATIONS, 0).await.unwrap();
        let (at, id) = (Timestamp(0x1000), FileId(NAMED));
        let file = TeamFile {
            id,
            team: TEAM,
            name: "a".into(),
            size: 1,
            sha256: [0; 32],
            blob: NAMED,
            created_at: at,
            updated_at: at,
        };
        let furnish = async move |tx: &mut storage::Tx<'_>| {
            teams::insert(tx, TEAM, "ours", at).await?;
            files::put(tx, &file).await
        };
        db.write::<_, StoreError, _>(furnish).await.unwrap();
        let store = workspaces.open(&area(TEAM));
        for blob in [NAMED, NOBODYS] {
            store.write(&domain::files::stored_at(blob), b"a").unwrap();
        }
        let left = || store.list(&SandboxPath::root()).unwrap().into_iter().map(|file| file.name).collect::<Vec<_>>();
        let (named, nobodys) = (NAMED.simple().to_string(), NOBODYS.simple().to_string());
        sweep(&db, &workspaces, Timestamp(at.0 + LEFT_MS)).await.unwrap();
        assert_eq!(left(), [named.clone(), nobodys]);
        sweep(&db, &workspaces, Timestamp(at.0 + LEFT_MS + 1)).await.unwrap();
        assert_eq!(left(), [named]);
    }
}

//! Asking the MCP servers of a Build what they offer, once: when the Build is made, or when a Job first needs it and nobody could be reached before.

use std::sync::Arc;
use std::time::Duration;

use domain::builds::{Config, McpTool, Secrets};
use domain::{Ambient, BuildId, TeamId};
use futures_util::future::join_all;
use mcp::{Failure, Place, Servers};
use storage::master_keys::Keyring;
use storage::{Db, StoreError, builds, pins};
use tokio::sync::Semaphore;

/// Builds whose servers are asked at the same time. Others wait, or are asked by their first Job.
const AT_ONCE: usize = 16;
/// Between two tries of a server that could not be asked.
pub(crate) const AGAIN: Duration = Duration::from_mins(1);

/// How MCP servers are reached.
#[derive(Clone)]
pub struct Mcp {
    /// The way to them.
    pub servers: Servers,
    /// What the header values of Builds are sealed with.
    pub keyring: Keyring,
}

/// Asks the servers of Builds that have just been made.
#[derive(Clone)]
pub struct Pinner {
    db: Db,
    ambient: Arc<dyn Ambient>,
    mcp: Mcp,
    places: Arc<Semaphore>,
}

impl Pinner {
    /// One for a process.
    pub fn new(db: Db, ambient: Arc<dyn Ambient>, mcp: Mcp) -> Self {
        Self { db, ambient, mcp, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Soon asks the servers of a stored Build. Needs a tokio runtime. What does not come about is left to the Build's first Job.
    pub fn pin_soon(&self, team: TeamId, build: BuildId) {
        let pinner = self.clone();
        tokio::spawn(async move {
            let Ok(_place) = pinner.places.acquire().await else { return };
            match pinner.pin(team, build).await {
                Ok(failed) => {
                    for (server, failure) in failed {
                        tracing::info!(%build, server, code = failure.code, "an MCP server was not reached; the Build's first Job asks it");
                    }
                }
                Err(error) => {
                    tracing::warn!(%build, %error, "what MCP servers offer could not be kept; the Build's first Job asks them");
                }
            }
        });
    }

    async fn pin(&self, team: TeamId, build: BuildId) -> Result<Vec<(String, Failure)>, StoreError> {
        let stored = self.db.read(async |tx| builds::get(tx, team, build).await).await?;
        let Some(stored) = stored else { return Ok(vec![]) };
        let config: Config =
            serde_json::from_str(&stored.config_json).map_err(|error| storage::unreadable("builds.config", &error))?;
        pin(&self.db, &*self.ambient, &self.mcp, (team, build), &config.servers()).await
    }
}

/// Where a server is, with the header values that the Build gives for it.
pub(crate) async fn place(
    db: &Db,
    mcp: &Mcp,
    (team, build): (TeamId, BuildId),
    server: &McpTool,
) -> Result<Place, StoreError> {
    let secrets = if server.headers.as_ref().is_some_and(|headers| !headers.is_empty()) {
        db.read(async |tx| builds::secrets(tx, &mcp.keyring, team, build).await).await?
    } else {
        None
    };
    let headers = secrets.as_ref().map(|secrets: &Secrets| secrets.headers(&server.server_label, &server.server_url));
    Ok(Place { url: server.server_url.clone(), headers: headers.unwrap_or_default() })
}

/// Asks `servers` at once and keeps what they offer; answers which could not be asked, and why.
pub(crate) async fn pin(
    db: &Db,
    ambient: &dyn Ambient,
    mcp: &Mcp,
    (team, build): (TeamId, BuildId),
    servers: &[McpTool],
) -> Result<Vec<(String, Failure)>, StoreError> {
    let asked = join_all(servers.iter().map(async |server| {
        let place = place(db, mcp, (team, build), server).await?;
        let offer = async { mcp.servers.open(&place).await?.tools().await };
        Ok::<_, StoreError>((server.server_label.clone(), offer.await))
    }));
    let (mut offers, mut failed) = (Vec::new(), Vec::new());
    for answer in asked.await {
        match answer? {
            (server, Ok(offer)) => offers.push((server, offer)),
            (server, Err(failure)) => failed.push((server, failure)),
        }
    }
    if !offers.is_empty() {
        let now = ambient.now();
        db.write::<_, StoreError, _>(async move |tx| {
            for (server, offer) in &offers {
                pins::pin(tx, (team, build), server, offer, now).await?;
            }
            Ok(())
        })
        .await?;
    }
    Ok(failed)
}

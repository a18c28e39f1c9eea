//! Fills a database before a server is started on it, straight through `storage`.

use domain::agents::Agent;
use domain::api_keys::{self, ApiKey, Scopes};
use domain::builds::{Defaults, normalise};
use domain::{AgentId, Ambient as _, ApiKeyId, BuildId, TeamId, Timestamp};
use storage::builds::NewBuild;
use storage::{MIGRATIONS, StoreError, agents, builds, teams};

use crate::ambient::SystemAmbient;
use crate::store::Store;

/// The key of every server under test.
pub(crate) const KEY: &str = "dv_bench_0123456789abcdef0123456789abcdef";

/// The name of every agent.
pub(crate) const NAME: &str = "Invoice Processor";

/// Agents that go into one transaction.
const BATCH: u32 = 1_000;

/// A config of the size that a short procedure has.
const CONFIG: &str = r#"{"version":"v2","data":{"models":{"agent":{"model":"claude-sonnet-4-6"},"browsing":{"provider":"anthropic","model":"claude-sonnet-4-5"}},"input":"Read every invoice among the uploaded files. Compare each with its purchase order: supplier, currency, line items and total. Ask a person about any that does not add up, with the two figures side by side. Write one line per invoice into summary.csv.","files":[],"skills":[]}}"#;

/// What was filled.
pub(crate) struct Seeded {
    /// The team of [`KEY`].
    pub(crate) team: TeamId,
    /// Some of the newest agents.
    pub(crate) agents: Vec<AgentId>,
}

/// The body of a POST that creates an agent and its first Build.
pub(crate) fn new_agent() -> String {
    format!(r#"{{"name":"{NAME}","build":{{"name":"v1","config":{CONFIG}}}}}"#)
}

/// The config as it is stored and served.
pub(crate) fn config() -> anyhow::Result<String> {
    let normalised = normalise(&serde_json::from_str(CONFIG)?, "", &Defaults::default(), None)?;
    Ok(serde_json::to_string(&normalised.config)?)
}

/// Makes the schema, a team, its key and `count` agents with a Build each.
pub(crate) async fn fill(store: &Store, count: u32) -> anyhow::Result<Seeded> {
    let ambient = SystemAmbient::new();
    let db = store.open().await?;
    let now = ambient.now();
    db.migrate(MIGRATIONS, now.0).await?;
    let team = TeamId(ambient.id(now));
    let key = ApiKey {
        id: ApiKeyId(ambient.id(now)),
        team,
        name: "bench".to_owned(),
        hash: api_keys::hash(KEY),
        scopes: Scopes::ALL,
        requests_per_minute: None,
        created_at: now,
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    };
    db.write(async move |tx| {
        teams::insert(tx, team, "Bench", now).await?;
        storage::api_keys::insert(tx, &key).await
    })
    .await?;
    let config = config()?;
    let mut newest = vec![];
    let mut left = count;
    while left > 0 {
        let batch: Vec<_> = (0..left.min(BATCH)).map(|_| (ambient.id(now), ambient.id(now))).collect();
        left = left.saturating_sub(BATCH);
        newest = batch.iter().take(64).map(|(agent, _)| AgentId(*agent)).collect();
        let config = config.clone();
        db.write(async move |tx| {
            for (agent, build) in batch {
                insert(tx, team, (AgentId(agent), BuildId(build)), &config, now).await?;
            }
            Ok::<_, StoreError>(())
        })
        .await?;
    }
    db.close().await;
    Ok(Seeded { team, agents: newest })
}

async fn insert(
    tx: &mut storage::Tx<'_>,
    team: TeamId,
    (id, build): (AgentId, BuildId),
    config: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    agents::insert(tx, &Agent { id, team, name: NAME.to_owned(), created_at: now, updated_at: now }).await?;
    let new = NewBuild {
        id: build,
        agent: id,
        name: "v1".to_owned(),
        config: config.to_owned(),
        submitted: CONFIG.to_owned(),
        sealed: None,
        created_at: now,
    };
    builds::insert(tx, team, new).await.map(drop)
}

//! The operator's own door to the database, beside a running server or without one: for what the API has no operation for.

use domain::TeamId;
use storage::teams::Team;
use storage::{Db, MIGRATIONS, teams};

use crate::client::Failure;
use crate::config::{Config, Database, Place};
use crate::serve::environment;
use crate::{paint, wire};

/// Opens the database that is there, has `act` do something, prints what it answers.
pub(crate) async fn at(place: &Place, act: impl AsyncFnOnce(&Db) -> anyhow::Result<String>) -> anyhow::Result<()> {
    with(&Config::load(place, None, &environment)?, act).await
}

/// The same with settings that were read already.
pub(crate) async fn with(config: &Config, act: impl AsyncFnOnce(&Db) -> anyhow::Result<String>) -> anyhow::Result<()> {
    if let Database::Sqlite(path) = &config.database
        && !path.exists()
    {
        anyhow::bail!("{}: no database there; `errand serve` makes it at its first start", path.display());
    }
    let (db, _) = wire::open_database(&config.database).await?;
    let done = async {
        db.require_schema(MIGRATIONS).await?;
        act(&db).await
    };
    let shown = done.await;
    db.close().await;
    Ok(paint::print(&shown?)?)
}

/// The team that `--team` names by id or name; without it the first one.
pub(crate) async fn team(db: &Db, named: Option<&str>) -> anyhow::Result<Team> {
    let mut all = db.read(async |tx| teams::all(tx).await).await?;
    let Some(named) = named else {
        anyhow::ensure!(!all.is_empty(), "there is no team yet; `errand serve` makes it at its first start");
        return Ok(all.remove(0));
    };
    let id = named.parse::<TeamId>().ok();
    let mut found = all.into_iter().filter(|team| team.name == named || Some(team.id) == id);
    match (found.next(), found.next()) {
        (Some(team), None) => Ok(team),
        (None, _) => Err(Failure::NotFound(format!("no team {named:?}; `errand teams list` shows them")).into()),
        (Some(_), Some(_)) => anyhow::bail!("several teams are called {named:?}; name one by its id"),
    }
}

//! The operator's own door to the database, beside a running server or without one: for what the API has no operation for.

use std::sync::Arc;

use anyhow::Context;
use domain::{Ambient, TeamId};
use storage::teams::Team;
use storage::{Db, MIGRATIONS, Settings, teams};

use crate::ambient::SystemAmbient;
use crate::client::Failure;
use crate::config::{Config, Database, Place};
use crate::serve::environment;
use crate::{paint, wire};

/// Opens the database that is there, for reading at least if its disk is full, has `act` do something, prints what it answers.
pub(crate) async fn at(place: &Place, act: impl AsyncFnOnce(&Db) -> anyhow::Result<String>) -> anyhow::Result<()> {
    with(&Config::load(place, None, &environment)?, act).await
}

/// The same with settings that were read already.
pub(crate) async fn with(config: &Config, act: impl AsyncFnOnce(&Db) -> anyhow::Result<String>) -> anyhow::Result<()> {
    let db = match &config.database {
        Database::Sqlite(path) => {
            let shown = path.display();
            anyhow::ensure!(path.exists(), "{shown}: no database there; `errand serve` makes it at its first start");
            let ambient = SystemAmbient::new();
            let settings = Settings::new(path, Arc::new(move || ambient.now()));
            Db::open_even_if_full(&settings).with_context(|| shown.to_string())?
        }
        Database::Postgres(_) => wire::open_database(&config.database).await?.0,
    };
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

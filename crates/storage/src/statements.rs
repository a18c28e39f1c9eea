//! Every statement of every noun, prepared against the real schema: a slip in SQL is found here and not by whoever is first to run it.

use std::sync::Arc;

use domain::Timestamp;
use testkit::postgres::Cluster;

use crate::{Db, MIGRATIONS, Sql};
use crate::{
    agents, answers, api_keys, audit, builds, files, health, human_requests, journal, load, master_keys, pins, quota,
    rates, runs, sabotage, sandboxes, settings, teams, webhooks, work,
};

#[tokio::test]
async fn every_statement_fits_the_schema() {
    let clock: crate::Clock = Arc::new(|| Timestamp(0));
    fits(&Db::in_memory(&clock).unwrap()).await;
}

#[tokio::test]
async fn every_statement_fits_the_schema_of_postgres() {
    let cluster = Cluster::start().unwrap();
    fits(&Db::connect(cluster.url().parse().unwrap()).await.unwrap()).await;
}

async fn fits(db: &Db) {
    db.migrate(MIGRATIONS, 0).await.unwrap();
    for (noun, statements) in [
        ("agents", agents::SQL),
        ("answers", answers::SQL),
        ("api_keys", api_keys::SQL),
        ("audit", audit::SQL),
        ("builds", builds::SQL),
        ("health", health::SQL),
        ("human_requests", human_requests::SQL),
        ("journal", journal::SQL),
        ("load", load::SQL),
        ("master_keys", master_keys::SQL),
        ("pins", pins::SQL),
        ("quota", quota::SQL),
        ("rates", rates::SQL),
        ("runs", runs::SQL),
        ("sabotage", sabotage::SQL),
        ("files", files::SQL),
        ("sandboxes", sandboxes::SQL),
        ("settings", settings::SQL),
        ("teams", teams::SQL),
        ("webhooks", webhooks::SQL),
        ("work", work::SQL),
    ] {
        let statements: Vec<Sql> = statements.iter().copied().map(Sql::both).collect();
        assert_eq!(db.check_sql(&statements).await, Ok(()), "{noun}");
    }
    assert_eq!(db.check_sql(human_requests::PAIRS).await, Ok(()));
    assert_eq!(db.check_sql(master_keys::PAIRS).await, Ok(()));
    assert_eq!(db.check_sql(quota::PAIRS).await, Ok(()));
    assert_eq!(db.check_sql(files::PAIRS).await, Ok(()));
    assert_eq!(db.check_sql(webhooks::PAIRS).await, Ok(()));
    assert_eq!(db.check_sql(work::PAIRS).await, Ok(()));
}

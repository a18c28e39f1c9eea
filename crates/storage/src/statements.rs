//! Every statement of every noun, prepared against the real schema: a slip in SQL is found here and not by whoever is first to run it.

use crate::{Db, MIGRATIONS, Settings};
use crate::{agents, api_keys, builds, human_requests, journal, runs, sandboxes, teams, work};

#[tokio::test]
async fn every_statement_fits_the_schema() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(&Settings::new(folder.path().join("errand.db"))).unwrap();
    db.migrate(MIGRATIONS, 0).await.unwrap();
    for (noun, statements) in [
        ("agents", agents::SQL),
        ("api_keys", api_keys::SQL),
        ("builds", builds::SQL),
        ("human_requests", human_requests::SQL),
        ("journal", journal::SQL),
        ("runs", runs::SQL),
        ("sandboxes", sandboxes::SQL),
        ("teams", teams::SQL),
        ("work", work::SQL),
    ] {
        assert_eq!(db.check_sql(statements), Ok(()), "{noun}");
    }
}

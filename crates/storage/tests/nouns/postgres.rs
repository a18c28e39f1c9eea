//! A PostgreSQL of the tests' own: one server for all of them, a database for each.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use domain::Timestamp;
use storage::{Db, PostgresSettings, StoreError};
use testkit::postgres::Cluster;

pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::with(&["max_connections=300"]).unwrap())
}

pub(crate) fn new_database() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("nouns_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    cluster().create_database(&name).unwrap();
    name
}

/// A new, empty database.
pub(crate) fn database() -> PostgresSettings {
    cluster().url_of(&new_database()).parse().unwrap()
}

/// From now on this database's time is what a test says: the function that every statement asks is put in front of a table.
pub(crate) async fn let_tests_set_the_clock(db: &Db) {
    let replace = async |tx: &mut storage::Tx<'_>| {
        tx.exec("CREATE TABLE time_of_the_test (now BIGINT NOT NULL)", &[]).await?;
        tx.exec("INSERT INTO time_of_the_test VALUES (0)", &[]).await?;
        tx.exec(
            "CREATE OR REPLACE FUNCTION errand_now() RETURNS BIGINT LANGUAGE sql STABLE AS 'SELECT now FROM time_of_the_test'",
            &[],
        )
        .await
    };
    db.write::<_, StoreError, _>(replace).await.unwrap();
}

pub(crate) async fn set_clock(db: &Db, now: Timestamp) {
    let set = async move |tx: &mut storage::Tx<'_>| {
        tx.exec("UPDATE time_of_the_test SET now = $1", &[storage::Value::Int(now.0)]).await
    };
    db.write::<_, StoreError, _>(set).await.unwrap();
}

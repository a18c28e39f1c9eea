//! The tests' PostgreSQL behind a pooler that gives each transaction another session.

use std::sync::OnceLock;

use storage::{Pooler, PostgresSettings};
use testkit::postgres::Bouncer;

use crate::postgres::{cluster, new_database};

/// A new, empty database.
pub(crate) fn database() -> PostgresSettings {
    static BOUNCER: OnceLock<Bouncer> = OnceLock::new();
    let bouncer = BOUNCER.get_or_init(|| Bouncer::start(cluster()).unwrap());
    let url = cluster().url_at(bouncer.address(), &new_database());
    let mut settings: PostgresSettings = url.parse().unwrap();
    settings.pooler = Pooler::Transaction;
    settings
}

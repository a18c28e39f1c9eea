//! Where a server under test keeps everything but files, so that the same rows can be measured on each kind of database.
//!
//! A [`Backend`] lasts for a part; every row takes a fresh [`Place`] on it, with nothing in it. What goes in is `seed.rs` and `history.rs`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;
use storage::{Db, PostgresSettings, Settings};
use tempfile::TempDir;
use testkit::postgres::Cluster;

/// A kind of database to measure on.
pub(crate) enum Backend {
    /// A file in the data folder.
    Sqlite,
    /// A cluster of the bench's own.
    Postgres {
        /// It ends with the part.
        cluster: Cluster,
        /// Databases made so far, which numbers the next one.
        made: AtomicU32,
    },
}

impl Backend {
    /// Starts a PostgreSQL in `dir`, with `settings` beside those that testkit gives it.
    pub(crate) fn postgres(dir: &Path, settings: &[&str]) -> anyhow::Result<Self> {
        let cluster = Cluster::beneath(dir, settings).context("a PostgreSQL of the bench's own")?;
        Ok(Self::Postgres { cluster, made: AtomicU32::new(0) })
    }

    /// As rows name it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres { .. } => "PostgreSQL",
        }
    }

    /// An empty data folder in `dir` and an empty database.
    pub(crate) fn place(&self, dir: &Path) -> anyhow::Result<Place> {
        let named = || format!("making a data folder in {}", dir.display());
        let folder = tempfile::Builder::new().prefix("errand-bench-").tempdir_in(dir).with_context(named)?;
        Ok(match self {
            Self::Sqlite => {
                let store = Store::File(folder.path().join("errand.db"));
                Place { folder, store, database: String::new(), server: None }
            }
            Self::Postgres { cluster, made } => {
                let database = format!("bench_{}", made.fetch_add(1, Ordering::Relaxed));
                cluster.create_database(&database)?;
                let store = Store::Server(cluster.url_of(&database));
                Place { folder, store, database, server: cluster.pid() }
            }
        })
    }

    /// Brings a database that was filled just now to the state that it comes to by itself within minutes: until PostgreSQL has looked at tables that were
    /// empty, it plans for empty tables, and each connection keeps those plans.
    pub(crate) fn settle(&self, place: &Place) -> anyhow::Result<()> {
        if let Self::Postgres { cluster, .. } = self {
            cluster.psql(&place.database, "vacuum analyze")?;
        }
        Ok(())
    }

    /// Transactions that this place's database has ended so far; `None` where nobody counts them. Asked from another database, so that asking is
    /// not counted.
    pub(crate) fn transactions(&self, place: &Place) -> anyhow::Result<Option<u32>> {
        let Self::Postgres { cluster, .. } = self else { return Ok(None) };
        let name = &place.database;
        let count = format!("select xact_commit + xact_rollback from pg_stat_database where datname = '{name}'");
        Ok(Some(cluster.psql("postgres", &count)?.trim().parse()?))
    }
}

/// One data folder with one database. Dropping it removes the folder; a database goes with its cluster.
pub(crate) struct Place {
    folder: TempDir,
    /// The database.
    pub(crate) store: Store,
    /// Its name within the cluster.
    database: String,
    /// The first process of the server that keeps it, where there is one.
    pub(crate) server: Option<u32>,
}

impl Place {
    /// The data folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// How a database is reached, as `--database-url` says it.
#[derive(Debug, Clone)]
pub(crate) enum Store {
    /// SQLite's file.
    File(PathBuf),
    /// The URL of a PostgreSQL database.
    Server(String),
}

impl Store {
    /// Opens it with the product's defaults.
    pub(crate) async fn open(&self) -> anyhow::Result<Db> {
        Ok(match self {
            Self::File(path) => Db::open(&Settings::new(path, crate::ambient::clock()))?,
            Self::Server(url) => Db::connect(url.parse::<PostgresSettings>()?).await?,
        })
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "sqlite:{}", path.display()),
            Self::Server(url) => f.write_str(url),
        }
    }
}

impl FromStr for Store {
    type Err = std::convert::Infallible;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let file = url.strip_prefix("sqlite:");
        Ok(file.map_or_else(|| Self::Server(url.to_owned()), |path| Self::File(path.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_reads_the_url_that_its_parent_wrote() {
        for url in ["sqlite:/a/errand.db", "postgres://errand@%2Fa:5432/bench_0"] {
            let Ok(store) = url.parse::<Store>();
            assert_eq!(store.to_string(), url);
            assert_eq!(matches!(store, Store::File(_)), url.starts_with("sqlite:"));
        }
    }
}

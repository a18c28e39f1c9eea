//! Reaching the server: its URL, TLS, the timeouts of every session, and the settings without which it may not be used.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls_platform_verifier::Verifier;
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::trouble::{chain, said};
use crate::db::error::StoreError;
use crate::db::health::Health;

/// How long a connection may take to come about, and how long a job waits for a free one.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// A peer that does not acknowledge for so long is gone; the system's own patience is a quarter of an hour.
const SILENCE: Duration = Duration::from_secs(10);
/// No statement of ours takes seconds; one that waits for a lock that long waits for something broken. What is left open in the middle is
/// rolled back by the server, so that its locks end with a worker that froze, as soon as those that wait for them lose their patience.
const TIMEOUTS: &str =
    "SET statement_timeout = '15s'; SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '5s'";
/// The same for one transaction.
pub(super) const LOCAL_TIMEOUTS: &str = "SET LOCAL statement_timeout = '15s'; SET LOCAL lock_timeout = '5s'; \
    SET LOCAL idle_in_transaction_session_timeout = '5s'";
/// For every session that this user opens on this database from now on. What is set for one transaction is not there yet between its BEGIN and the
/// next message, and not any more once a statement has failed. Everybody may do this to themselves; two at once could not, so they take turns.
const LASTING_TIMEOUT: &str = "DO $$ BEGIN PERFORM pg_advisory_xact_lock(1165128293); \
    EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I SET idle_in_transaction_session_timeout = ''5s''', current_database()); END $$";
const HAS_LASTING_TIMEOUT: &str =
    "SELECT reset_val <> '0' FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'";
/// What the server's own patience cannot end, because nothing of it arrives any more, ends after this: the connection is given up.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);
/// The same for a migration.
pub(super) const LONG_DEADLINE: Duration = Duration::from_hours(6);
/// The oldest server: older ones get no fixes any more.
const OLDEST: i32 = 140_000;

/// What stands between this process and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooler {
    /// Nothing, or a pooler that keeps a session together.
    #[default]
    None,
    /// A pooler that gives each transaction another session, such as PgBouncer in its mode `transaction`: no prepared statements, no session
    /// settings, and no notifications, so that news of other nodes come by the slow poll.
    Transaction,
}

/// How to reach a PostgreSQL database.
#[derive(Clone)]
pub struct PostgresSettings {
    config: Config,
    ca_file: Option<PathBuf>,
    /// Connections at most: one keeps leases, half of the rest read. One more listens for news.
    pub connections: usize,
    /// What stands in between.
    pub pooler: Pooler,
}

impl FromStr for PostgresSettings {
    type Err = StoreError;

    /// Of a URL `postgres://user:password@host:port/database?sslmode=…&sslrootcert=FILE`. Several hosts may be given, separated by commas: the
    /// one that takes writes is used. TLS always verifies the server, so every `sslmode` but `disable` and `prefer` means `verify-full`.
    fn from_str(url: &str) -> Result<Self, StoreError> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        whole(base, query)?;
        let (mut kept, mut ca_file) = (Vec::new(), None);
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslrootcert", file)) => ca_file = Some(PathBuf::from(file)),
                Some(("sslmode", "verify-full" | "verify-ca")) => kept.push("sslmode=require"),
                _ => kept.push(parameter),
            }
        }
        // The error names the parameter and never quotes the URL, which may hold a password.
        let mut config = Config::from_str(&format!("{base}?{}", kept.join("&")))
            .map_err(|error| StoreError::Setup(format!("the database URL: {}", chain(&error))))?;
        if ca_file.is_some() && config.get_ssl_mode() == SslMode::Prefer {
            config.ssl_mode(SslMode::Require);
        }
        // Of several hosts one that does not even refuse leaves time for the others.
        let share = u32::try_from(config.get_hosts().len()).map_or(CONNECT, |hosts| CONNECT / hosts.max(1));
        config
            .application_name("errand")
            .connect_timeout(share)
            .tcp_user_timeout(SILENCE)
            .keepalives_idle(SILENCE)
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        Ok(Self { config, ca_file, connections: 8, pooler: Pooler::None })
    }
}

/// Refuses a URL in which a part of the password would be taken for a host or a path, and be shown as one.
fn whole(base: &str, query: &str) -> Result<(), StoreError> {
    let rest = base.split_once("://").map_or(base, |(_, rest)| rest);
    let (people, after) = rest.rsplit_once('@').unwrap_or(("", rest));
    if people.contains(['@', '/', '#']) || after.contains(['#', '&', '=']) || query.contains('@') {
        let wanted = "write @ as %40, / as %2F, # as %23 and ? as %3F in user name and password";
        return Err(StoreError::Setup(format!("the database URL: {wanted}")));
    }
    Ok(())
}

impl PostgresSettings {
    /// The server and database, without user and password, for people.
    pub fn place(&self) -> String {
        let ports = self.config.get_ports();
        let hosts = self.config.get_hosts().iter().enumerate().map(|(place, host)| {
            let name = match host {
                tokio_postgres::config::Host::Tcp(name) => name.clone(),
                tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
            };
            // One port is that of all hosts.
            match ports.get(place).or(ports.first()) {
                Some(port) => format!("{name}:{port}"),
                None => name,
            }
        });
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or_default();
        format!("postgres://{}/{database}", hosts.collect::<Vec<_>>().join(","))
    }

    /// Connections, made when they are needed.
    pub(super) fn pool(&self, size: usize) -> Result<Pool, StoreError> {
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(self.config.clone(), self.tls()?, config);
        let mut building = Pool::builder(manager).max_size(size).runtime(Runtime::Tokio1).timeouts(Timeouts {
            wait: Some(CONNECT),
            create: Some(CONNECT),
            recycle: Some(CONNECT),
        });
        if self.pooler == Pooler::None {
            building = building.post_create(Hook::async_fn(|client, _| {
                Box::pin(async move { client.batch_execute(TIMEOUTS).await.map_err(HookError::Backend) })
            }));
        }
        building.build().map_err(|error| StoreError::Setup(format!("the database connections: {error}")))
    }

    /// One connection outside of the pool.
    pub(crate) async fn alone(
        &self,
    ) -> Result<
        (
            tokio_postgres::Client,
            tokio_postgres::Connection<
                tokio_postgres::Socket,
                <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<tokio_postgres::Socket>>::Stream,
            >,
        ),
        StoreError,
    > {
        self.config.connect(self.tls()?).await.map_err(|error| said(&error))
    }

    fn tls(&self) -> Result<MakeRustlsConnect, StoreError> {
        let setup = |error: &dyn std::fmt::Display| StoreError::Setup(format!("TLS to the database: {error}"));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let own = match &self.ca_file {
            Some(file) => CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| setup(&format!("sslrootcert {}: {error}", file.display())))?,
            None => Vec::new(),
        };
        let verifier = Verifier::new_with_extra_roots(own, Arc::clone(&provider)).map_err(|error| setup(&error))?;
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| setup(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(client))
    }
}

/// Refuses a server that may forget what it acknowledged, or cannot hold what is stored.
pub(super) async fn judge(client: &Object) -> Result<(), StoreError> {
    // Typed, so without a name: a named statement would stay behind in a session that a pooler gives to others.
    let row = client
        .query_typed_one(
            "SELECT current_setting('server_version_num'), current_setting('fsync'), current_setting('full_page_writes'), \
             current_setting('synchronous_commit'), current_setting('server_encoding'), pg_is_in_recovery()",
            &[],
        )
        .await
        .map_err(|error| said(&error))?;
    let text = |column: usize| row.try_get::<_, &str>(column).unwrap_or_default();
    let mut wrong = Vec::new();
    if text(0).parse::<i32>().unwrap_or(0) < OLDEST {
        wrong.push(format!("the server is version {}; 14 is the oldest that is supported", text(0)));
    }
    for (column, name) in [(1, "fsync"), (2, "full_page_writes"), (3, "synchronous_commit")] {
        if text(column) == "off" {
            wrong.push(format!("{name} is off: a crash would lose what Errand has acknowledged; set {name} = on"));
        }
    }
    if text(4) != "UTF8" {
        wrong.push(format!("the database's encoding is {}: create one with ENCODING 'UTF8'", text(4)));
    }
    if row.try_get::<_, bool>(5).unwrap_or(true) {
        wrong.push("the server is a standby and takes no writes: name the primary".to_owned());
    }
    if wrong.is_empty() { Ok(()) } else { Err(StoreError::Setup(wrong.join("; "))) }
}

/// Refuses a pooler that gives each transaction another session, where nobody said that there is one: statements would be missing, now and then.
/// Of two connections one holds a session while the other works, and then lets it go: such a pooler gives the other one that.
pub(super) async fn look_for_pooler(one: &Object, other: &Object) -> Result<(), StoreError> {
    let session = async || {
        let row = other.query_typed_one("SELECT pg_backend_pid()", &[]).await?;
        row.try_get::<_, i32>(0)
    };
    let found = async {
        one.batch_execute("BEGIN").await?;
        let while_held = session().await;
        one.batch_execute("COMMIT").await?;
        Ok::<_, tokio_postgres::Error>((while_held?, session().await?))
    };
    match found.await.map_err(|error| said(&error))? {
        (before, after) if before == after => Ok(()),
        _ => Err(StoreError::Setup(
            "a pooler stands before the server that gives each transaction another session: set `transaction_pooler = true` in section [database]".into(),
        )),
    }
}

/// Sees to it that the server ends by itself what a frozen node left open behind a pooler. Where that is refused the log says so, and the node
/// goes on.
pub(super) async fn end_idle_sessions(client: &Object) -> Result<(), StoreError> {
    let had = has_lasting_timeout(client).await?;
    match client.batch_execute(&format!("BEGIN; {LOCAL_TIMEOUTS}; {LASTING_TIMEOUT}; COMMIT")).await {
        Ok(()) if had => {}
        Ok(()) => tracing::warn!(
            "from now on the server ends its sessions that idle in a transaction for 5 s; those that the pooler had opened before are not among \
             them: let it open new ones (PgBouncer: RECONNECT), or wait until it does by itself (server_lifetime)"
        ),
        Err(error) => {
            // The session goes back to the pooler as it came.
            client.batch_execute("ROLLBACK").await.map_err(|error| said(&error))?;
            let error = said(&error);
            if had {
                tracing::info!(%error, "idle_in_transaction_session_timeout was not set again for this user and database");
            } else {
                tracing::error!(
                    %error,
                    "idle_in_transaction_session_timeout cannot be set for this user and database: a node that freezes in a transaction \
                     holds up the others until it thaws; `errand doctor` says what to do"
                );
            }
        }
    }
    Ok(())
}

/// Whether this session was given a bound to its idleness when it was opened.
async fn has_lasting_timeout(client: &Object) -> Result<bool, StoreError> {
    let row = client.query_typed_one(HAS_LASTING_TIMEOUT, &[]).await.map_err(|error| said(&error))?;
    row.try_get(0).map_err(|error| said(&error))
}

/// What a server that was not refused is like.
pub(super) async fn health(client: &Object, of_a_node: u32, pooler: Pooler) -> Result<Health, StoreError> {
    // Without a name, as above.
    let row = client
        .query_typed_one(
            "SELECT current_setting('server_version'), current_setting('fsync'), current_setting('full_page_writes'), \
             current_setting('synchronous_commit'), CAST(current_setting('max_connections') AS INTEGER), \
             (SELECT CAST(count(*) AS INTEGER) FROM pg_stat_activity WHERE application_name = 'errand' \
             AND datname = current_database() AND pid <> pg_backend_pid())",
            &[],
        )
        .await
        .map_err(|error| said(&error))?;
    let text = |column: usize| row.try_get::<_, String>(column).unwrap_or_default();
    let number = |column: usize| row.try_get::<_, i32>(column).ok().and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    let settings = [(1, "fsync"), (2, "full_page_writes"), (3, "synchronous_commit")];
    let ends_idle = match pooler {
        Pooler::None => None,
        Pooler::Transaction => Some(has_lasting_timeout(client).await?),
    };
    Ok(Health::Postgres {
        version: text(0),
        settings: settings.map(|(column, name)| (name.to_owned(), text(column))).into(),
        connections: (number(4), number(5)),
        of_a_node,
        ends_idle,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_shown_without_its_password() {
        let url = "postgres://me:s3cret@one,two:5433/jobs?sslmode=verify-full&sslrootcert=/etc/ca.pem";
        let settings: PostgresSettings = url.parse().unwrap();
        assert_eq!(settings.place(), "postgres://one:5432,two:5433/jobs");
        assert_eq!(settings.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(settings.ca_file, Some("/etc/ca.pem".into()));
        for (wrong, why) in [
            ("postgres://me:s3cret@h/d?nonsense=1", "nonsense"),
            ("postgres://me:s3cret@h/d?sslmode=allow", "sslmode"),
            ("postgres://me:s3cret@h:port/d", "port"),
            ("postgres://me:s3@cret@h/d", "%40"),
            ("postgres://me:s3/cret@h/d", "%2F"),
            ("postgres://me:s3#cret@h/d", "%23"),
            ("postgres://me:s3@cret#x@h/d", "%40"),
            ("postgres://me:s3?cret@h/d", "the database URL"),
        ] {
            let told = PostgresSettings::from_str(wrong).err().unwrap().to_string();
            assert!(told.contains("the database URL") && told.contains(why), "{told}");
            assert!(!told.contains("s3") && !told.contains("cret"), "{told}");
        }
    }
}

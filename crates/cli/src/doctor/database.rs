//! What is stored: whether the database is sound and of this version, whether its clock is ours, and whether every run that should move does.

use std::sync::Arc;

use domain::{Ambient, RunId};
use storage::health::{self, Sizes, Standstill};
use storage::{Db, Health, MIGRATIONS, Settings, StoreError, master_keys, work};

use super::folder::{self, Server};
use super::{Level, Report};
use crate::ambient::SystemAmbient;
use crate::config::{Config, Database};
use crate::master_key::at_hand;

/// Further away from the database's clock than this is worth a warning, in milliseconds.
const FAR_MS: u64 = 2_000;
/// Ids that are named of each kind of trouble.
const NAMED: usize = 5;

/// Looks at everything that is stored.
pub(super) async fn look(report: &mut Report, config: &Config, server: Server) {
    let db = match open(&config.database).await {
        Ok(db) => db,
        Err((error, advice)) => return report.problem("database", error, advice),
    };
    engine(report, &db, config).await;
    if schema(report, &db).await {
        master_key(report, &db, config).await;
        clocks(report, &db).await;
        match db
            .read_slow(async |tx| Ok::<_, StoreError>((health::standstill(tx).await?, health::sizes(tx).await?)))
            .await
        {
            Ok((found, sizes)) => jobs(report, &found, sizes, server),
            Err(error) => report.problem("jobs", error.to_string(), "see above, or report it"),
        }
    }
    db.close().await;
}

/// For reading only; or why not, and what to do.
async fn open(database: &Database) -> Result<Db, (String, &'static str)> {
    match database {
        Database::Sqlite(path) if !path.exists() => {
            let advice = "`errand serve` makes it at its first start, `errand restore` brings one back from a backup";
            Err((format!("{} is not there", path.display()), advice))
        }
        Database::Sqlite(path) => {
            let ambient = SystemAmbient::new();
            let settings = Settings::new(path, Arc::new(move || ambient.now()));
            let advice = "run this as the user that the server runs as; if the file itself is broken, restore a backup";
            Db::open_for_reading(&settings).map_err(|error| (format!("{}: {error}", path.display()), advice))
        }
        Database::Postgres(settings) => {
            crate::wire::install_tls();
            let advice = "mend what it says: no server starts on this database as it is";
            let reached = Db::connect(settings.clone()).await;
            reached.map_err(|error| (format!("{}: {error}", settings.place()), advice))
        }
    }
}

async fn engine(report: &mut Report, db: &Db, config: &Config) {
    match db.health().await {
        Ok(Health::Sqlite { library, journal_mode, file }) => {
            report.ok("database", format!("{}: SQLite {library}", config.database));
            if journal_mode == "wal" {
                report.ok("journal", "journal_mode is wal; servers write with synchronous = FULL".to_owned());
            } else {
                let found = format!("journal_mode is {journal_mode}, and servers use wal");
                report.warning(
                    "journal",
                    found,
                    "the next start of the server sets it; nothing else should open the file",
                );
            }
            match file {
                Ok(()) => report.ok("pages", "SQLite's quick check finds nothing".to_owned()),
                Err(error) => {
                    let advice = "stop the server, keep a copy of the data folder, and restore a backup";
                    report.problem("pages", error.to_string(), advice);
                }
            }
        }
        Ok(Health::Postgres { version, settings, connections: (most, now), of_a_node, ends_idle }) => {
            report.ok("database", format!("{}: PostgreSQL {version}", config.database));
            let set = settings.iter().map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join(", ");
            report.ok("settings", set);
            let found =
                format!("one node uses up to {of_a_node} of the server's {most}; Errand's nodes have {now} open now");
            // Somebody must still be able to look after the server.
            if of_a_node + now + 5 > most {
                report.warning(
                    "connections",
                    found,
                    "raise max_connections, or lower database.connections in errand.toml",
                );
            } else {
                report.ok("connections", found);
            }
            if let Some(ends) = ends_idle {
                pooler(report, ends);
            }
        }
        Err(error) => {
            report.problem(
                "database",
                format!("{}: {error}", config.database),
                "if the file is broken, restore a backup",
            );
        }
    }
}

/// Whether a node that froze in a transaction holds up all that come through the pooler.
fn pooler(report: &mut Report, ends: bool) {
    if ends {
        report.ok("pooler", "the server ends sessions that idle in a transaction".to_owned());
    } else {
        report.warning(
            "pooler",
            "a session of the pooler was opened without idle_in_transaction_session_timeout: a node that freezes in a transaction would hold up all others"
                .to_owned(),
            "each start of a server sets it for its user and database; if its log says that it could not, do it as a superuser: ALTER ROLE … IN DATABASE … \
             SET idle_in_transaction_session_timeout = '5s'. Then let the pooler open new sessions (PgBouncer: RECONNECT)",
        );
    }
}

/// Whether the schema is this version's: otherwise nothing more can be asked.
async fn schema(report: &mut Report, db: &Db) -> bool {
    match db.require_schema(MIGRATIONS).await {
        Ok(()) => {
            report.ok("schema", format!("all {} migrations of this version are applied", MIGRATIONS.len()));
            true
        }
        Err(error) => {
            report.problem("schema", error.to_string(), "until then nothing is known of the Jobs in it");
            false
        }
    }
}

/// Whether a start would find the key that the secrets are sealed with.
async fn master_key(report: &mut Report, db: &Db, config: &Config) {
    let place = &config.master_key;
    let advice = "put the right key there, or name its file with --master-key-file: no server starts without it";
    let accepted = match db.read(async |tx| master_keys::accepted(tx).await).await {
        Ok(accepted) => accepted,
        Err(error) => return report.problem("master key", error.to_string(), "see above, or report it"),
    };
    match place.read() {
        Ok(Some(key)) => match db.read(async |tx| master_keys::check(tx, &key).await).await {
            Ok(()) => report.ok("master key", format!("{} ({}) opens the secrets", key.id(), place.shown())),
            Err(error) => report.problem("master key", format!("{}: {error}", place.shown()), advice),
        },
        Ok(None) if accepted.is_empty() && !db.is_shared() => {
            report.ok("master key", format!("{} is made at the next start", place.shown()));
        }
        Ok(None) if accepted.is_empty() => {
            report.problem(
                "master key",
                "none is named, and nodes that share a database share it".to_owned(),
                at_hand::SHARED,
            );
        }
        Ok(None) => {
            let found =
                format!("{} is not there; the secrets are sealed with {}", place.shown(), at_hand::ids(&accepted));
            report.problem("master key", found, advice);
        }
        Err(error) => report.problem("master key", format!("{error:#}"), advice),
    }
    if let Some(path) = place.file().filter(|path| path.exists()) {
        folder::modes(report, path);
    }
}

async fn clocks(report: &mut Report, db: &Db) {
    if !db.is_shared() {
        return;
    }
    match work::time(db).await {
        Ok(time) => {
            let wall = SystemAmbient::new().now();
            let apart = wall.0.abs_diff(time.0);
            if apart > FAR_MS {
                let found = format!("this machine's clock is {apart} ms away from the database's");
                report.warning(
                    "clocks",
                    found,
                    "set both by the same time servers: times that people read come from either",
                );
            } else {
                report.ok("clocks", format!("this machine's and the database's are {apart} ms apart"));
            }
        }
        Err(error) => report.problem("clocks", error.to_string(), "the database does not tell the time"),
    }
}

fn jobs(report: &mut Report, found: &Standstill, sizes: Sizes, server: Server) {
    let start = "start a server that runs Jobs: `errand serve`, and not with --role api alone";
    let look = "a running server mends it within a minute; if it is still so then, report it with the log";
    let near =
        "set the clock right; a running server makes them due within a minute, after the longest pause that there is";
    // A crashed server leaves these behind; only where one runs is it strange.
    let late = if server == Server::Missing { Level::Warning } else { Level::Problem };
    let troubles = [
        (&found.stuck, Level::Problem, "should be moving and are not queued", look),
        (
            &found.unheard,
            Level::Problem,
            "have messages that nobody would ever look at",
            "write to them once more, and report it",
        ),
        (
            &found.mute,
            Level::Problem,
            "wait for a person who was not asked anything",
            "write to them, or stop them, and report it",
        ),
        (
            &found.newer,
            Level::Problem,
            "need a newer version of Errand",
            "run the newest version that ever ran on this database",
        ),
        (&found.lapsed, late, "were left by a worker more than a minute ago, and nobody took them", start),
        (&found.far, late, "are due later than any pause lasts: a clock was far ahead", near),
        (&found.untold, late, "have webhooks that are due later than after any pause: a clock was far ahead", near),
        (&found.unclaimed, late, "have been due for more than a minute, and nobody took them", start),
    ];
    if troubles.iter().all(|(runs, ..)| runs.is_empty()) {
        report.ok("jobs", "every Job that should move can".to_owned());
    }
    for (runs, level, what, advice) in troubles {
        if !runs.is_empty() {
            report.add("jobs", level, format!("{} {what}: {}", runs.len(), names(runs)), advice);
        }
    }
    let Sizes { work, inbox, outbox } = sizes;
    report.ok("queues", format!("{work} Jobs at work or due, {inbox} entries in inboxes, {outbox} in the outbox"));
}

fn names(runs: &[RunId]) -> String {
    let mut shown = runs.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if runs.len() > NAMED {
        shown += ", …";
    }
    shown
}

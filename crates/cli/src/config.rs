//! What the operator settled: flags, then environment variables, then `errand.toml`, then defaults.
//!
//! Here: reading them into one [`Config`]; an unknown key, a wrong value, a file that is not there are errors that name file and key. Each
//! room defines and explains its own section; which values are refused is in `config/check.rs`. All sections
//! with their defaults are in `errand.example.toml`.

mod check;
mod files;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent::settings::ModelSettings;
use agent::workspace::{BucketSettings, Quota};
use anyhow::Context;
use clap::Args;
use domain::builds::Defaults;
use domain::limits::Limits;
use serde::Deserialize;
use storage::PostgresSettings;

pub(crate) use self::files::Files;
use crate::master_key::at_hand;
use crate::{logs, traces};

/// The file that is read when nobody names one and it is there.
const USUAL_FILE: &str = "errand.toml";

/// Where the data is: for the commands that open it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Place {
    /// The folder for database and files [default: ./errand-data]
    #[arg(long, global = true, env = "ERRAND_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Another place for the database: sqlite:PATH, or postgres://… for many nodes. Without it, errand.db in the data folder.
    #[arg(long, global = true, env = "ERRAND_DATABASE_URL", value_name = "URL")]
    database_url: Option<String>,
    /// The file with the key that secrets are sealed with [default on SQLite: master.key in the data folder, made at the first start]
    #[arg(long, global = true, env = "ERRAND_MASTER_KEY_FILE", value_name = "FILE")]
    master_key_file: Option<PathBuf>,
    /// The settings [default: ./errand.toml if it is there]
    #[arg(long, global = true, env = "ERRAND_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Everything that is settled.
#[derive(Debug)]
pub(crate) struct Config {
    /// Address and port.
    pub(crate) listen: String,
    /// The folder for everything that is kept.
    pub(crate) data_dir: PathBuf,
    /// Where the database is.
    pub(crate) database: Database,
    /// What secrets are sealed with.
    pub(crate) master_key: at_hand::Place,
    /// Where the files of sandboxes are.
    pub(crate) files: Files,
    /// How long running steps may take to end when the server stops.
    pub(crate) grace: Duration,
    /// The server's origin as clients see it; `None`: what they send their requests to.
    pub(crate) public_url: Option<String>,
    /// How long an upload URL is good.
    pub(crate) upload_url_lifetime: Duration,
    /// The most bytes of a file that comes by one.
    pub(crate) upload_bytes: u64,
    /// Requests a minute and key; 0 is any number.
    pub(crate) requests_per_minute: u32,
    /// How many connections there may be, and how long they may take.
    pub(crate) connections: server::Limits,
    /// The files of the certificate and its key, where TLS ends here.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    /// Section `[engine]`.
    pub(crate) engine: engine::Settings,
    /// Section `[limits]`.
    pub(crate) limits: Limits,
    /// Section `[sandboxes]`.
    pub(crate) quota: Quota,
    /// Section `[browsing]`.
    pub(crate) defaults: Defaults,
    /// Section `[egress]`: what users' URLs may reach beside what is public.
    pub(crate) egress: egress::Allow,
    /// Sections `[mcp.NAME]`: servers that the operator knows.
    pub(crate) mcp: BTreeMap<String, mcp::Known>,
    /// Section `[log]`.
    pub(crate) log: logs::Settings,
    /// Where metrics are served, if anywhere.
    pub(crate) metrics: Option<String>,
    /// Where spans go, if anywhere: section `[traces]` and OpenTelemetry's variables. Those may be meant for other programs, so what is wrong with them
    /// stops whoever sends spans, and nobody else.
    pub(crate) traces: anyhow::Result<Option<traces::Settings>>,
    /// Sections `[providers]`, `[models]`, `[models_default]`, and the vendors' variables.
    pub(crate) models: ModelSettings,
}

/// Where everything but files is kept.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "a process has one")]
pub(crate) enum Database {
    /// In a file of this machine, which one server has for itself.
    Sqlite(PathBuf),
    /// On a server that many nodes share.
    Postgres(PostgresSettings),
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never with the password.
        write!(f, "{self}")
    }
}

impl std::fmt::Display for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(settings) => f.write_str(&settings.place()),
        }
    }
}

/// The file as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    server: ServerPart,
    engine: engine::Settings,
    limits: Limits,
    database: DatabasePart,
    sandboxes: SandboxesPart,
    browsing: BrowsingPart,
    egress: EgressPart,
    mcp: BTreeMap<String, mcp::Known>,
    log: logs::Settings,
    metrics: MetricsPart,
    traces: traces::Part,
    // Read again by `ModelSettings`, which knows what they may hold.
    #[serde(rename = "providers")]
    _providers: toml::Table,
    #[serde(rename = "models")]
    _models: toml::Table,
    #[serde(rename = "models_default")]
    _models_default: toml::Table,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ServerPart {
    listen: String,
    data_dir: PathBuf,
    database_url: Option<String>,
    master_key_file: Option<PathBuf>,
    public_url: Option<String>,
    grace_secs: u64,
    requests_per_minute: u32,
    connections: usize,
    connections_per_address: usize,
    keep_alive_secs: u64,
    request_secs: u64,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
}

/// How a PostgreSQL server is used.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DatabasePart {
    connections: usize,
    transaction_pooler: bool,
}

impl Default for DatabasePart {
    fn default() -> Self {
        Self { connections: 8, transaction_pooler: false }
    }
}

/// Where sandboxes are, and what one may hold.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SandboxesPart {
    folder: Option<PathBuf>,
    s3: Option<BucketSettings>,
    entries: usize,
    bytes: u64,
    team_bytes: u64,
    /// An hour: time for a person to choose a file, not for a URL to be found in a mail next week.
    upload_url_secs: u64,
    /// As much as a sandbox holds, which is the limit below it.
    upload_bytes: u64,
}

impl Default for SandboxesPart {
    fn default() -> Self {
        let Quota { entries, bytes, team_bytes } = Quota::default();
        Self { folder: None, s3: None, entries, bytes, team_bytes, upload_url_secs: 3_600, upload_bytes: 1 << 30 }
    }
}

/// What a v2 config without a usable `models.browsing` gets (contract C1).
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BrowsingPart {
    provider: String,
    model: String,
}

/// What is opened for the URLs that users give.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct EgressPart {
    allow: Vec<String>,
}

/// Where the numbers for Prometheus are shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MetricsPart {
    listen: Option<String>,
}

impl Default for ServerPart {
    fn default() -> Self {
        let limits = server::Limits::default();
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            data_dir: "errand-data".into(),
            database_url: None,
            master_key_file: None,
            public_url: None,
            grace_secs: 20,
            requests_per_minute: server::REQUESTS_PER_MINUTE,
            connections: limits.connections,
            connections_per_address: limits.per_address,
            keep_alive_secs: limits.keep_alive.as_secs(),
            request_secs: limits.request.as_secs(),
            tls_cert: None,
            tls_key: None,
        }
    }
}

impl Default for BrowsingPart {
    fn default() -> Self {
        Self { provider: "anthropic".to_owned(), model: "claude-sonnet-4-5".to_owned() }
    }
}

impl Place {
    /// Everything in one folder, whatever variables and file say; other settings as usual.
    pub(crate) fn in_folder(folder: &Path, config: Option<String>) -> Self {
        let database_url = Some(format!("sqlite:{}", folder.join("errand.db").display()));
        Self { data_dir: Some(folder.to_owned()), database_url, config: config.map(Into::into), master_key_file: None }
    }
}

impl Config {
    /// Reads everything. `env` is where variables without a flag come from: the vendors', OpenTelemetry's, and Errand's own.
    pub(crate) fn load(
        place: &Place,
        listen: Option<String>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let usual = Path::new(USUAL_FILE);
        let path = place.config.as_deref().or_else(|| usual.exists().then_some(usual));
        let text = path.map(std::fs::read_to_string).transpose();
        let name = path.unwrap_or(usual).display().to_string();
        let text = text.with_context(|| name.clone())?.unwrap_or_default();
        Self::read(&text, &name, place, listen, env)
    }

    fn read(
        text: &str,
        name: &str,
        place: &Place,
        listen: Option<String>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let table: toml::Table = toml::from_str(text).map_err(|flaw| check::misspelt(text, name, &flaw))?;
        let file: File = serde_path_to_error::deserialize(table.clone()).map_err(|flaw| {
            anyhow::anyhow!("{name}: {}: {}", flaw.path(), flaw.inner().to_string().trim().replace('\n', " "))
        })?;
        let connections = check::connections(&file.server, name)?;
        let data_dir = place.data_dir.clone().unwrap_or(file.server.data_dir);
        let given = place.database_url.as_deref().filter(|url| !url.trim().is_empty());
        let database = match given.or(file.server.database_url.as_deref()) {
            Some(url) => check::database(url, file.database.connections, file.database.transaction_pooler, name)?,
            None => Database::Sqlite(data_dir.join("errand.db")),
        };
        let named = place.master_key_file.clone().filter(|file| !file.as_os_str().is_empty());
        let master_key =
            match check::master_key(env("ERRAND_MASTER_KEY").as_deref(), named, file.server.master_key_file)? {
                Some(place) => place,
                None => at_hand::Place::Own(data_dir.join(at_hand::FILE)),
            };
        let browsing = file.browsing;
        let tls = check::tls(file.server.tls_cert, file.server.tls_key, name)?;
        Ok(Self {
            listen: listen.unwrap_or(file.server.listen),
            files: Files::read(file.sandboxes.folder, file.sandboxes.s3, &data_dir, name, env)?,
            data_dir,
            database,
            master_key,
            grace: Duration::from_secs(file.server.grace_secs),
            public_url: file.server.public_url.map(|url| check::public_url(&url, name)).transpose()?,
            upload_url_lifetime: check::upload_url_lifetime(file.sandboxes.upload_url_secs, name)?,
            upload_bytes: file.sandboxes.upload_bytes,
            requests_per_minute: file.server.requests_per_minute,
            connections,
            tls,
            engine: check::engine(file.engine, name)?,
            limits: check::limits(file.limits, name)?,
            quota: Quota {
                entries: file.sandboxes.entries,
                bytes: file.sandboxes.bytes,
                team_bytes: file.sandboxes.team_bytes,
            },
            defaults: Defaults::new(&browsing.provider, &browsing.model)
                .map_err(|flaw| anyhow::anyhow!("{name}: browsing: {flaw}"))?,
            mcp: check::mcp(file.mcp, name)?,
            egress: check::egress(&file.egress.allow, env("ERRAND_EGRESS_ALLOW").as_deref(), name)?,
            log: file.log,
            metrics: env("ERRAND_METRICS_LISTEN").or(file.metrics.listen),
            traces: file.traces.settle(name, env),
            models: ModelSettings::read(&table, name, env)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Config> {
        Config::read(text, "errand.toml", &Place::default(), None, &|_| None)
    }

    fn refusal(text: &str) -> String {
        format!("{:#}", read(text).and_then(|config| config.traces).unwrap_err())
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let text = "[server]\nlisten = \"h:1\"\ndata_dir = \"a\"\ngrace_secs = 3\n[limits]\nturns = 7\n";
        let config = read(text).unwrap();
        assert_eq!((config.listen.as_str(), config.database.to_string().as_str()), ("h:1", "a/errand.db"));
        assert_eq!((config.grace, config.limits.turns), (Duration::from_secs(3), 7));
        let place = Place { data_dir: Some("b".into()), ..Place::default() };
        let config = Config::read(text, "errand.toml", &place, Some("h:2".to_owned()), &|_| None).unwrap();
        assert_eq!((config.listen.as_str(), config.database.to_string().as_str()), ("h:2", "b/errand.db"));
    }

    #[test]
    fn a_wrong_file_is_told_by_file_and_key() {
        for (text, told) in [
            ("[server]\nlsten = \"x\"", "lsten"),
            ("[limits]\nturns = -1", "limits.turns"),
            ("[modls]\n", "modls"),
            ("[engine]\nconcurrency = 0", "engine.concurrency"),
            ("[providers.openai]\nwire = \"grpc\"", "providers.openai.wire"),
            ("[browsing]\nprovider = \"me\"", "browsing"),
            ("[limits]\nturns = 0", "limits.turns"),
            ("[limits]\ntool_calls = 0", "limits.tool_calls"),
            ("[limits]\noutput_bytes = 0", "limits.output_bytes"),
            ("[limits]\nwall_ms = 0", "limits.wall_ms"),
            ("[limits]\nmodel_tries = 0", "limits.model_tries"),
            ("[egress]\nallow = [\"10.0.0.0/8\", \"10.0.0.1/8\"]", "egress.allow: item 2, `10.0.0.1/8`: "),
            ("[server]\nconnections = 0", "server.connections"),
            ("[server]\nkeep_alive_secs = 0", "server.keep_alive_secs"),
            ("[server]\nrequest_secs = 0", "server.request_secs"),
            ("[server]\ntls_cert = \"a.pem\"", "server.tls_key: not there"),
            ("[server]\ntls_key = \"a.pem\"", "server.tls_cert: not there"),
            ("[egress]\nallow = \"10.0.0.0/8\"", "egress.allow"),
            ("[egress]\ndeny = []", "egress"),
            ("[log]\nlevel = \"loud\"", "log.level: \"loud\" is no level"),
            ("[log]\nformat = \"xml\"", "log.format"),
            ("[metrics]\nlisten = 9464", "metrics.listen"),
            ("[traces]\nendpoint = \"collector\"", "traces.endpoint"),
            ("[server]\npublic_url = \"errand.example.com\"", "server.public_url"),
            ("[server]\npublic_url = \"https://errand.example.com/v1\"", "server.public_url"),
            ("[server]\npublic_url = \"https://me@errand.example.com\"", "server.public_url"),
            (
                "[sandboxes]\nfolder = \"a\"\n[sandboxes.s3]\nbucket = \"b\"",
                "sandboxes.folder: there is [sandboxes.s3], too",
            ),
            ("[sandboxes.s3]\nregion = \"eu-1\"", "sandboxes.s3: missing field `bucket`"),
            ("[sandboxes.s3]\nbucket = \"\"", "sandboxes.s3.bucket"),
            ("[sandboxes.s3]\nbucket = \"b\"\nsecret = \"s\"", "sandboxes.s3"),
            ("[sandboxes.s3]\nbucket = \"b\"\nendpoint = \"s3.example.com\"", "sandboxes.s3.endpoint"),
            ("[sandboxes.s3]\nbucket = \"b\"\nendpoint = \"https://me:it@s3.example.com\"", "sandboxes.s3.endpoint"),
            ("[sandboxes]\nupload_url_secs = 0", "sandboxes.upload_url_secs"),
            ("[sandboxes]\nupload_url_secs = 604801", "sandboxes.upload_url_secs"),
        ] {
            let refusal = refusal(text);
            assert!(refusal.starts_with("errand.toml: ") && refusal.contains(told), "{refusal}");
        }
    }

    #[test]
    fn what_is_opened_is_said_by_the_variable_or_else_the_file() {
        let text = "[egress]\nallow = [\"10.0.0.0/8\", \"fd00::/8:9000\"]\n";
        let opened = |ranges: Option<&str>| {
            let env = |name: &str| ranges.filter(|_| name == "ERRAND_EGRESS_ALLOW").map(str::to_owned);
            Config::read(text, "errand.toml", &Place::default(), None, &env).map(|config| config.egress.to_string())
        };
        assert_eq!(opened(None).unwrap(), "10.0.0.0/8, fd00::/8:9000");
        assert_eq!(opened(Some("127.0.0.0/8:9000,192.168.1.7/32")).unwrap(), "127.0.0.0/8:9000, 192.168.1.7/32");
        let refusal = opened(Some("127.0.0.0/8:9000,localhost:9000")).unwrap_err().to_string();
        assert!(refusal.starts_with("ERRAND_EGRESS_ALLOW: item 2, `localhost:9000`: expected a network"), "{refusal}");
        assert!(read("").unwrap().egress.is_empty());
    }

    #[test]
    fn no_repairs_is_a_choice() {
        assert_eq!(read("[limits]\nrepairs = 0").unwrap().limits.repairs, 0);
    }

    #[test]
    fn a_file_that_is_no_toml_is_told_by_place_and_never_shown() {
        for (text, place) in [
            ("[providers.openai]\napi_key = sk-secret\n", "line 2, column 11: "),
            ("[providers.openai]\nä = \"x\" sk-secret = 1", "line 2, column 9: "),
            ("sk-secret", "line 1, column 10: "),
            ("a = 1\r\nb = \"sk-secret\r\n", "line 2, column 16: "),
            ("sk-secret = 1\nsk-secret = 2", "line 2, column 1: "),
        ] {
            let refusal = refusal(text);
            let why = refusal.strip_prefix(&format!("errand.toml: {place}"));
            assert!(why.is_some_and(|why| !why.is_empty() && !why.contains('\n')), "{refusal}");
            assert!(!refusal.contains("sk-secret"), "{refusal}");
        }
    }

    #[test]
    fn the_example_file_is_the_defaults() {
        let example = include_str!("../../../errand.example.toml");
        let (written, default) = (read(example).unwrap(), read("").unwrap());
        assert_eq!(format!("{written:?}"), format!("{default:?}"));
        // And with its commented-out examples made real, it still reads. A folder and a bucket are one or the other.
        let lines = example.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line));
        let real = lines.filter(|line| !line.starts_with("folder = ")).collect::<Vec<_>>().join("\n");
        let keys = |name: &str| name.ends_with("_API_KEY").then(|| "set".to_owned());
        let config = Config::read(&real, "errand.toml", &Place::default(), None, &keys).unwrap();
        assert_eq!(config.models.services.len(), 4);
    }
}

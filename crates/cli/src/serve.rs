//! `errand serve`: the server, from opening its data folder to the last drained step.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use agent::discover::{self, USUAL_PORTS};
use anyhow::Context;
use clap::Args;
use server::Tls;
use storage::StoreError;
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;

use crate::config::{Config, Database, Place};
use crate::logs::Log;
use crate::paint;
use crate::signals::{self, Signals};
use crate::telemetry::Telemetry;
use crate::wire::{Doors, House, Role};

/// Serve the API and run Jobs.
///
/// The first start makes an API key and prints it once. ERRAND_API_KEY makes that key valid instead.
#[derive(Args)]
pub(crate) struct Serve {
    /// Address and port; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "ERRAND_LISTEN", value_name = "ADDRESS")]
    listen: Option<String>,
    /// What this node does, where several share a PostgreSQL database
    #[arg(long, env = "ERRAND_ROLE", value_enum, default_value = "all")]
    role: Role,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    log: Log,
}

impl Serve {
    /// Serves until SIGTERM or Ctrl-C. A second one ends it at once.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        crate::wire::install_tls();
        let mut signals = Signals::new()?;
        let mut config = Config::load(&self.place, self.listen, &environment)?;
        let telemetry = Telemetry::start(&self.log, &mut config)?;
        if self.role != Role::All && matches!(config.database, Database::Sqlite(_)) {
            anyhow::bail!(
                "--role api and --role worker share their work through PostgreSQL; on SQLite one node does all, so leave --role out"
            );
        }
        if !config.egress.is_empty() {
            tracing::info!("egress: opened {}", config.egress);
        }
        server::raise_open_files();
        let tls = config
            .tls
            .as_ref()
            .map(|(cert, key)| Tls::read(cert, key).map_err(|wrong| wrong_tls(&wrong)))
            .transpose()?;
        tokio::spawn(renew(tls.clone(), signals::reload()?));
        let (listener, address) = listen(&config.listen).await?;
        let metrics = match &config.metrics {
            Some(address) => Some(bind(address, "[metrics] listen, ERRAND_METRICS_LISTEN").await?),
            None => None,
        };
        let own_key = environment("ERRAND_API_KEY");
        let house = House::open(&config, own_key.as_deref()).await.map_err(no_start)?;
        // A new key is shown at once: whatever happens from here on, it is not made again.
        let page = metrics.as_ref().map(TcpListener::local_addr).transpose()?;
        show(&greeting(&config, self.role, address, page, house.new_key.as_deref()));
        let models = std::mem::take(&mut config.models);
        // A node that runs no Jobs needs no models; looking for them on this machine's ports would only delay it.
        let ports: &[(u16, &str)] = if self.role == Role::Api { &[] } else { &USUAL_PORTS };
        let found = tokio::select! {
            found = discover::discover(models, ports, Some(address.port())) => found?,
            () = signals.next() => {
                house.close().await;
                return Ok(ExitCode::SUCCESS);
            }
        };
        if self.role != Role::Api {
            show(&models_line(&found.said));
        }
        let grace = config.grace;
        let providers = found.providers.with_meters(telemetry.meters.agent.clone());
        let doors = Doors { api: listener, tls, metrics };
        let mut running = house.start(config, self.role, Arc::new(providers), doors, &telemetry)?;
        tokio::select! {
            () = signals.next() => {}
            error = running.failed() => return Err(error),
        }
        tracing::info!("told to stop: no new work; what is under way may end within {} s", grace.as_secs());
        tokio::select! {
            () = running.close(grace) => Ok(ExitCode::SUCCESS),
            () = signals.next() => anyhow::bail!("told twice: stopped at once; what was under way goes on at the next start"),
        }
    }
}

/// Reads the certificate again at each SIGHUP, which never ends the server: a terminal that closes sends it, too.
async fn renew(tls: Option<Tls>, mut asked: Signal) {
    while asked.recv().await.is_some() {
        match tls.as_ref().map(Tls::reload) {
            Some(Ok(())) => tracing::info!("the TLS certificate was read again; new connections get it"),
            Some(Err(wrong)) => tracing::error!("the TLS certificate stays as it was: {wrong}"),
            None => tracing::info!("SIGHUP: there is no TLS certificate to read again"),
        }
    }
}

/// Prints for people. A server that nobody can hear serves all the same: its standard output may be on the very disk that is full.
fn show(text: &str) {
    if let Err(error) = paint::print(text) {
        tracing::warn!(%error, "standard output cannot be written; if this was the first start, make a key with `errand keys create`");
    }
}

/// What to do about what keeps a server from starting, where that is neither a setting nor a broken file.
fn no_start(error: anyhow::Error) -> anyhow::Error {
    let full = |cause: &(dyn std::error::Error + 'static)| {
        let room =
            |error: &io::Error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        cause.downcast_ref::<io::Error>().is_some_and(room)
            || matches!(cause.downcast_ref::<StoreError>(), Some(StoreError::Full))
    };
    if error.chain().any(full) {
        return error.context(
            "no server starts on a full disk: make room on it, then start again. Nothing is lost, and meanwhile `errand backup` saves to another disk, and \
             `errand doctor` and whatever else only reads work",
        );
    }
    error
}

fn wrong_tls(wrong: &str) -> anyhow::Error {
    anyhow::anyhow!("TLS (tls_cert and tls_key in section [server]): {wrong}")
}

/// Takes the address; what it is then, with the port if that was left open.
pub(crate) async fn listen(address: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = bind(address, "--listen, ERRAND_LISTEN").await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn bind(address: &str, setting: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("cannot listen on {address} ({setting})"))
}

/// A variable of the process, unless it is empty.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

fn greeting(
    config: &Config,
    role: Role,
    address: SocketAddr,
    metrics: Option<SocketAddr>,
    new_key: Option<&str>,
) -> String {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let mut lines = vec![
        format!("Errand {}", env!("CARGO_PKG_VERSION")),
        match role {
            Role::All | Role::Api => format!("  API     {scheme}://{address}/v1"),
            Role::Worker => format!("  Probes  {scheme}://{address}/healthz and /readyz: a worker serves no API"),
        },
        match &config.database {
            Database::Sqlite(_) if config.files.folder().is_some() => {
                format!("  Data    {}", config.data_dir.display())
            }
            Database::Sqlite(_) => {
                format!("  Data    {}, files in {}", config.data_dir.display(), config.files.shown())
            }
            shared @ Database::Postgres(_) => format!("  Data    {shared}, files in {}", config.files.shown()),
        },
    ];
    if matches!(config.database, Database::Postgres(_))
        && config.files.folder() == Some(&config.data_dir.join("sandboxes"))
    {
        lines.push(
            "          These files are this node's alone. Where there are other nodes, name a folder that all of them share, \
             `folder` in section [sandboxes] of errand.toml, or a bucket in [sandboxes.s3]."
                .to_owned(),
        );
    }
    if let Some(address) = metrics {
        lines.push(format!("  Metrics http://{address}/metrics"));
    }
    if let Some(key) = new_key {
        lines.push(format!("  Key     {key}"));
        lines.push(
            "          This key was made now and is shown only this once. `errand keys create` makes others."
                .to_owned(),
        );
    }
    paint::lines(lines)
}

/// What was found, in one line or more. It holds names that another program on this machine gave.
fn models_line(said: &str) -> String {
    let said = paint::escaped(said);
    format!("  Models  {}\n", said.lines().collect::<Vec<_>>().join("\n          "))
}

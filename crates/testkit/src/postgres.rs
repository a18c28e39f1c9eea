//! A real PostgreSQL of the test's own, which may be killed and started again.
//!
//! It keeps the promises that a durable server leans on: `fsync`, `full_page_writes` and `synchronous_commit` are on unless a test says otherwise.
//! It ends with the test process however that ends, a kill or a `static` included.
//!
//! Everything here blocks. An async test may call it all the same, since nothing but the test waits for it; on a runtime that has other
//! work to do, hand it to `spawn_blocking`.
//!
//! Here: the cluster. Next: `postgres/server.rs` for its processes, `postgres/standby.rs` for one that follows another,
//! `postgres/install.rs` for the programs and the user they run as, `postgres/bouncer.rs` for a pooler before it, `postgres/guard.rs` for what
//! outlives a killed test.

mod bouncer;
mod guard;
mod install;
mod server;
mod standby;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::Signal;

pub use self::bouncer::Bouncer;
use self::guard::Guard;
use self::install::{Install, output};
use self::server::Server;
pub use self::standby::Following;

/// The owner of everything, and the database that is there from the start.
const ERRAND: &str = "errand";
/// Where no more than the socket's name depends on it.
const USUAL_PORT: u16 = 5432;

/// A cluster in a directory of its own. When this is dropped the server is gone and so is the directory.
#[derive(Debug)]
pub struct Cluster {
    install: Install,
    dir: PathBuf,
    port: u16,
    tcp: bool,
    settings: Vec<String>,
    server: Option<Server>,
    /// After the server, which `drop` ends first.
    guard: Guard,
}

impl Cluster {
    /// Starts one that listens on a unix socket only.
    pub fn start() -> io::Result<Self> {
        Self::with(&[])
    }

    /// Starts one with settings of its own, such as `max_connections=20`; they win over all others.
    pub fn with(settings: &[&str]) -> io::Result<Self> {
        Self::beneath(&std::env::temp_dir(), settings)
    }

    /// The same, with its directory in `parent`: for whoever cares which disk it is on. PostgreSQL's own user must be able to get there.
    pub fn beneath(parent: &Path, settings: &[&str]) -> io::Result<Self> {
        let mut cluster = Self::init(parent, settings)?;
        cluster.start_again()?;
        cluster.create_database(ERRAND)?;
        Ok(cluster)
    }

    /// Starts one that listens on a port of this machine too; after a crash it is the same one.
    pub fn with_tcp(settings: &[&str]) -> io::Result<Self> {
        let mut cluster = Self::init(&std::env::temp_dir(), settings)?;
        cluster.start_on_a_port()?;
        cluster.create_database(ERRAND)?;
        Ok(cluster)
    }

    /// The database `errand`, through the unix socket.
    pub fn url(&self) -> String {
        self.url_of(ERRAND)
    }

    /// A database, through the unix socket. Its directory is the URL's host, percent-encoded: libpq and tokio-postgres both read that. A `host`
    /// parameter beside another host would not do, tokio-postgres tries both of them.
    pub fn url_of(&self, database: &str) -> String {
        let dir = encoded(self.dir.as_os_str().as_encoded_bytes());
        format!("postgres://{ERRAND}@{dir}:{}/{}", self.port, encoded(database.as_bytes()))
    }

    /// A database, through whatever stands at `address`.
    pub fn url_at(&self, address: SocketAddr, database: &str) -> String {
        format!("postgres://{ERRAND}@{address}/{}", encoded(database.as_bytes()))
    }

    /// The unix socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.join(format!(".s.PGSQL.{}", self.port))
    }

    /// Where it listens for TCP, if it does.
    pub fn address(&self) -> Option<SocketAddr> {
        self.tcp.then(|| (Ipv4Addr::LOCALHOST, self.port).into())
    }

    /// The first process of the server, while there is one.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Server::pid)
    }

    /// The folder of everything that it keeps: data, write-ahead log, what it had to say.
    pub fn folder(&self) -> &Path {
        &self.dir
    }

    /// What the server had to say since the beginning.
    pub fn log(&self) -> io::Result<String> {
        std::fs::read_to_string(self.dir.join("log"))
    }

    /// Makes a database.
    pub fn create_database(&self, name: &str) -> io::Result<()> {
        self.psql("postgres", &format!("create database \"{}\"", name.replace('"', "\"\""))).map(drop)
    }

    /// Runs SQL through `psql`: rows as lines, columns apart by `|`. The first error ends it.
    pub fn psql(&self, database: &str, sql: &str) -> io::Result<String> {
        psql(&self.install, &self.url_of(database), sql)
    }

    /// Speaks TLS from now on, with these files, which it takes copies of.
    pub fn use_certificate(&mut self, certificate: &Path, key: &Path) -> io::Result<()> {
        self.stop_fast()?;
        for (from, to) in [(certificate, "server.crt"), (key, "server.key")] {
            let to = self.dir.join(to);
            fs::copy(from, &to)?;
            self.install.give_secret(&to)?;
        }
        let file = |name: &str| self.dir.join(name).display().to_string();
        let tls = [
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", file("server.crt")),
            format!("ssl_key_file={}", file("server.key")),
        ];
        self.settings.extend(tls);
        self.start_again()
    }

    /// Stops it in good order: sessions are ended, everything is on the disk.
    pub fn stop_fast(&mut self) -> io::Result<()> {
        self.stop(Signal::INT)
    }

    /// Stops it without a word to anyone (`pg_ctl stop -m immediate`); the next start recovers.
    pub fn stop_immediately(&mut self) -> io::Result<()> {
        self.stop(Signal::QUIT)
    }

    /// Kills all of its processes at once, as the end of the machine would, and waits until they are gone.
    pub fn kill(&mut self) -> io::Result<()> {
        self.stop(Signal::KILL)
    }

    /// Starts it where it stopped, and waits until it lets people in. Nothing to do while it runs.
    pub fn start_again(&mut self) -> io::Result<()> {
        if self.server.is_some() {
            return Ok(());
        }
        self.server = Some(Server::start(&self.install, &self.dir, self.all_settings())?);
        Ok(())
    }

    fn init(parent: &Path, settings: &[&str]) -> io::Result<Self> {
        let cluster = Self::empty(parent, settings.iter().map(|setting| (*setting).to_owned()).collect())?;
        let mut initdb = cluster.install.server("initdb", &cluster.dir);
        initdb.arg("-D").arg(cluster.data()).args([
            "-U",
            ERRAND,
            "--auth=trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        output(&mut initdb)?;
        Ok(cluster)
    }

    /// A directory with nothing in it yet.
    fn empty(parent: &Path, settings: Vec<String>) -> io::Result<Self> {
        let install = Install::find()?;
        let dir = tempfile::Builder::new().prefix("errand-pg-").tempdir_in(parent)?;
        install.give(dir.path())?;
        let guard = Guard::over(dir.path())?;
        // From here on the guard removes it. Without links, since that is how `/proc` names it.
        let dir = dir.keep().canonicalize()?;
        Ok(Self { install, dir, port: USUAL_PORT, tcp: false, settings, server: None, guard })
    }

    fn start_on_a_port(&mut self) -> io::Result<()> {
        self.tcp = true;
        // Somebody may take a free port before PostgreSQL does.
        for attempt in 0..9 {
            self.port = free_port(attempt)?;
            if self.start_again().is_ok() {
                return Ok(());
            }
        }
        self.port = free_port(9)?;
        self.start_again()
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn all_settings(&self) -> Vec<String> {
        let mut all = vec![
            format!("listen_addresses={}", if self.tcp { "127.0.0.1" } else { "" }),
            format!("port={}", self.port),
            format!("unix_socket_directories={}", self.dir.display()),
        ];
        all.extend(["fsync=on", "full_page_writes=on", "synchronous_commit=on"].map(str::to_owned));
        all.extend(["shared_buffers=32MB", "max_connections=100"].map(str::to_owned));
        // In the directory, with which it goes: a killed server leaves it behind.
        all.push("dynamic_shared_memory_type=mmap".to_owned());
        all.extend(self.settings.iter().cloned());
        all
    }

    fn stop(&mut self, signal: Signal) -> io::Result<()> {
        let Some(server) = &mut self.server else { return Ok(()) };
        server.stop(signal)?;
        self.server = None;
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.stop(Signal::QUIT).is_err() {
            let _guard_tries_once_more = self.stop(Signal::KILL);
        }
        self.guard.end();
    }
}

fn psql(install: &Install, url: &str, sql: &str) -> io::Result<String> {
    let mut psql = install.client("psql");
    psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql]).stdin(Stdio::null());
    output(&mut psql)
}

/// A free port below those that the system gives to outgoing connections, so that none of these takes it while the server is down.
fn free_port(attempt: u16) -> io::Result<u16> {
    let first = (std::process::id() % 10_000) as u16 + attempt * 101;
    let free = |n: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *n)).is_ok();
    let mut candidates = (0..10_000).map(|n| 20_000 + (first + n) % 10_000);
    candidates.find(free).ok_or_else(|| io::Error::other("no port between 20000 and 29999 is free"))
}

fn encoded(bytes: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    bytes.iter().map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests;

//! A real PgBouncer before a cluster, in its mode `transaction`: each transaction may run on another session.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Cluster, ERRAND, free_port, psql};

const PATIENCE: Duration = Duration::from_secs(20);

/// A running pooler. It ends when this is dropped.
#[derive(Debug)]
pub struct Bouncer {
    process: Child,
    address: SocketAddr,
}

impl Bouncer {
    /// Starts one with few sessions, so that they change hands often.
    pub fn start(cluster: &Cluster) -> io::Result<Self> {
        let port = free_port(7)?;
        let settings = format!(
            "[databases]\n* = host={dir} port={upstream} user={ERRAND}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 3\nmax_client_conn = 500\n\
             admin_users = {ERRAND}\nlogfile = {dir}/pgbouncer.log\n",
            dir = cluster.dir.display(),
            upstream = cluster.port,
        );
        let file = cluster.dir.join(format!("pgbouncer-{port}.ini"));
        fs::write(&file, settings)?;
        // Where the server works, too: so the guard of the cluster ends it with it.
        let mut command = cluster.install.beside("pgbouncer", &cluster.data());
        command.arg("-q").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn()?;
        let mut bouncer = Self { process, address: (Ipv4Addr::LOCALHOST, port).into() };
        let started = Instant::now();
        while TcpStream::connect(bouncer.address).is_err() {
            if bouncer.process.try_wait()?.is_some() || started.elapsed() > PATIENCE {
                let log = fs::read_to_string(cluster.dir.join("pgbouncer.log")).unwrap_or_default();
                return Err(io::Error::other(format!("PgBouncer did not start; its log: {log}")));
            }
            sleep(Duration::from_millis(10));
        }
        Ok(bouncer)
    }

    /// Has it open new sessions in place of those that it has, each once nobody uses it.
    pub fn reconnect(&self, cluster: &Cluster) -> io::Result<()> {
        psql(&cluster.install, &cluster.url_at(self.address, "pgbouncer"), "RECONNECT").map(drop)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

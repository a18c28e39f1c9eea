//! A cluster that follows another one and can take its place.

use std::io;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::install::output;
use super::{Cluster, ERRAND};

/// How long a standby may take to catch up, on a machine that does much else.
const PATIENCE: Duration = Duration::from_mins(1);
const GLANCE: Duration = Duration::from_millis(20);

/// Whether the primary acknowledges what its standby does not have yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Following {
    /// No: a commit returns once it is on the disk of both.
    Synchronous,
    /// Yes: whoever takes over may lack it.
    Asynchronous,
}

impl Cluster {
    /// Makes a copy of this cluster, which must listen on a port, and starts it as its standby: on the port `at`, where one stood that is gone,
    /// or on any. Returns once it has all that was acknowledged here so far and, if it is [`Following::Synchronous`], no commit here returns
    /// without it any more.
    pub fn standby(&self, at: Option<SocketAddr>, following: Following) -> io::Result<Self> {
        let parent =
            self.dir.parent().ok_or_else(|| io::Error::other("the cluster has no directory beside its own"))?;
        let mut standby = Self::empty(parent, self.settings.clone())?;
        let mut copy = standby.install.server("pg_basebackup", &standby.dir);
        copy.arg("-D").arg(standby.data()).arg("-h").arg(&self.dir).arg("-p").arg(self.port.to_string());
        copy.args(["-U", ERRAND, "-R", "-X", "stream", "-c", "fast", "--no-sync"]);
        output(&mut copy)?;
        match at {
            Some(address) => {
                (standby.tcp, standby.port) = (true, address.port());
                standby.start_again()?;
            }
            None => standby.start_on_a_port()?,
        }
        let names = if following == Following::Synchronous { "*" } else { "" };
        self.psql("postgres", &format!("alter system set synchronous_standby_names = '{names}'"))?;
        self.psql("postgres", "select pg_reload_conf()")?;
        let state = if following == Following::Synchronous { "sync" } else { "async" };
        self.wait_for(&format!("select count(*) from pg_stat_replication where sync_state = '{state}'"), "1")?;
        // From here on commits wait for it. What was acknowledged a moment before, or while a process still read the old setting, is older than
        // this place in the log.
        sleep(Duration::from_millis(500));
        let end = self.psql("postgres", "select pg_current_wal_flush_lsn()")?;
        self.wait_for(&format!("select bool_and(flush_lsn >= '{end}') from pg_stat_replication"), "t")?;
        Ok(standby)
    }

    /// From now on nothing that is written here reaches a standby, as if the line to it were cut: the processes that send are frozen. Only
    /// [`Self::kill`] ends it after that.
    pub fn hold_back(&self) -> io::Result<()> {
        for pid in self.psql("postgres", "select pid from pg_stat_replication")?.lines() {
            let pid = pid.parse().ok().and_then(Pid::from_raw);
            kill_process(pid.ok_or_else(|| io::Error::other("a process without a number"))?, Signal::STOP)?;
        }
        Ok(())
    }

    /// Makes a standby a primary, and waits until it takes writes. It follows nobody, and waits for nobody.
    pub fn promote(&self) -> io::Result<()> {
        self.psql("postgres", "select pg_promote(true, 60)")?;
        self.wait_for("select pg_is_in_recovery()", "f")
    }

    fn wait_for(&self, sql: &str, answer: &str) -> io::Result<()> {
        let began = Instant::now();
        loop {
            let now = self.psql("postgres", sql)?;
            if now == answer {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{sql}: still {now}")));
            }
            sleep(GLANCE);
        }
    }
}

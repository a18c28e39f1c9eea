//! The machine: the data folder, who may read it, how much room there is, whether a server has it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use agent::workspace::{BucketSettings, Credentials};
use rustix::fs::statvfs;
use storage::DataLock;

use super::Report;
use crate::backup::size;
use crate::config::{Config, Database, Files};
use crate::restore;

/// With less room than this a busy server may soon be full.
const ROOM: u64 = 1 << 30;

/// Whether a server is there to move runs, as far as one can see from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    /// It has the data folder.
    Here,
    /// None has it.
    Missing,
    /// Other nodes may be anywhere.
    Unknown,
}

/// Looks at the data folder.
pub(super) async fn look(report: &mut Report, config: &Config) -> Server {
    let folder = &config.data_dir;
    if !folder.is_dir() {
        report.problem(
            "data folder",
            format!("{} is not there", folder.display()),
            "`errand serve` makes it at its first start; if yours is elsewhere, name it with --data-dir",
        );
        return Server::Missing;
    }
    report.ok("data folder", format!("{} is there", folder.display()));
    modes(report, folder);
    if let Database::Sqlite(path) = &config.database {
        modes(report, path);
    }
    if let Some(left) = restore::unfinished(config) {
        report.problem("restore", format!("{} is of a restore that did not end", left.display()), restore::FINISH);
    }
    room(report, folder);
    match &config.files {
        Files::Folder(folder) => sandboxes(report, config, folder),
        Files::Bucket(settings, credentials) => bucket(report, settings, credentials.as_ref()).await,
    }
    server(report, config)
}

/// Looks at the files of sandboxes, where they lie elsewhere.
fn sandboxes(report: &mut Report, config: &Config, folder: &Path) {
    let shared = matches!(config.database, Database::Postgres(_));
    if folder.starts_with(&config.data_dir) {
        if shared {
            report.warning(
                "sandboxes",
                format!("{} is this node's alone", folder.display()),
                "where there are other nodes, set `folder` in section [sandboxes] to one that all of them share, or name a bucket in [sandboxes.s3]",
            );
        }
        return;
    }
    if folder.is_dir() {
        modes(report, folder);
        room(report, folder);
    } else if shared {
        report.problem(
            "sandboxes",
            format!("{} is not there", folder.display()),
            "mount or make it, the same one for every node: no server starts without it",
        );
    } else {
        report.ok("sandboxes", format!("{} is made at the first start", folder.display()));
    }
}

/// Looks at a bucket as a start does.
async fn bucket(report: &mut Report, settings: &BucketSettings, credentials: Option<&Credentials>) {
    crate::wire::install_tls();
    match crate::wire::open_bucket(settings, credentials).await {
        Ok(_) => report.ok("sandboxes", format!("the bucket {} does what files need", settings.shown())),
        Err(wrong) => report.problem("sandboxes", wrong.to_string(), "mend it: no server starts without its bucket"),
    }
}

/// Whether others on this machine can get at it.
pub(super) fn modes(report: &mut Report, path: &Path) {
    let Ok(metadata) = path.metadata() else { return };
    let mode = metadata.permissions().mode() & 0o777;
    let shown = path.display();
    if mode & 0o077 != 0 {
        let found = format!(
            "{shown} is open to other users of this machine (mode {mode:o}), and what is kept there is private"
        );
        return report.warning("modes", found, format!("chmod go= {shown}"));
    }
    report.ok("modes", format!("{shown} is its owner's only ({mode:o})"));
}

fn room(report: &mut Report, folder: &Path) {
    let free = match statvfs(folder) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(error) => {
            return report.warning(
                "disk",
                format!("the system does not say how much room there is: {error}"),
                "look at it with df",
            );
        }
    };
    if free < ROOM {
        let found = format!("{} free on the disk of {}", size(free), folder.display());
        return report.warning("disk", found, "make room: on a full disk nothing new is accepted, and no Job goes on");
    }
    report.ok("disk", format!("{} free on the disk of {}", size(free), folder.display()));
}

fn server(report: &mut Report, config: &Config) -> Server {
    let shared = matches!(config.database, Database::Postgres(_));
    match DataLock::holder(&config.data_dir) {
        Ok(Some(_)) => {
            report.ok("server", "one is running on this folder".to_owned());
            Server::Here
        }
        Ok(None) if shared => {
            report.ok("server", "none is running on this folder; other nodes may be, elsewhere".to_owned());
            Server::Unknown
        }
        Ok(None) => {
            report.warning("server", "none is running on this folder".to_owned(), "start it with `errand serve`");
            Server::Missing
        }
        Err(error) => {
            report.problem("server", error.to_string(), "run this as the user that the server runs as");
            Server::Unknown
        }
    }
}

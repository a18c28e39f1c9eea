//! The programs of PostgreSQL, and the user they run as: the server refuses to be root.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where distributions put the programs that are not for everybody's path, one directory a version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// What was found on this machine.
#[derive(Debug)]
pub(super) struct Install {
    bin: PathBuf,
    /// Whom the server is run as, when this process is root.
    user: Option<User>,
}

#[derive(Debug, Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

impl Install {
    /// Looks in the path, then for the newest version of the distribution.
    pub(super) fn find() -> io::Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let bin = std::env::split_paths(&path)
            .chain(versions())
            .find(|dir| dir.join("initdb").is_file() && dir.join("postgres").is_file())
            .ok_or_else(|| missing("PostgreSQL's server is not installed (Debian: apt-get install postgresql)"))?;
        let root = rustix::process::geteuid().is_root();
        let user = if root { Some(ordinary_user()?) } else { None };
        Ok(Self { bin, user })
    }

    /// Makes a directory one that the server can write and everybody can enter.
    pub(super) fn give(&self, dir: &Path) -> io::Result<()> {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755))?;
        self.user.map_or(Ok(()), |user| chown(dir, Some(user.uid), Some(user.gid)))
    }

    /// Makes a file one that only the server can read.
    pub(super) fn give_secret(&self, file: &Path) -> io::Result<()> {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600))?;
        self.user.map_or(Ok(()), |user| chown(file, Some(user.uid), Some(user.gid)))
    }

    /// A program of the server, run as its user in `dir`.
    pub(super) fn server(&self, name: &str, dir: &Path) -> Command {
        self.as_user(&self.program(name), dir)
    }

    /// Another program that will not run as root either.
    pub(super) fn beside(&self, name: &str, dir: &Path) -> Command {
        // Debian keeps it where only root's path leads.
        let there = Path::new("/usr/sbin").join(name);
        if there.is_file() { self.as_user(&there, dir) } else { self.as_user(Path::new(name), dir) }
    }

    fn as_user(&self, program: &Path, dir: &Path) -> Command {
        let mut command = match self.user {
            None => plain(program),
            Some(User { uid, gid }) => {
                // It becomes the program, so that the process we start is the one we may wait for.
                let mut command = plain("setpriv");
                command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}")).arg("--clear-groups").arg(program);
                command
            }
        };
        // In a group of its own: a Ctrl-C at the terminal is for the test, which ends the server.
        command.current_dir(dir).process_group(0);
        command
    }

    /// A program that talks to the server.
    pub(super) fn client(&self, name: &str) -> Command {
        plain(self.program(name))
    }

    fn program(&self, name: &str) -> PathBuf {
        let here = self.bin.join(name);
        if here.is_file() { here } else { PathBuf::from(name) }
    }
}

/// Runs to the end. What it said on standard output, or on the other one as an error.
pub(super) fn output(command: &mut Command) -> io::Result<String> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
    }
    let program = command.get_program().display();
    Err(io::Error::other(format!("{program}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())))
}

/// Without the settings of whoever runs the tests: they name another server.
fn plain(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C");
    command
}

/// The newest first.
fn versions() -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort_by(|a, b| b.cmp(a));
    versions.into_iter().map(|(_, bin)| bin).collect()
}

/// `postgres` if there is one, else `nobody`.
fn ordinary_user() -> io::Result<User> {
    let users = std::fs::read_to_string("/etc/passwd")?;
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| user(&users, name))
        .ok_or_else(|| missing("PostgreSQL will not run as root, and there is neither a user postgres nor nobody"))
}

fn user(users: &str, name: &str) -> Option<User> {
    let mut fields =
        users.lines().map(|line| line.split(':')).find(|fields| fields.clone().next() == Some(name))?.skip(2);
    Some(User { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
}

fn missing(words: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let users = "root:x:0:0::/root:/bin/sh\npostgres2:x:7:8::/:/bin/sh\npostgres:x:101:104:,,,:/:/bin/sh\n";
        let found = user(users, "postgres").map(|user| (user.uid, user.gid));
        assert_eq!(found, Some((101, 104)));
        assert!(user(users, "nobody").is_none());
    }
}

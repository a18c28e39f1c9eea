//! What keeps a worker that lost its Job from writing the Job's files.
//!
//! No lease reaches into a file system: a worker that froze between reading a file and replacing it would do the second hours later, over whatever
//! its successor wrote meanwhile. So each claim of a Job has a folder of its own, in which new contents wait for their rename. A worker *enters*
//! before its first use of files: it removes the folders of all earlier claims and makes its own, and nobody makes a folder a second time. From then on
//! an earlier worker has nowhere to put new contents, and what it has there has gone: its rename fails, at whatever moment it comes. One that enters
//! only now finds the folder of a later claim, which it leaves as it is, and makes none.
//!
//! A worker that froze just before it entered would come too late to be fenced. That is why one enters first and then looks whether its lease still
//! holds: if it did at that moment, the folder was there before anybody else could claim the Job.

use std::io;

use cap_std::fs::Dir;

use super::super::{Area, Claim, LOST};
use super::{Disk, INCOMING, beneath};

/// Where the folders of claims are: in one for each sandbox, in one for each Job. No sandbox id holds a dot, so it cannot be one.
pub(super) const CLAIMS: &str = ".claims";

/// How often a folder is removed into which somebody writes at the same time. Each attempt takes what was written; a worker writes one file at a time.
const TRIES: usize = 100;

impl Disk {
    pub(super) fn enter_claim(&self, sandbox: &str, claim: &Claim) -> io::Result<()> {
        std::fs::create_dir_all(&self.root)?;
        let claims = [CLAIMS, sandbox, &claim.job].iter().try_fold(self.folder()?, |dir, name| made(&dir, name))?;
        let mut others = Vec::new();
        for entry in claims.entries()? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            if claim.is_before(&name) {
                return Err(io::Error::other(LOST));
            }
            others.push(name);
        }
        for earlier in others.iter().filter(|name| **name != claim.token) {
            remove(&claims, earlier)?;
        }
        claims.create_dir(&claim.token)
    }

    pub(super) fn leave_claim(&self, sandbox: &str, claim: &Claim) -> io::Result<()> {
        let jobs = self.jobs(sandbox)?;
        remove(&beneath::enter(&jobs, &claim.job)?, &claim.token)?;
        // Unless the next worker is there already.
        jobs.remove_dir(&claim.job)
    }

    /// Where new contents wait.
    pub(super) fn incoming(&self, area: &Area) -> io::Result<Dir> {
        let Some(claim) = &area.claim else { return self.make(INCOMING) };
        let folder = self.jobs(&area.id).and_then(|jobs| {
            let claims = beneath::enter(&jobs, &claim.job)?;
            beneath::enter(&claims, &claim.token)
        });
        folder.map_err(|error| if error.kind() == io::ErrorKind::NotFound { io::Error::other(LOST) } else { error })
    }

    /// The folder of a sandbox's Jobs.
    fn jobs(&self, sandbox: &str) -> io::Result<Dir> {
        beneath::enter(&beneath::enter(&self.folder()?, CLAIMS)?, sandbox)
    }

    /// Takes away what the workers of a sandbox were writing.
    pub(super) fn remove_claims(&self, sandbox: &str) -> io::Result<()> {
        let removed = self.folder().and_then(|root| beneath::enter(&root, CLAIMS)?.remove_dir_all(sandbox));
        removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
    }
}

/// Makes a folder unless it is there, and enters it. Not durably: after a loss of power nobody is left whom it could fence.
fn made(dir: &Dir, name: &str) -> io::Result<Dir> {
    match dir.create_dir(name) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => beneath::enter(dir, name),
    }
}

/// Removes a claim's folder with all in it, also while its worker writes.
fn remove(claims: &Dir, token: &str) -> io::Result<()> {
    for _ in 0..TRIES {
        let removed = claims.remove_dir_all(token);
        match claims.symlink_metadata(token) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            _ => {}
        }
        match removed {
            // A file came or went meanwhile.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {}
            removed => removed?,
        }
    }
    Err(io::Error::other("an earlier worker writes too fast"))
}

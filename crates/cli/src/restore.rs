//! `errand restore`: a backup, checked and brought back into a data folder that has no database yet.
//!
//! Everything is copied under temporary names, checked there, and put in place by renaming, the database last: what has its name is whole, and
//! until then there is nothing that a server could start on. The runs are held before that (`restore/holds.rs`), so no server ever sees a restored
//! database in which one would go on by itself.

mod holds;

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use agent::workspace::archive;
use anyhow::Context;
use clap::Args;
use serde_json::json;
use storage::{Db, MIGRATIONS};

use crate::backup::manifest::{self, DATABASE, Kept, Manifest, SANDBOXES, Saved};
use crate::backup::{parts, sync};
use crate::config::{Config, Database, Files, Place};
use crate::master_key::at_hand;
use crate::restore::holds::Held;
use crate::serve::environment;
use crate::{folders, paint, wire};

/// Brings a backup back, into a data folder without a database. SQLite only.
///
/// Jobs that were at work when it was taken do not go on by themselves: each asks whether it should.
#[derive(Args)]
pub(crate) struct Restore {
    /// The backup.
    folder: PathBuf,
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Restore {
    /// Does it.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(&self.place, None, &environment)?;
        let manifest = Manifest::read(&self.folder)?;
        let newest = MIGRATIONS.last().map_or(0, |step| step.number);
        if manifest.migrations.iter().any(|number| *number > newest) {
            anyhow::bail!(
                "the backup was taken by Errand {}, whose schema is newer than that of this version ({}): restore with that version or a later one",
                manifest.errand,
                env!("CARGO_PKG_VERSION")
            );
        }
        let Database::Sqlite(database) = &config.database else {
            anyhow::bail!(
                "the settings name {}, and a backup is restored to SQLite: name a place with --data-dir and without --database-url",
                config.database
            )
        };
        folders::make_private(&config.data_dir)
            .with_context(|| format!("the data folder {}", config.data_dir.display()))?;
        let _locks = wire::take_locks(&config.data_dir, database)?;
        let folder = match (&manifest.sandboxes, &config.files) {
            (Kept::Here(_), Files::Folder(folder)) => Some(folder.as_path()),
            (Kept::Elsewhere(_), Files::Bucket(..)) => None,
            (Kept::Here(files), Files::Bucket(..)) => anyhow::bail!(
                "the backup holds {} files that were in a folder, and the settings name a bucket: restore without [sandboxes.s3]",
                files.files
            ),
            (Kept::Elsewhere(place), Files::Folder(_)) => anyhow::bail!(
                "the files of this backup are in {place}, and the settings name a folder: name that bucket in [sandboxes.s3]"
            ),
        };
        let places = Places::new(database, folder)?;
        let held = places.fill(&self.folder, &manifest).await?;
        places.settle().with_context(|| format!("putting the backup in place in {}", config.data_dir.display()))?;
        let key = lacking(&manifest.master_keys, &config.master_key);
        paint::print(&if self.json {
            let held = json!({ "held": held.asks, "stopped_or_at_rest": held.rests, "unreadable": held.unreadable });
            let opens = key.is_none();
            format!(
                "{}\n",
                json!({ "data_dir": config.data_dir, "backup": manifest, "runs": held, "master_key_at_hand": opens })
            )
        } else {
            said(&config.data_dir, &manifest, &held, key)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What a restore has under a name that ends so is not whole yet.
const RESTORING: &str = ".restoring";

/// What a restore that was killed has left, where no database is: a server that started there would begin with nothing.
pub(crate) fn unfinished(config: &Config) -> Option<PathBuf> {
    let Database::Sqlite(database) = &config.database else { return None };
    let waiting = [Some(database.as_path()), config.files.folder()].into_iter().flatten();
    waiting.map(|path| beside(path, RESTORING)).find(|path| path.exists() && !database.exists())
}

/// What to do about it.
pub(crate) const FINISH: &str =
    "run `errand restore` again with the same settings, which begins anew; or remove that and start empty";

/// Where everything goes, and where it waits until it is whole. What still waits when this is dropped is removed.
struct Places {
    database: PathBuf,
    waiting_database: PathBuf,
    /// The folder of files, unless they are in a bucket, and where it waits.
    sandboxes: Option<(PathBuf, PathBuf)>,
}

impl Places {
    /// Refuses places where something is.
    fn new(database: &Path, sandboxes: Option<&Path>) -> anyhow::Result<Self> {
        for path in ["", "-wal", "-journal"].map(|end| beside(database, end)) {
            anyhow::ensure!(
                !path.try_exists().with_context(|| path.display().to_string())?,
                "{} is there already: a backup is restored only where no database is. Name another --data-dir, or move that file away",
                path.display()
            );
        }
        if let Some(sandboxes) = sandboxes {
            let empty = fs::read_dir(sandboxes).map_or(true, |mut entries| entries.next().is_none());
            anyhow::ensure!(
                empty,
                "{} holds files already, and those of the backup must not be mixed with them: name another --data-dir, or move that folder away",
                sandboxes.display()
            );
            if let Some(parent) = sandboxes.parent() {
                folders::make_private(parent).with_context(|| parent.display().to_string())?;
            }
        }
        let places = Self {
            waiting_database: beside(database, RESTORING),
            database: database.to_owned(),
            sandboxes: sandboxes.map(|folder| (folder.to_owned(), beside(folder, RESTORING))),
        };
        // Of a restore that was killed; the locks are ours, so nobody else is at it.
        places.clear();
        Ok(places)
    }

    /// Copies, checks and holds.
    async fn fill(&self, folder: &Path, manifest: &Manifest) -> anyhow::Result<Held> {
        let (saved, copy) = (folder.join(DATABASE), self.waiting_database.clone());
        let copied = {
            let (saved, copy) = (saved.clone(), copy.clone());
            tokio::task::spawn_blocking(move || {
                let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&copy)?;
                manifest::copy(&saved, &mut file)
            })
        };
        let (sha256, bytes) = copied.await?.with_context(|| format!("copying {}", saved.display()))?;
        same(&saved, &manifest.database, &Saved { files: 1, bytes, sha256 })?;
        Db::examine(&copy).await.with_context(|| saved.display().to_string())?;
        if let (Kept::Here(files), Some((_, waiting))) = (&manifest.sandboxes, &self.sandboxes) {
            let (from, to) = (folder.join(SANDBOXES), waiting.clone());
            let tally = tokio::task::spawn_blocking(move || archive::copy(&from, &to)).await??;
            same(&folder.join(SANDBOXES), files, &tally.into())?;
        }
        let taken_at = manifest.taken_at.parse().with_context(|| format!("taken_at {:?}", manifest.taken_at))?;
        holds::hold_all(&copy, taken_at).await
    }

    /// Gives everything its name, durably and in this order.
    fn settle(&self) -> io::Result<()> {
        // The last that closed the database has moved its log into the file.
        let log = beside(&self.waiting_database, "-wal");
        if log.metadata().is_ok_and(|log| log.len() > 0) {
            return Err(io::Error::other(format!(
                "{} is still there: the database was not closed in good order",
                log.display()
            )));
        }
        fs::File::open(&self.waiting_database)?.sync_all()?;
        let files = self.sandboxes.as_ref().map(|(place, waiting)| (waiting, place));
        for (waiting, place) in files.into_iter().chain([(&self.waiting_database, &self.database)]) {
            fs::rename(waiting, place)?;
            sync(place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        }
        Ok(())
    }

    /// What cannot be removed is told by the next restore, which cannot make it anew.
    fn clear(&self) {
        for end in ["", "-wal", "-shm", "-journal"] {
            let _ = fs::remove_file(beside(&self.waiting_database, end));
        }
        if let Some((_, waiting)) = &self.sandboxes {
            let _ = fs::remove_dir_all(waiting);
        }
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The path with something more at its end.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    path.into()
}

/// Refuses what is not as it was saved.
fn same(part: &Path, saved: &Saved, found: &Saved) -> anyhow::Result<()> {
    let told = |what: &Saved| format!("{} files, {} bytes, SHA-256 {}", what.files, what.bytes, what.sha256);
    anyhow::ensure!(
        saved == found,
        "{} was altered or damaged since the backup was taken: {} were saved, and now it is {}. Nothing was restored; use another backup",
        part.display(),
        told(saved),
        told(found)
    );
    Ok(())
}

/// What is to be done if the key is not at hand that the secrets are sealed with. The files and Jobs are whole without it.
fn lacking(sealed_with: &[String], place: &at_hand::Place) -> Option<String> {
    // One that cannot be read is as good as none: it is told below, and by the start.
    let at_hand = place.read().ok().flatten().map(|key| key.id());
    if sealed_with.is_empty() || at_hand.is_some_and(|id| sealed_with.contains(&id)) {
        return None;
    }
    let (ids, place) = (sealed_with.join(" or "), place.shown());
    Some(format!(
        "Its secrets are sealed with the master key {ids}, which is not in the backup and not at hand ({place}): before you start the server, \
         put it there, or name the file that it is in with --master-key-file."
    ))
}

fn said(data_dir: &Path, manifest: &Manifest, held: &Held, key: Option<String>) -> String {
    let asks = (held.asks > 0).then(|| {
        format!(
            "{} Jobs were at work or due. None goes on by itself, since what they did after the backup is not in it: each asks.\n\
             See `errand runs list --status waiting`, and answer with `errand runs respond JOB --approve` or `--deny`; with `--held` in place of JOB, all of them.",
            held.asks
        )
    });
    let unreadable = (held.unreadable > 0)
        .then(|| format!("{} Jobs cannot be read and will fail, saying so, when the server starts.", held.unreadable));
    let keys = "API keys that were revoked after the backup are valid again: look at `errand keys list` before you start the server.";
    let first = format!("restored into {}\n", data_dir.display()) + &parts(manifest);
    first + &paint::lines(asks.into_iter().chain(unreadable).chain(key).chain([keys.to_owned()]))
}

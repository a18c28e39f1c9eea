//! `errand backup`: everything that is kept, copied beside a running server into one folder that [`crate::restore`] can check and bring back.
//!
//! The database comes first, then the files. A step that writes a file is in the journal only after the file is on the disk, and no step takes a
//! file away, so every file that the copied journal knows of is still there when the files are copied. The other way round a Job could write one,
//! and its step, after its folder was copied and before the database was. A file that is newer than the database does no harm: a Job finds it as it
//! finds what was written before a crash.
//!
//! The master key is left out: a backup goes to other disks and other people, and with the key it would be as good as the secrets themselves.
//!
//! The folder gets its name last. One that was not finished is never taken for a backup.

pub(crate) mod manifest;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use agent::workspace::archive;
use anyhow::Context;
use clap::Args;
use domain::Ambient;
use serde_json::json;
use storage::{Db, Settings, StoreError, master_keys};

use crate::ambient::SystemAmbient;
use crate::backup::manifest::{DATABASE, Kept, Manifest, SANDBOXES, Saved};
use crate::config::{Config, Database, Files, Place};
use crate::master_key::at_hand;
use crate::paint;
use crate::serve::environment;

/// The migration since which secrets are sealed.
const SEALING: u32 = 4;

/// Copies database and files into a new folder, while the server runs. SQLite only.
///
/// `errand restore` brings it back. The folder holds what the data folder holds, but for the master key: without it, secrets in the backup do not open.
#[derive(Args)]
pub(crate) struct Backup {
    /// Where to: a folder that is not there yet, or empty.
    folder: PathBuf,
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Backup {
    /// Does it.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(&self.place, None, &environment)?;
        let database = match &config.database {
            Database::Sqlite(path) => path,
            shared @ Database::Postgres(_) => anyhow::bail!(
                "the database is {shared}: save it with PostgreSQL's own means, pg_dump or base backups with archived WAL, and then {}; \
                 `errand backup` copies SQLite databases only",
                config.files.shown()
            ),
        };
        if !database.exists() {
            anyhow::bail!("{}: no database there; `errand serve` makes it at its first start", database.display());
        }
        let target = absolute(&self.folder)?;
        refuse_taken(&target)?;
        if let Some(folder) = config.files.folder() {
            refuse_inside(&target, folder)?;
        }
        let unfinished = Unfinished::make(&target)?;
        let (manifest, left_out) = save(database, &config.files, &unfinished.0).await?;
        unfinished.finish(&target).with_context(|| target.display().to_string())?;
        paint::print(&if self.json {
            format!("{}\n", json!({ "folder": target, "backup": manifest, "left_out": left_out }))
        } else {
            said(&target, &manifest, left_out, &config.master_key)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Fills the folder: database, files, and what both must be.
async fn save(database: &Path, files: &Files, folder: &Path) -> anyhow::Result<(Manifest, u64)> {
    let ambient = Arc::new(SystemAmbient::new());
    let clock = Arc::clone(&ambient);
    let settings = Settings::new(database, Arc::new(move || clock.now()));
    // Before the copy begins: whatever was answered by then is in it.
    let taken_at = ambient.now();
    let copy = folder.join(DATABASE);
    let db = Db::open_for_reading(&settings).with_context(|| database.display().to_string())?;
    let copied = db.back_up(&copy).await;
    db.close().await;
    copied.with_context(|| format!("copying {} to {}", database.display(), copy.display()))?;
    let db = Db::open_for_reading(&Settings { path: copy.clone(), ..settings })?;
    let schema = schema(&db).await;
    db.close().await;
    let (from, to) = (files.folder().map(Path::to_owned), folder.join(SANDBOXES));
    let (database, copied) = tokio::task::spawn_blocking(move || {
        let (sha256, bytes) = manifest::sum(&copy)?;
        let copied = from.map(|from| archive::copy(&from, &to)).transpose()?;
        io::Result::Ok((Saved { files: 1, bytes, sha256 }, copied))
    })
    .await??;
    let left_out = copied.as_ref().map_or(0, |copied| copied.left_out);
    let kept = copied.map_or_else(|| Kept::Elsewhere(files.shown()), |copied| Kept::Here(copied.into()));
    let manifest = Manifest::new(taken_at, schema?, database, kept);
    manifest.write(folder)?;
    Ok((manifest, left_out))
}

/// The migrations that a database has had, and the master keys that open its secrets.
async fn schema(db: &Db) -> Result<(Vec<u32>, Vec<String>), StoreError> {
    let migrations = db.applied().await?;
    if !migrations.contains(&SEALING) {
        return Ok((migrations, Vec::new()));
    }
    let accepted = db.read(async |tx| master_keys::accepted(tx).await).await?;
    Ok((migrations, accepted.into_iter().map(|key| key.id).collect()))
}

fn said(folder: &Path, manifest: &Manifest, left_out: u64, master_key: &at_hand::Place) -> String {
    let left_out = (left_out > 0)
        .then(|| format!("{left_out} entries of sandboxes are links, devices or the like, and are not in it."));
    let head = format!("saved {}\n", folder.display()) + &parts(manifest);
    let private =
        "It holds all that your Jobs work on: keep it as safe as the data folder. `errand restore` brings it back.";
    let key = (!manifest.master_keys.is_empty()).then(|| {
        let (id, place) = (manifest.master_keys.join(" or "), master_key.shown());
        format!(
            "Secrets in it are sealed with the master key {id}, which is not in it: keep {place} too, somewhere else."
        )
    });
    head + &paint::lines(left_out.into_iter().chain([private.to_owned()]).chain(key))
}

/// What is in a backup, for people.
pub(crate) fn parts(manifest: &Manifest) -> String {
    let files = match &manifest.sandboxes {
        Kept::Here(files) => format!("{} files, {}", files.files, size(files.bytes)),
        Kept::Elsewhere(place) => format!("not in it: they are in {place}"),
    };
    let fields =
        [("  as of", manifest.taken_at.clone()), ("  database", size(manifest.database.bytes)), ("  sandboxes", files)];
    fields.iter().fold(String::new(), |text, (name, value)| text + &format!("{name:<11}  {value}\n"))
}

/// Bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} bytes"),
    }
}

fn absolute(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = std::path::absolute(folder).with_context(|| folder.display().to_string())?;
    // A slash or a dot at the end is no name to put another beside.
    Ok(path.components().collect())
}

fn refuse_taken(folder: &Path) -> anyhow::Result<()> {
    let name = folder.display();
    match fs::read_dir(folder) {
        Ok(mut entries) => {
            anyhow::ensure!(
                entries.next().is_none(),
                "{name} is there and not empty: name a new folder for each backup"
            );
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| name.to_string()),
    }
}

/// What is among the sandboxes would be copied with them.
fn refuse_inside(folder: &Path, sandboxes: &Path) -> anyhow::Result<()> {
    let parent = folder.parent().unwrap_or(folder);
    let inside = match (parent.canonicalize(), sandboxes.canonicalize()) {
        (Ok(parent), Ok(root)) => parent.starts_with(root),
        _ => false,
    };
    anyhow::ensure!(
        !inside,
        "{} is among the sandboxes: name a folder elsewhere, best on another disk",
        folder.display()
    );
    Ok(())
}

/// The folder while it is filled. Removed with what is in it, unless it was finished.
struct Unfinished(PathBuf);

impl Unfinished {
    fn make(target: &Path) -> anyhow::Result<Self> {
        let name = target.file_name().context("name the new folder itself")?.to_string_lossy();
        let path = target.with_file_name(format!("{name}.unfinished-{}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }

    fn finish(self, target: &Path) -> io::Result<()> {
        sync(&self.0)?;
        fs::rename(&self.0, target)?;
        sync(target.parent().unwrap_or(target))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Once finished it is not there any more; what cannot be removed is no backup all the same, by its name.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Makes what was made or renamed in a folder durable.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        assert_eq!([size(0), size(1023), size(1536), size(5 << 30)], ["0 bytes", "1023 bytes", "1.5 KiB", "5.0 GiB"]);
    }
}

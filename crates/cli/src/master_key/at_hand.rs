//! The master key of this machine: where it lies, and whether it is the one that opens the database's secrets.
//!
//! A server on SQLite makes one for itself, beside the database and not in it. Nodes that share a database must share its key, so there it is the
//! operator's to make.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use domain::Ambient;
use domain::master_key::MasterKey;
use storage::master_keys::{self, Keyring};
use storage::{Db, StoreError, settings};
use zeroize::Zeroizing;

use crate::backup::sync;
use crate::config::{Config, Database};
use crate::folders::warn_if_shared;

/// What it is called where a server made it.
pub(crate) const FILE: &str = "master.key";
/// How it is given to nodes that share a database.
pub(crate) const SHARED: &str = "make one with `errand master-key new > master.key`, give the same file to each node, and name it: \
    ERRAND_MASTER_KEY_FILE=master.key, or `master_key_file` in section [server] of errand.toml; or put the key itself into ERRAND_MASTER_KEY";
/// Secrets that are sealed in one transaction.
const BATCH: u32 = 100;

/// Where the key is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// In ERRAND_MASTER_KEY.
    Variable(MasterKey),
    /// In a file that the operator named.
    Named(PathBuf),
    /// In the data folder, where the server makes it.
    Own(PathBuf),
}

impl Place {
    /// What it is called in messages.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Variable(_) => "ERRAND_MASTER_KEY".to_owned(),
            Self::Named(path) | Self::Own(path) => path.display().to_string(),
        }
    }

    /// The file it is in, if it is in one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::Variable(_) => None,
            Self::Named(path) | Self::Own(path) => Some(path),
        }
    }

    /// The key. `None`: the server has not made it yet.
    pub(crate) fn read(&self) -> anyhow::Result<Option<MasterKey>> {
        match self {
            Self::Variable(key) => Ok(Some(key.clone())),
            Self::Own(path) if !path.try_exists().with_context(|| self.shown())? => Ok(None),
            Self::Named(path) | Self::Own(path) => read_file(path).map(Some),
        }
    }
}

/// Reads a key out of a file.
pub(crate) fn read_file(path: &Path) -> anyhow::Result<MasterKey> {
    let named = || format!("the master key in {}", path.display());
    let text = fs::read_to_string(path).map(Zeroizing::new).with_context(named)?;
    MasterKey::parse(&text).map_err(anyhow::Error::msg).with_context(named)
}

/// Refuses what could never start, before anything is opened.
pub(crate) fn refuse_none(config: &Config) -> anyhow::Result<()> {
    match (&config.database, &config.master_key) {
        (Database::Postgres(_), Place::Own(_)) => {
            anyhow::bail!("nodes that share a database share its master key, and none is named here: {SHARED}")
        }
        _ => Ok(()),
    }
}

/// The keys of a server that starts: they are made if nothing was ever sealed, and refused if others opened what was.
pub(crate) async fn found(config: &Config, db: &Db, ambient: Arc<dyn Ambient>) -> anyhow::Result<Keyring> {
    let place = &config.master_key;
    let master = match place.read()? {
        Some(master) => master,
        None => match db.read(async |tx| master_keys::accepted(tx).await).await?.as_slice() {
            [] => make(place, ambient.as_ref())?,
            accepted => return Err(missing(place, accepted)),
        },
    };
    if let Some(path) = place.file() {
        warn_if_shared(path);
    }
    let keys = Keyring { master, ambient };
    let admitted = keys.clone();
    db.write(async move |tx| master_keys::admit(tx, &admitted).await).await.map_err(|error| refused(place, error))?;
    Ok(keys)
}

/// The keys for a command beside a server.
pub(crate) async fn look(config: &Config, db: &Db, ambient: Arc<dyn Ambient>) -> anyhow::Result<Keyring> {
    let place = &config.master_key;
    let Some(master) = place.read()? else {
        return Err(missing(place, &db.read(async |tx| master_keys::accepted(tx).await).await?));
    };
    db.read(async |tx| master_keys::check(tx, &master).await).await.map_err(|error| refused(place, error))?;
    Ok(Keyring { master, ambient })
}

/// Seals what an older version kept in clear, and sees to it that nothing of it is left in the file.
pub(crate) async fn seal_clear(db: &Db, keys: &Keyring) -> anyhow::Result<()> {
    let mut sealed = 0;
    loop {
        let keys = keys.clone();
        match db.write(async move |tx| master_keys::seal_clear(tx, &keys, BATCH).await).await? {
            0 => break,
            more => sealed += more,
        }
    }
    if sealed > 0 {
        tracing::info!(sealed, "secrets that an older version kept in clear are sealed now");
    }
    if db.read(async |tx| settings::has_traces(tx).await).await? {
        clean(db).await?;
    }
    Ok(())
}

/// Removes what may be left of secrets outside of any row.
async fn clean(db: &Db) -> anyhow::Result<()> {
    match db.rewrite().await {
        Ok(true) => {}
        Ok(false) => tracing::warn!(
            "PostgreSQL keeps what rows were before, until they are vacuumed, and in its WAL, archives and backups: run \
             VACUUM FULL builds, settings, answers, data_keys; and change the secrets that others may have seen there"
        ),
        Err(error) => {
            tracing::warn!(%error, "the database file may still hold, outside of any row, secrets from before they were sealed: it could not be \
                written anew, for which it needs twice its room; the next start tries again");
            return Ok(());
        }
    }
    db.write(async |tx| settings::forget_traces(tx).await).await?;
    Ok(())
}

/// Makes the key: on the disk, whole, before anything is sealed with it.
fn make(place: &Place, ambient: &dyn Ambient) -> anyhow::Result<MasterKey> {
    let Place::Own(path) = place else { anyhow::bail!("{}: there is no key", place.shown()) };
    let master = MasterKey::draw(ambient);
    write_file(path, &master).with_context(|| format!("making the master key {}", path.display()))?;
    Ok(master)
}

fn write_file(path: &Path, master: &MasterKey) -> io::Result<()> {
    let new = path.with_extension("key.new");
    // Of a start that was killed, before it was of any use.
    if let Err(error) = fs::remove_file(&new)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(format!("{}\n", *master.text()).as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// The key's file is gone although there are secrets, or there never was one.
fn missing(place: &Place, accepted: &[master_keys::Accepted]) -> anyhow::Error {
    let place = place.shown();
    match accepted {
        [] => anyhow::anyhow!("{place}: there is no master key yet; `errand serve` makes it at its first start"),
        accepted => anyhow::anyhow!(
            "{place} is not there, and the secrets in the database are sealed with the master key {}: put it back, or name the file that it is in \
             with --master-key-file. If it is lost, `errand master-key forget --lost` gives up the secrets and keeps everything else",
            ids(accepted)
        ),
    }
}

fn refused(place: &Place, error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Sealed(why) => anyhow::anyhow!(
            "the master key ({}): {why}. Name the right one with --master-key-file, or put it there; `errand master-key` has more",
            place.shown()
        ),
        other => other.into(),
    }
}

/// Ids of keys, for people.
pub(crate) fn ids(accepted: &[master_keys::Accepted]) -> String {
    accepted.iter().map(|key| key.id.as_str()).collect::<Vec<_>>().join(" or ")
}

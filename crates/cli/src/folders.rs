//! The folders that a server keeps things in: made for their owner only, looked at before anything is written.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::Context as _;
use domain::Ambient as _;
use uuid::Uuid;

use crate::ambient::SystemAmbient;
use crate::config::{Config, Database};

/// Says so if others on this machine could get at what is kept: an operator may want that, and is the only one who can change it.
pub(crate) fn warn_if_shared(path: &Path) {
    let mode = path.metadata().map_or(0, |metadata| metadata.permissions().mode() & 0o777);
    if mode & 0o077 != 0 {
        let path = path.display();
        tracing::warn!(
            "{path} is open to other users of this machine (mode {mode:o}), and what is kept there is private: chmod go= {path}"
        );
    }
}

/// What no other node is called: made at the first start and kept in the data folder, whose lock is ours.
pub(crate) fn node_name(folder: &Path, ambient: &SystemAmbient) -> anyhow::Result<String> {
    let file = folder.join("node");
    if let Ok(name) = std::fs::read_to_string(&file)
        && Uuid::try_parse(name.trim()).is_ok()
    {
        return Ok(name.trim().to_owned());
    }
    let name = ambient.id(ambient.now()).simple().to_string();
    std::fs::write(&file, &name).with_context(|| file.display().to_string())?;
    Ok(name)
}

/// Sees to it that files can be kept in a folder. One that nodes share is never made here: if its disk is not mounted, the files of this node would be where
/// no other looks.
pub(crate) fn open_sandboxes(config: &Config, folder: &Path) -> anyhow::Result<()> {
    let shown = folder.display();
    let apart = !folder.starts_with(&config.data_dir);
    if apart && matches!(config.database, Database::Postgres(_)) {
        anyhow::ensure!(
            folder.is_dir(),
            "sandboxes.folder: {shown} is not there: mount or make it, the same one for every node"
        );
    } else {
        make_private(folder).with_context(|| format!("the folder of the sandboxes {shown}"))?;
    }
    let ambient = SystemAmbient::new();
    // Another node may try it at this moment, and have the same process id in a container of its own.
    let probe = folder.join(format!(".probe-{}", ambient.id(ambient.now()).simple()));
    let written = std::fs::write(&probe, "").and_then(|()| std::fs::remove_file(&probe));
    written.with_context(|| format!("nothing can be written into the folder of the sandboxes {shown}"))
}

/// Makes the folder, for its owner only, unless it is there.
pub(crate) fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

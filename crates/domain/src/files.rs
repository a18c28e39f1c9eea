//! Team files: kept for a team, and put into the workspace of each Job whose Build names them.
//!
//! Their bytes lie among the sandboxes, in an area that no sandbox can be, each under a name that is never used again; what a file is called is
//! in its row. So a file is replaced by one write of a row, and whoever is reading the old bytes keeps them.

use uuid::Uuid;

use crate::sandboxes::{ROOT, SandboxPath};
use crate::{FileId, TeamId, Timestamp};

/// Where a Job finds them, below its workspace.
pub const FOLDER: &str = "files";

/// One file of a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamFile {
    /// Stays the same when the file is replaced.
    pub id: FileId,
    /// Whose it is.
    pub team: TeamId,
    /// Such as `rates/2026.csv`; one file of a team a name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Of the bytes.
    pub sha256: [u8; 32],
    /// What the bytes are called among the team's.
    pub blob: Uuid,
    /// When it was first put there.
    pub created_at: Timestamp,
    /// When it was last replaced.
    pub updated_at: Timestamp,
}

impl TeamFile {
    /// Where its bytes are, in the [`area`] of its team.
    pub fn stored_at(&self) -> SandboxPath {
        stored_at(self.blob)
    }

    /// Where a Job finds it.
    ///
    /// # Errors
    /// A sentence, for a name that no file can have.
    pub fn placed_at(&self) -> Result<SandboxPath, String> {
        SandboxPath::parse_file(&format!("{ROOT}/{FOLDER}/{}", self.name))
    }
}

/// The area of a team's files among the sandboxes. No sandbox's id begins so.
pub fn area(team: TeamId) -> String {
    format!("team_{}", team.0.simple())
}

/// Where bytes of this name are.
pub fn stored_at(blob: Uuid) -> SandboxPath {
    // Hex digits are a plain name.
    SandboxPath::parse_file(&blob.simple().to_string()).unwrap_or_else(|_| SandboxPath::root())
}

/// When bytes of this name came, if they are a file's: names are drawn at that moment, and ids tell the time.
pub fn came_at(stored: &str) -> Option<Timestamp> {
    let blob = Uuid::try_parse(stored).ok().filter(|blob| blob.get_version_num() == 7)?;
    i64::try_from(blob.as_u128() >> 80).ok().map(Timestamp)
}

/// What a file is called that was sent to this path: below the workspace, with or without saying so, or where a Job finds it.
///
/// # Errors
/// A sentence that names the offending part.
pub fn name(given: &str) -> Result<String, String> {
    let path = SandboxPath::parse_file(given)?;
    // In full it may also be the path under which a Job has it.
    let placed = path.to_string();
    let name = placed.strip_prefix(&format!("{ROOT}/{FOLDER}/")).filter(|_| given.starts_with(ROOT));
    let name = name.map_or_else(|| path.relative(), str::to_owned);
    // It must still be a path when it is placed in its folder.
    SandboxPath::parse_file(&format!("{ROOT}/{FOLDER}/{name}"))?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_path_that_can_be_placed() {
        for (path, wanted) in [
            ("a.csv", "a.csv"),
            ("/workspace/in/a.csv", "in/a.csv"),
            ("./in//a.csv", "in/a.csv"),
            ("/workspace/files/in/a.csv", "in/a.csv"),
            ("files/a.csv", "files/a.csv"),
        ] {
            assert_eq!(name(path).as_deref(), Ok(wanted));
        }
        let deep = "d/".repeat(31) + "f";
        for wrong in ["", "/workspace", "a/", "../a", "/etc/passwd", "a\0", &deep] {
            assert!(name(wrong).is_err(), "{wrong:?}");
        }
        let area = area(TeamId(Uuid::from_u128(10)));
        assert_eq!(area, "team_0000000000000000000000000000000a");
        assert_eq!(stored_at(Uuid::from_u128(11)).relative(), "0000000000000000000000000000000b");
        assert_eq!(came_at("0192f5a17c3e7d109a553f2b8c1d4e07"), Some(Timestamp(0x0192_f5a1_7c3e)));
        assert_eq!((came_at("0192f5a17c3e4d109a553f2b8c1d4e07"), came_at("x")), (None, None));
    }
}

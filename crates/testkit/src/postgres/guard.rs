//! What ends a cluster when nobody else does: a shell that waits for the end of this process.
//!
//! It reads from a pipe that only this process holds. A killed test process and a `static` that is never dropped close it too.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Whoever works in the data directory is of the cluster; a process number that is written somewhere may belong to somebody else by now. A killed
/// server leaves a small piece of shared memory behind, of which a machine has only so many.
const SCRIPT: &str = r#"
read -r _
data=$1/data
for process in /proc/[0-9]*; do
    [ "$(readlink "$process/cwd")" = "$data" ] && kill -KILL "${process#/proc/}"
done
shared=$(sed -n '7s/.* //p' "$data/postmaster.pid")
[ -z "$shared" ] || ipcrm -m "$shared"
rm -rf "$1"
"#;

/// Watches over a directory. [`Guard::end`] and the end of this process remove it with the cluster in it.
#[derive(Debug)]
pub(super) struct Guard {
    shell: Child,
}

impl Guard {
    /// Starts to watch.
    pub(super) fn over(dir: &Path) -> io::Result<Self> {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "errand-pg-guard"])
            .arg(dir.canonicalize()?)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C at the terminal must not end it before its work.
            .process_group(0)
            .spawn()?;
        Ok(Self { shell })
    }

    /// Removes everything, and waits for that.
    pub(super) fn end(&mut self) {
        drop(self.shell.stdin.take());
        let _removed = self.shell.wait();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end();
    }
}

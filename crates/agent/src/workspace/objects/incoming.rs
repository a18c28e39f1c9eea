//! Files that come in piece by piece: a small one is put at its end, a large one in parts as they come. Nobody sees any of it before the end.

use std::io;
use std::sync::Arc;

use domain::sandboxes::{FileError, SandboxPath};
use object_store::buffered::BufWriter;
use tokio::io::AsyncWriteExt as _;

use super::super::{Area, check_incoming};
use super::Objects;

/// Bytes of one part. S3 takes ten thousand of them, of at least 5 MiB.
const PART: usize = 8 * 1024 * 1024;
/// Parts that are on their way at once, each held in memory.
const PARTS: usize = 2;

/// A file that is being written.
pub(super) struct Incoming {
    objects: Arc<Objects>,
    area: Area,
    path: SandboxPath,
    /// Gone once the file is put or given up.
    writer: Option<BufWriter>,
    size: u64,
    most: u64,
    /// What the sandbox still took at the beginning. At the end it is looked at again.
    room: u64,
}

impl Incoming {
    pub(super) fn new(
        objects: Arc<Objects>,
        area: Area,
        path: SandboxPath,
        most: u64,
        room: u64,
    ) -> Result<Self, FileError> {
        let key = objects.key(&area, &path)?;
        let writer = BufWriter::with_capacity(Arc::clone(&objects.bucket.store), key, PART).with_max_concurrency(PARTS);
        Ok(Self { objects, area, path, writer: Some(writer), size: 0, most, room })
    }
}

impl domain::sandboxes::Incoming for Incoming {
    fn push(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let size = self.size.saturating_add(bytes.len() as u64);
        check_incoming(&self.path, size, self.most, self.room)?;
        let Some(writer) = &mut self.writer else { return Err(FileError::Unreachable(self.path.to_string())) };
        let written = self.objects.runtime.block_on(writer.write_all(bytes));
        written.map_err(|error| broken(&self.path, &error))?;
        self.size = size;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<u64, FileError> {
        let objects = Arc::clone(&self.objects);
        let _turn = objects.turns.wait(&self.area);
        objects.room_for(&self.area, &self.path, self.size)?;
        objects.check_claim(&self.area, &self.path)?;
        let Some(mut writer) = self.writer.take() else { return Err(FileError::Unreachable(self.path.to_string())) };
        let put = objects.runtime.block_on(writer.shutdown());
        put.map_err(|error| broken(&self.path, &error))?;
        Ok(self.size)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(mut writer) = self.writer.take() {
            // Whoever gives it up does not wait. What cannot be removed is removed by the bucket's own rule for unfinished uploads.
            self.objects.runtime.spawn(async move { writer.abort().await });
        }
    }
}

fn broken(path: &SandboxPath, error: &io::Error) -> FileError {
    tracing::warn!(%error, "the bucket of sandboxes");
    FileError::Unreachable(path.to_string())
}

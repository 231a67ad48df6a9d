//! Reads a snapshot back: the head, and the store.

use bytes::Bytes;
use quorate_disk::Disk;
use quorate_kv::{SnapshotChecker, SnapshotLoader, Store};
use quorate_raft::SnapshotMeta;
use quorate_wal::SnapshotMark;
use quorate_wal::snapshot::{SnapshotFiles, SnapshotReader};

use crate::cluster_version::check_speaks;
use crate::error::SnapshotContentError;
use crate::limits::MAX_SNAPSHOT_HEAD_BYTES;
use crate::snapshot_head::SnapshotHead;

/// The state that a snapshot held.
pub struct LoadedSnapshot {
    /// The node's own part.
    pub head: SnapshotHead,
    /// The store.
    pub store: Store,
    /// Bytes of content.
    pub bytes: u64,
}

/// Reads a whole snapshot, for a member that speaks at most this protocol version.
///
/// # Errors
/// When it is not there, damaged, not what its head says, or of a cluster that goes by a newer version. Nothing has been changed then.
pub fn load_snapshot<D: Disk>(
    files: &SnapshotFiles<D>,
    mark: SnapshotMark,
    highest_version: u32,
) -> Result<LoadedSnapshot, SnapshotContentError> {
    let mut reader = files.read(mark)?;
    let mut content = Content::new(&mut reader);
    let head = content.head(mark, highest_version)?;
    let mut loader = SnapshotLoader::new();
    while let Some(bytes) = content.next()? {
        loader.feed(&bytes)?;
    }
    let store = loader.finish()?;
    check_index(mark, store.applied_index())?;
    let bytes = reader.id().bytes;
    Ok(LoadedSnapshot { head, store, bytes })
}

/// Reads a whole snapshot and keeps nothing of it but what it stands for: [`load_snapshot`] will
/// take what this took. It needs the memory of a chunk, and of the largest value.
///
/// # Errors
/// As [`load_snapshot`].
pub(crate) fn check_snapshot<D: Disk>(
    files: &SnapshotFiles<D>,
    mark: SnapshotMark,
    highest_version: u32,
) -> Result<SnapshotMeta, SnapshotContentError> {
    let mut reader = files.read(mark)?;
    let mut content = Content::new(&mut reader);
    let meta = content.head(mark, highest_version)?.meta();
    let mut checker = SnapshotChecker::new();
    while let Some(bytes) = content.next()? {
        checker.feed(&bytes)?;
    }
    check_index(mark, checker.finish()?)?;
    Ok(meta)
}

fn check_index(mark: SnapshotMark, found: u64) -> Result<(), SnapshotContentError> {
    if found == mark.index {
        return Ok(());
    }
    Err(SnapshotContentError::OtherIndex {
        expected: mark.index,
        found,
    })
}

/// The content of a file, chunk after chunk.
struct Content<'a, D: Disk> {
    reader: &'a mut SnapshotReader<D>,
    next_chunk: u64,
    /// What came after the head in the chunk where the head ended.
    rest: Bytes,
}

impl<D: Disk> Content<'_, D> {
    fn new(reader: &mut SnapshotReader<D>) -> Content<'_, D> {
        Content {
            reader,
            next_chunk: 0,
            rest: Bytes::new(),
        }
    }

    fn next(&mut self) -> Result<Option<Bytes>, SnapshotContentError> {
        if !self.rest.is_empty() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        if self.next_chunk == self.reader.id().chunk_count() {
            return Ok(None);
        }
        let chunk = self.reader.chunk(self.next_chunk)?;
        self.next_chunk += 1;
        Ok(Some(chunk.data))
    }

    fn head(
        &mut self,
        mark: SnapshotMark,
        highest_version: u32,
    ) -> Result<SnapshotHead, SnapshotContentError> {
        let length = self.take(4)?;
        let length = length
            .iter()
            .rev()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        if length > MAX_SNAPSHOT_HEAD_BYTES {
            return Err(SnapshotContentError::HeadTooLong { bytes: length });
        }
        let bytes = self.take(length)?;
        let head = SnapshotHead::decode(&bytes)?;
        if (head.applied_index, head.applied_term) != (mark.index, mark.term) {
            return Err(SnapshotContentError::OtherIndex {
                expected: mark.index,
                found: head.applied_index,
            });
        }
        // What follows may be in a form of that version.
        check_speaks(highest_version, head.cluster_version)?;
        Ok(head)
    }

    fn take(&mut self, bytes: usize) -> Result<Vec<u8>, SnapshotContentError> {
        let mut taken = Vec::new();
        while taken.len() < bytes {
            let Some(mut piece) = self.next()? else {
                return Err(SnapshotContentError::EndsInHead);
            };
            let wanted = piece.len().min(bytes - taken.len());
            taken.extend_from_slice(&piece.split_to(wanted));
            self.rest = piece;
        }
        Ok(taken)
    }
}

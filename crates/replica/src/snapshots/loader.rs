//! Reads a snapshot back: the head, and the store.

use std::io::Read;

use bytes::Bytes;
use quorate_disk::Disk;
use quorate_kv::{SnapshotChecker, SnapshotLoader, SnapshotSummary, Store};
use quorate_raft::SnapshotMeta;
use quorate_wal::snapshot::{SnapshotFiles, SnapshotImport, SnapshotReader};
use quorate_wal::{SnapshotMark, WalError};

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
    load(mark, highest_version, &mut chunks_of(&mut reader))
}

/// Reads a whole snapshot from a file that came from anywhere, for members that speak at most this protocol version.
///
/// # Errors
/// As [`load_snapshot`].
pub fn load_imported<R: Read>(
    import: &mut SnapshotImport<R>,
    highest_version: u32,
) -> Result<LoadedSnapshot, SnapshotContentError> {
    load(import.mark(), highest_version, &mut || import.next_chunk())
}

/// Gives the next chunk of a content, verified; none after the last.
type NextChunk<'a> = dyn FnMut() -> Result<Option<Bytes>, WalError> + 'a;

fn load(
    mark: SnapshotMark,
    highest_version: u32,
    next_chunk: &mut NextChunk<'_>,
) -> Result<LoadedSnapshot, SnapshotContentError> {
    let mut content = Content::new(next_chunk);
    let head = content.head(mark, highest_version)?;
    let mut loader = SnapshotLoader::new();
    while let Some(bytes) = content.next()? {
        loader.feed(&bytes)?;
    }
    let store = loader.finish()?;
    check_index(mark, store.applied_index())?;
    let bytes = content.bytes;
    Ok(LoadedSnapshot { head, store, bytes })
}

fn chunks_of<D: Disk>(
    reader: &mut SnapshotReader<D>,
) -> impl FnMut() -> Result<Option<Bytes>, WalError> {
    let mut next = 0;
    move || {
        if next == reader.id().chunk_count() {
            return Ok(None);
        }
        let chunk = reader.chunk(next)?;
        next += 1;
        Ok(Some(chunk.data))
    }
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
    let mut next_chunk = chunks_of(&mut reader);
    let mut content = Content::new(&mut next_chunk);
    let meta = content.head(mark, highest_version)?.meta();
    let mut checker = SnapshotChecker::new();
    while let Some(bytes) = content.next()? {
        checker.feed(&bytes)?;
    }
    check_index(mark, checker.finish()?)?;
    Ok(meta)
}

/// The same of a file that came from anywhere; gives the node's own part, and what the store's holds.
///
/// # Errors
/// As [`load_snapshot`].
pub fn check_imported<R: Read>(
    import: &mut SnapshotImport<R>,
    highest_version: u32,
) -> Result<(SnapshotHead, SnapshotSummary), SnapshotContentError> {
    let mark = import.mark();
    let mut next_chunk = || import.next_chunk();
    let mut content = Content::new(&mut next_chunk);
    let head = content.head(mark, highest_version)?;
    let mut checker = SnapshotChecker::new();
    while let Some(bytes) = content.next()? {
        checker.feed(&bytes)?;
    }
    let summary = checker.summary();
    check_index(mark, checker.finish()?)?;
    Ok((head, summary))
}

pub(crate) fn check_index(mark: SnapshotMark, found: u64) -> Result<(), SnapshotContentError> {
    if found == mark.index {
        return Ok(());
    }
    Err(SnapshotContentError::OtherIndex {
        expected: mark.index,
        found,
    })
}

/// The content of a file, chunk after chunk.
struct Content<'a, 'b> {
    next_chunk: &'a mut NextChunk<'b>,
    /// Of the chunks so far.
    bytes: u64,
    /// What came after the head in the chunk where the head ended.
    rest: Bytes,
}

impl<'a, 'b> Content<'a, 'b> {
    fn new(next_chunk: &'a mut NextChunk<'b>) -> Content<'a, 'b> {
        Content {
            next_chunk,
            bytes: 0,
            rest: Bytes::new(),
        }
    }

    fn next(&mut self) -> Result<Option<Bytes>, SnapshotContentError> {
        if !self.rest.is_empty() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        let chunk = (self.next_chunk)()?;
        self.bytes += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        Ok(chunk)
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

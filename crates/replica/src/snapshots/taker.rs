//! Takes a snapshot: scans the store in steps between applies, and writes a file.
//!
//! Once two files are verified, the log before them goes: from there on they are all there is of what was
//! acknowledged. That a file has the bytes that were written is verified by checksums; that a store can be loaded from
//! those bytes is checked here, while they are written. One of which that is not so gets no name, and the log stays.

use bytes::Bytes;
use quorate_disk::Disk;
use quorate_kv::{SnapshotChecker, SnapshotScan, Store};
use quorate_raft::SnapshotMeta;
use quorate_wal::snapshot::{SnapshotFiles, SnapshotWriter};
use quorate_wal::{SnapshotMark, WalError};

use crate::error::SnapshotContentError;
use crate::limits::SNAPSHOT_STEP_BYTES;
use crate::snapshots::loader::check_index;

/// The state at one applied index, as the applier hands it over: cheap to take, whole only when
/// the store has been scanned.
pub struct Capture {
    /// What it stands for.
    pub meta: SnapshotMeta,
    /// The node's own part, encoded.
    pub(crate) head: Bytes,
    /// The store's part, pinned.
    pub(crate) scan: SnapshotScan,
}

/// A snapshot that is durable under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenSnapshot {
    /// What it stands for.
    pub meta: SnapshotMeta,
    /// Bytes of its content.
    pub bytes: u64,
    /// The store's revision there.
    pub revision: i64,
}

/// A snapshot under way. The store is needed only in [`SnapshotTaker::scan`], so that its lock is
/// not held while the disk works.
pub struct SnapshotTaker<D: Disk> {
    meta: SnapshotMeta,
    scan: SnapshotScan,
    checker: SnapshotChecker,
    writer: SnapshotWriter<D>,
}

impl<D: Disk> SnapshotTaker<D> {
    /// Begins a file.
    ///
    /// # Errors
    /// The disk's; one without space leaves everything else as it was.
    pub fn begin(files: &SnapshotFiles<D>, capture: Capture) -> Result<SnapshotTaker<D>, WalError> {
        let Capture { meta, head, scan } = capture;
        let mut writer = files.write(SnapshotMark {
            index: meta.index.0,
            term: meta.term.0,
        })?;
        let length = u32::try_from(head.len()).expect("a head is bounded by its windows");
        writer.write(&length.to_le_bytes())?;
        writer.write(&head)?;
        Ok(SnapshotTaker {
            meta,
            scan,
            checker: SnapshotChecker::new(),
            writer,
        })
    }

    /// The next piece of the store, a millisecond's work or less; none when it has been scanned.
    pub fn scan(&mut self, store: &Store) -> Option<Bytes> {
        store.scan_snapshot(&mut self.scan, SNAPSHOT_STEP_BYTES)
    }

    /// Writes a piece to the file.
    ///
    /// # Errors
    /// As [`SnapshotTaker::begin`]; and if no store could be loaded from what was written: it can only be abandoned then.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), SnapshotContentError> {
        self.checker.feed(piece)?;
        Ok(self.writer.write(piece)?)
    }

    /// Gives up, and gives the space back.
    pub fn abandon(self) {
        self.writer.abandon();
    }

    /// After the last piece: makes the file durable, and lets go of the store.
    ///
    /// # Errors
    /// As [`SnapshotTaker::write`]; and if the file does not read back as it was written.
    pub fn finish(self) -> Result<TakenSnapshot, SnapshotContentError> {
        let revision = self.scan.revision();
        drop(self.scan);
        let mark = SnapshotMark {
            index: self.meta.index.0,
            term: self.meta.term.0,
        };
        let checked = self.checker.finish().map_err(SnapshotContentError::from);
        if let Err(error) = checked.and_then(|index| check_index(mark, index)) {
            self.writer.abandon();
            return Err(error);
        }
        let id = self.writer.finish()?;
        Ok(TakenSnapshot {
            meta: self.meta,
            bytes: id.bytes,
            revision,
        })
    }
}

//! Pulls a snapshot from a peer, chunk by chunk, over whatever carries questions and answers.
//!
//! What was received stays on the disk, verified: after a lost link, a change of leader or a
//! restart of the process it goes on with the first chunk that is missing, provided that the
//! source has the very same snapshot (its length and checksum are part of the answer).

use quorate_disk::Disk;
use quorate_raft::{InstallWanted, NodeId, SnapshotMeta};
use quorate_wal::SnapshotMark;
use quorate_wal::snapshot::{Chunk, PartReceiver, SnapshotFiles, SnapshotId};

use super::head_of;
use crate::error::SnapshotContentError;

/// What to ask a peer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotQuery {
    /// Whom.
    pub to: NodeId,
    /// Which snapshot.
    pub mark: SnapshotMark,
    /// The first chunk wanted; none as long as it is not known what the snapshot consists of.
    pub first_chunk: Option<u64>,
}

/// How a pull stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullProgress {
    /// Ask for what [`SnapshotPuller::query`] says.
    More,
    /// The snapshot is durable here; this is for Raft.
    Done(SnapshotMeta),
}

/// One snapshot that is being pulled.
pub struct SnapshotPuller<D: Disk> {
    files: SnapshotFiles<D>,
    wanted: InstallWanted,
    receiver: Option<PartReceiver<D>>,
}

impl<D: Disk> SnapshotPuller<D> {
    /// Begins, or goes on with what an earlier attempt left on the disk.
    pub fn new(files: SnapshotFiles<D>, wanted: InstallWanted) -> SnapshotPuller<D> {
        SnapshotPuller {
            files,
            wanted,
            receiver: None,
        }
    }

    /// What to ask for next.
    pub fn query(&self) -> SnapshotQuery {
        let receiver = self.receiver.as_ref();
        SnapshotQuery {
            to: self.wanted.from,
            mark: self.mark(),
            first_chunk: receiver.and_then(PartReceiver::next_chunk),
        }
    }

    /// Bytes that are here, and bytes in all, once that is known.
    pub fn bytes(&self) -> Option<(u64, u64)> {
        let receiver = self.receiver.as_ref()?;
        Some((receiver.received_bytes(), receiver.id().bytes))
    }

    /// The source told what the snapshot is.
    ///
    /// # Errors
    /// When that makes no sense, or the disk fails.
    pub fn described(&mut self, id: SnapshotId) -> Result<PullProgress, SnapshotContentError> {
        if id.mark != self.mark() {
            return Err(SnapshotContentError::OtherIndex {
                expected: self.mark().index,
                found: id.mark.index,
            });
        }
        self.receiver = Some(self.files.receive(id)?);
        self.end_if_whole()
    }

    /// A chunk arrived.
    ///
    /// # Errors
    /// [`WalError::ChunkRefused`](quorate_wal::WalError::ChunkRefused) changes nothing: ask again. Others end this attempt.
    pub fn arrived(&mut self, chunk: &Chunk) -> Result<PullProgress, SnapshotContentError> {
        let Some(receiver) = &mut self.receiver else {
            return Ok(PullProgress::More); // An answer to a question that was not asked.
        };
        receiver.receive(chunk)?;
        self.end_if_whole()
    }

    fn end_if_whole(&mut self) -> Result<PullProgress, SnapshotContentError> {
        let Some(receiver) = self.receiver.take_if(|part| part.next_chunk().is_none()) else {
            return Ok(PullProgress::More);
        };
        receiver.finish()?;
        let head = head_of(&self.files, self.mark())?;
        Ok(PullProgress::Done(head.meta()))
    }

    fn mark(&self) -> SnapshotMark {
        SnapshotMark {
            index: self.wanted.index.0,
            term: self.wanted.term.0,
        }
    }
}

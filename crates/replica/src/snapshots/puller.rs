//! Pulls a snapshot from a peer, chunk by chunk, over whatever carries questions and answers.
//!
//! What was received stays on the disk, verified: after a lost link, a change of leader or a
//! restart of the process it goes on with the first chunk that is missing, provided that the
//! source has the very same snapshot (its length and checksum are part of the answer). What ends
//! nowhere goes: a part for which there is no space, and a whole whose content makes no sense.

use quorate_disk::{Disk, ErrorKind};
use quorate_raft::{InstallWanted, NodeId, SnapshotMeta};
use quorate_wal::snapshot::{Chunk, PartReceiver, SnapshotFiles, SnapshotId};
use quorate_wal::{SnapshotMark, WalError};

use super::check_snapshot;
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
    highest_version: u32,
    receiver: Option<PartReceiver<D>>,
}

impl<D: Disk> SnapshotPuller<D> {
    /// Begins, or goes on with what an earlier attempt left on the disk, for a member that speaks at most
    /// this protocol version.
    pub fn new(
        files: SnapshotFiles<D>,
        wanted: InstallWanted,
        highest_version: u32,
    ) -> SnapshotPuller<D> {
        SnapshotPuller {
            files,
            wanted,
            highest_version,
            receiver: None,
        }
    }

    /// Which snapshot, and from whom.
    pub fn wanted(&self) -> InstallWanted {
        self.wanted
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

    /// The source told what the snapshot is. It tells so with each answer, and must not change its
    /// mind.
    ///
    /// # Errors
    /// When that makes no sense, or the disk fails. The attempt is over then.
    pub fn described(&mut self, id: SnapshotId) -> Result<PullProgress, SnapshotContentError> {
        if let Some(receiver) = &self.receiver {
            let expected = receiver.id();
            if id != expected {
                return Err(SnapshotContentError::SourceChanged {
                    expected,
                    found: id,
                });
            }
            return Ok(PullProgress::More);
        }
        if id.mark != self.mark() {
            return Err(SnapshotContentError::OtherIndex {
                expected: self.mark().index,
                found: id.mark.index,
            });
        }
        let received = self.files.receive(id);
        self.receiver = Some(self.without_space_nothing_stays(received)?);
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
        let received = receiver.receive(chunk);
        self.without_space_nothing_stays(received)?;
        self.end_if_whole()
    }

    fn end_if_whole(&mut self) -> Result<PullProgress, SnapshotContentError> {
        let Some(receiver) = self.receiver.take_if(|part| part.next_chunk().is_none()) else {
            return Ok(PullProgress::More);
        };
        let finished = receiver.finish();
        self.without_space_nothing_stays(finished)?;
        let mark = self.mark();
        match check_snapshot(&self.files, mark, self.highest_version) {
            Ok(meta) => Ok(PullProgress::Done(meta)),
            Err(error) => {
                // Raft will void what is here for the sake of this file. If it is of no use, it
                // must not pass for one that is, nor for one that need not be pulled again.
                if error.is_of_content() {
                    self.files.remove(mark)?;
                }
                Err(error)
            }
        }
    }

    /// The log needs the space more than a part that could not go on.
    fn without_space_nothing_stays<T>(&self, done: Result<T, WalError>) -> Result<T, WalError> {
        if let Err(WalError::Disk(error)) = &done
            && error.kind == ErrorKind::NoSpace
        {
            self.files.remove_received(self.mark())?;
        }
        done
    }

    fn mark(&self) -> SnapshotMark {
        SnapshotMark {
            index: self.wanted.index.0,
            term: self.wanted.term.0,
        }
    }
}

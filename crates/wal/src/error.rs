//! What can go wrong, in variants that a caller can act on, and what merely deserves a line.

use std::fmt;

use quorate_disk::DiskError;

use crate::snapshot::ChunkFault;
use crate::{BatchNumber, Identity, SnapshotMark};

/// Why the log could not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalError {
    /// The disk refused or failed.
    #[error("write-ahead log: {0}")]
    Disk(#[from] DiskError),
    /// Data that may have been acknowledged cannot be read back. Nothing was changed: the log is
    /// as it was found, for repair from another member.
    #[error(
        "write-ahead log: {file} is damaged at byte {offset}{}: {what}; this data was \
         acknowledged, so nothing was cut; restore the file from a good copy of this very disk, \
         or replace the member",
        batch_suffix(*.batch)
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where in it, in bytes, the damaged part begins.
        offset: u64,
        /// The batch that lies there, if that is known.
        batch: Option<BatchNumber>,
        /// What is wrong with it.
        what: String,
    },
    /// The directory holds the log of another cluster, member or group.
    #[error(
        "write-ahead log: {file} belongs to {found}, but this is {expected}; point this member \
         at its own data directory"
    )]
    WrongIdentity {
        /// The file.
        file: String,
        /// Whose log it is.
        found: Identity,
        /// Whose log was expected.
        expected: Identity,
    },
    /// The log was written by a program that knows a newer (or a broken) format.
    #[error(
        "write-ahead log: {file} has format version {found}, this program knows version \
         {known}; start the version of the program that wrote it"
    )]
    UnknownVersion {
        /// The file.
        file: String,
        /// The version it says.
        found: u32,
        /// The version this program writes.
        known: u32,
    },
    /// An earlier append or sync failed. What is on disk is unknown from then on (an `fsync` that
    /// failed once succeeds falsely when it is tried again), so the process has to stop.
    #[error("write-ahead log: stopped after an earlier failure: {cause}")]
    Poisoned {
        /// That failure.
        cause: String,
    },
    /// An entry is larger than [`MAX_ENTRY_BYTES`](crate::MAX_ENTRY_BYTES).
    #[error("write-ahead log: entry {index} has {bytes} bytes, the limit is {limit}")]
    EntryTooLarge {
        /// The entry's index.
        index: u64,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A batch is larger than [`MAX_BATCH_BYTES`](crate::MAX_BATCH_BYTES): split it.
    #[error("write-ahead log: a batch of {bytes} bytes; the limit is {limit}, split it")]
    BatchTooLarge {
        /// The batch's size on disk.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The batch does not continue the log. Nothing was written.
    #[error("write-ahead log: the batch does not continue the log: {what}")]
    BadBatch {
        /// What does not fit.
        what: String,
    },
    /// The entry was released, or is covered by a snapshot.
    #[error("write-ahead log: entry {wanted} is gone; the log begins at {first_index}")]
    Compacted {
        /// The index asked for.
        wanted: u64,
        /// The first one there is.
        first_index: u64,
    },
    /// The log has not come that far.
    #[error("write-ahead log: entry {wanted} was asked for; the log ends at {last_index}")]
    BeyondEnd {
        /// The index asked for.
        wanted: u64,
        /// The last one there is.
        last_index: u64,
    },
    /// A snapshot file cannot be read back as it was written. It is of no use; the one before it
    /// takes its place, or a peer's.
    #[error("snapshot: {file} is damaged at byte {offset}{}: {what}", chunk_suffix(*.chunk))]
    SnapshotDamaged {
        /// The file.
        file: String,
        /// Where in it, in bytes, the damaged part begins.
        offset: u64,
        /// The chunk that lies there, if one does.
        chunk: Option<u64>,
        /// What is wrong with it.
        what: String,
    },
    /// A chunk from a peer, or one that a peer asked for, is not right. Nothing was changed.
    #[error(
        "snapshot at {} of term {}: chunk {chunk} is refused: {fault}",
        .snapshot.index, .snapshot.term
    )]
    ChunkRefused {
        /// The snapshot.
        snapshot: SnapshotMark,
        /// The chunk's number.
        chunk: u64,
        /// What is wrong.
        fault: ChunkFault,
    },
    /// The log begins after entries that only a snapshot could hold, and no snapshot goes
    /// together with it.
    #[error(
        "the log holds entries {first_index} to {last_index}, and no sound snapshot leads up to it{}{}; restore a snapshot file of this member, or replace the member",
        mark_suffix(*.mark), notes_suffix(.notes)
    )]
    NoStart {
        /// The first entry of the log.
        first_index: u64,
        /// The last one.
        last_index: u64,
        /// The snapshot that the log names.
        mark: Option<SnapshotMark>,
        /// The snapshots that are there, and why none will do.
        notes: Vec<Note>,
    },
    /// The options make no sense.
    #[error("write-ahead log: {what}")]
    BadOptions {
        /// Which, and why.
        what: String,
    },
}

fn batch_suffix(batch: Option<BatchNumber>) -> String {
    batch.map_or_else(String::new, |number| format!(" (batch {number})"))
}

fn chunk_suffix(chunk: Option<u64>) -> String {
    chunk.map_or_else(String::new, |number| format!(" (chunk {number})"))
}

fn mark_suffix(mark: Option<SnapshotMark>) -> String {
    mark.map_or_else(String::new, |mark| {
        format!(" (its newest mark: {} of term {})", mark.index, mark.term)
    })
}

fn notes_suffix(notes: &[Note]) -> String {
    notes.iter().map(|note| format!("; {note}")).collect()
}

/// Something that recovery dealt with and that a person may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The last batches were never completely written and never acknowledged: they are void.
    TornTail {
        /// The segment.
        file: String,
        /// Where the first incomplete batch begins.
        offset: u64,
        /// The number it has.
        batch: BatchNumber,
        /// From there to the end of the last trace of a batch that was found.
        bytes: u64,
        /// What is wrong with the first of them.
        what: String,
    },
    /// One of two copies of a header is damaged; the other one was used and nothing is lost.
    SecondCopyUsed {
        /// The segment.
        file: String,
        /// Where the damaged copy lies.
        offset: u64,
    },
    /// Something is damaged that the log no longer needs: its entries were cut or are covered by
    /// an installed snapshot, or it held none.
    DamageWithoutLoss {
        /// The segment.
        file: String,
        /// Where in it, in bytes, the damaged part begins.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// A file that was never finished (a spare segment, a snapshot) or a spare that cannot be used
    /// was removed. It held no data of the log.
    LeftoverRemoved {
        /// The file.
        file: String,
    },
    /// A snapshot file is damaged and was not used.
    SnapshotDamaged {
        /// The file.
        file: String,
        /// Where in it, in bytes, the damaged part begins.
        offset: u64,
        /// The chunk that lies there, if one does.
        chunk: Option<u64>,
        /// What is wrong with it.
        what: String,
    },
    /// A table beside the log is damaged as a whole, and counts as empty.
    TableDamaged {
        /// The file.
        file: String,
    },
    /// The snapshot that the log names is not there.
    SnapshotMissing {
        /// Which.
        mark: SnapshotMark,
    },
    /// A snapshot was passed over, because the log does not go on from it.
    SnapshotUnused {
        /// Which.
        mark: SnapshotMark,
        /// Why.
        what: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::TornTail {
                file,
                offset,
                batch,
                bytes,
                what,
            } => write!(
                f,
                "write-ahead log: cut a torn tail of {bytes} bytes at byte {offset} of {file}: \
                 batch {batch} was never completed ({what}) and never acknowledged"
            ),
            Note::SecondCopyUsed { file, offset } => write!(
                f,
                "write-ahead log: a header at byte {offset} of {file} is damaged; its second \
                 copy was used and nothing is lost; check this disk"
            ),
            Note::DamageWithoutLoss { file, offset, what } => write!(
                f,
                "write-ahead log: {file} is damaged at byte {offset} ({what}), where it holds \
                 nothing that is needed; check this disk"
            ),
            Note::LeftoverRemoved { file } => {
                write!(
                    f,
                    "removed {file}, which was never finished or is of no use"
                )
            }
            Note::SnapshotDamaged {
                file,
                offset,
                chunk,
                what,
            } => write!(
                f,
                "snapshot {file} is damaged at byte {offset}{} and was not used: {what}; check \
                 this disk",
                chunk_suffix(*chunk)
            ),
            Note::TableDamaged { file } => {
                write!(f, "{file} is damaged and counts as empty")
            }
            Note::SnapshotMissing { mark } => write!(
                f,
                "the snapshot at {} of term {}, which the log names, is not there",
                mark.index, mark.term
            ),
            Note::SnapshotUnused { mark, what } => write!(
                f,
                "the snapshot at {} of term {} was passed over: {what}",
                mark.index, mark.term
            ),
        }
    }
}

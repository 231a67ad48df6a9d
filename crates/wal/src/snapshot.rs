//! Snapshot files: a state at one index of the log, whole or not there at all.
//!
//! A snapshot's content is bytes that this crate does not look into. It is cut into chunks of
//! equal size (the last may be shorter), so that chunk `n` is found without an index, read without
//! the others, and asked for by a peer that already has the ones before. Equal states give equal
//! content, whichever member made it; so a transfer that lost its source goes on from another
//! that has the same [`SnapshotId`]. The bytes are in `docs/format-snapshot.md` and `format.rs`.
//!
//! # What holds
//!
//! 1. **A snapshot is whole.** A file is written under another name, read back and verified,
//!    synced, renamed, and its directory synced. After a crash at any moment it is there, whole,
//!    or it is not.
//! 2. **Damage is named.** Every byte of a file is under a checksum. A damaged file is never used
//!    and never passed over in silence; the one before it takes its place (see [`pair`]).
//! 3. **The order of things** (etcd#10219): snapshot file, then its mark in the log, then term and
//!    vote that build on it, then the release of the log before it. Each is durable before the
//!    next. So whatever a crash leaves, some snapshot and the log after it go together.
//! 4. **Two are kept**, and the log since the older: one damaged file loses nothing.
//! 5. **What is received is verified twice**: each chunk when it comes, the whole before it gets
//!    its name. What a restart keeps of it is written once more, since it may stand in a page cache
//!    that lost it.

mod export;
mod format;
mod import;
mod names;
mod pair;
mod reader;
mod receiver;
mod writer;

use std::fmt;

use bytes::Bytes;
use quorate_disk::{Disk, ErrorKind};

pub use self::export::{EXPORT_BLOCK_BYTES, SnapshotExport, export_padding};
pub use self::import::SnapshotImport;
pub use self::pair::{Start, pair, pair_loading};
pub use self::reader::SnapshotReader;
pub use self::receiver::PartReceiver;
pub use self::writer::SnapshotWriter;
use crate::{Identity, Note, SnapshotMark, WalError};
use format::FileHeader;
use names::SnapshotName;

/// Bytes of content in a chunk: a peer's message is at most 2 MiB, and a chunk is verified,
/// written and answered in a millisecond or two.
pub const SNAPSHOT_CHUNK_BYTES: u32 = 1 << 20;

/// Bytes of content of one snapshot, far above what fits into memory; bounds what a footer or a
/// peer may claim.
pub const MAX_SNAPSHOT_BYTES: u64 = 1 << 44;

/// Snapshots that are kept: the newest, and one to fall back on.
pub const SNAPSHOTS_KEPT: usize = 2;

/// What a snapshot is. Two files with the same id hold the same content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotId {
    /// The index that it stands for, and the term there.
    pub mark: SnapshotMark,
    /// Bytes of content.
    pub bytes: u64,
    /// CRC-32C of the content.
    pub checksum: u32,
    /// Bytes of content in each chunk but the last; at most [`SNAPSHOT_CHUNK_BYTES`].
    pub chunk_bytes: u32,
}

impl SnapshotId {
    /// How many chunks it has.
    pub fn chunk_count(&self) -> u64 {
        self.bytes.div_ceil(u64::from(self.chunk_bytes.max(1)))
    }

    /// Bytes of content in chunk `number`; `None` if there is no such chunk.
    pub fn chunk_length(&self, number: u64) -> Option<u32> {
        let last = self.chunk_count().checked_sub(1)?;
        match number.cmp(&last) {
            std::cmp::Ordering::Less => Some(self.chunk_bytes),
            std::cmp::Ordering::Equal => {
                let length = self.bytes - last * u64::from(self.chunk_bytes);
                Some(u32::try_from(length).expect("what is left is at most a chunk"))
            }
            std::cmp::Ordering::Greater => None,
        }
    }

    /// Whether a peer may claim this.
    fn is_plausible(&self) -> bool {
        (1..=SNAPSHOT_CHUNK_BYTES).contains(&self.chunk_bytes)
            && self.bytes <= MAX_SNAPSHOT_BYTES
            && self.mark.index > 0
            && self.mark.index < u64::MAX
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "snapshot at {} of term {} ({} bytes, checksum {:08x})",
            self.mark.index, self.mark.term, self.bytes, self.checksum
        )
    }
}

/// A piece of a snapshot on its way to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its place, from 0.
    pub number: u64,
    /// Its content.
    pub data: Bytes,
    /// See [`chunk_checksum`].
    pub checksum: u32,
}

/// The checksum of a chunk on its way: CRC-32C of the snapshot's index and term, the chunk's
/// number (8 bytes each, little-endian) and the content. A chunk that lands in another's place,
/// or in another snapshot, does not pass.
pub fn chunk_checksum(mark: SnapshotMark, number: u64, data: &[u8]) -> u32 {
    let place = [mark.index, mark.term, number];
    let seed = place.iter().fold(0, |sum, part| {
        crc32c::crc32c_append(sum, &part.to_le_bytes())
    });
    crc32c::crc32c_append(seed, data)
}

/// Why a chunk was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkFault {
    /// The snapshot has only so many.
    Unknown {
        /// How many.
        count: u64,
    },
    /// Another one is wanted first; none any more if all are here.
    OutOfOrder {
        /// Which.
        wanted: Option<u64>,
    },
    /// It is longer or shorter than it must be.
    WrongLength {
        /// What its place demands, in bytes.
        expected: u32,
        /// What came.
        found: usize,
    },
    /// Its content is not what was sent.
    BadChecksum,
    /// It has not come yet.
    Missing,
}

impl ChunkFault {
    fn of(self, snapshot: SnapshotMark, chunk: u64) -> WalError {
        WalError::ChunkRefused {
            snapshot,
            chunk,
            fault: self,
        }
    }
}

impl fmt::Display for ChunkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChunkFault::Unknown { count } => write!(f, "there are {count}"),
            ChunkFault::OutOfOrder {
                wanted: Some(wanted),
            } => write!(f, "chunk {wanted} is wanted first"),
            ChunkFault::OutOfOrder { wanted: None } => f.write_str("all of them are here"),
            ChunkFault::WrongLength { expected, found } => {
                write!(f, "it has {found} bytes where {expected} belong")
            }
            ChunkFault::BadChecksum => f.write_str("it fails its checksum"),
            ChunkFault::Missing => f.write_str("it has not come yet"),
        }
    }
}

/// What [`SnapshotFiles::list`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotList {
    /// The snapshots whose header, footer and length check out, newest first.
    pub snapshots: Vec<SnapshotId>,
    /// The others.
    pub notes: Vec<Note>,
}

/// What [`SnapshotFiles::keep_newest`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The snapshots that are kept of those that the log's mark reaches, newest first, each
    /// verified in full.
    pub kept: Vec<SnapshotMark>,
    /// The log up to here may be released; `None` if fewer snapshots are there than are to be kept.
    pub release_up_to: Option<u64>,
    /// Names of files that were removed.
    pub removed: Vec<String>,
    /// Damaged files.
    pub notes: Vec<Note>,
}

/// The snapshot files in one directory. Clones speak of the same ones.
#[derive(Clone)]
pub struct SnapshotFiles<D: Disk> {
    disk: D,
    identity: Identity,
    salt: u64,
    chunk_bytes: u32,
}

impl<D: Disk> SnapshotFiles<D> {
    /// The snapshots of this log in this directory; it may be the log's own. `salt` as in
    /// [`Options::salt`](crate::Options::salt).
    pub fn new(disk: D, identity: Identity, salt: u64) -> SnapshotFiles<D> {
        SnapshotFiles {
            disk,
            identity,
            salt,
            chunk_bytes: SNAPSHOT_CHUNK_BYTES,
        }
    }

    /// With smaller chunks in what is written from now on (tests take them). All members of a
    /// cluster must agree on it, or no transfer goes on from another source.
    #[must_use]
    pub fn with_chunk_bytes(mut self, chunk_bytes: u32) -> SnapshotFiles<D> {
        assert!(
            (1..=SNAPSHOT_CHUNK_BYTES).contains(&chunk_bytes),
            "chunks of {chunk_bytes} bytes"
        );
        self.chunk_bytes = chunk_bytes;
        self
    }

    /// Removes snapshots that this member began to write and never finished. For the start, when
    /// nobody writes one. What was being received stays.
    ///
    /// # Errors
    /// The disk's.
    pub fn tidy(&self) -> Result<Vec<Note>, WalError> {
        let mut notes = Vec::new();
        for (file, name) in self.names()? {
            if matches!(name, SnapshotName::Part(_)) {
                self.disk.remove(&file)?;
                notes.push(Note::LeftoverRemoved { file });
            }
        }
        Ok(notes)
    }

    /// Begins to write a snapshot. One at a time: one of the same index that was not finished is
    /// removed.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, mark: SnapshotMark) -> Result<SnapshotWriter<D>, WalError> {
        let part = SnapshotName::Part(mark).of_group(self.identity.group_id);
        self.remove_if_there(&part)?;
        let header = FileHeader {
            identity: self.identity,
            chunk_bytes: self.chunk_bytes,
            mark,
            salt: self.salt,
            announced: None,
        };
        SnapshotWriter::create(self.disk.clone(), header)
    }

    /// Begins to receive this snapshot, or goes on where a lost link, another source or another
    /// life of this process stopped. If it is here already, whole, no chunk is wanted. What is
    /// there of any other snapshot that was being received is removed.
    ///
    /// # Errors
    /// [`WalError::BadOptions`] if the id makes no sense; the disk's.
    pub fn receive(&self, id: SnapshotId) -> Result<PartReceiver<D>, WalError> {
        if !id.is_plausible() {
            return Err(WalError::BadOptions {
                what: format!("no {id} with chunks of {} bytes", id.chunk_bytes),
            });
        }
        for (file, name) in self.names()? {
            if matches!(name, SnapshotName::ReceivedPart(mark) if mark != id.mark) {
                self.remove_if_there(&file)?;
            }
        }
        if self.verify(id.mark).is_ok_and(|found| found == id) {
            return PartReceiver::already(self.disk.clone(), id);
        }
        PartReceiver::begin(self.disk.clone(), self.identity, self.salt, id)
    }

    /// Removes what was received of a snapshot, and with it the space that it takes. The next
    /// attempt begins anew.
    ///
    /// # Errors
    /// The disk's.
    pub fn remove_received(&self, mark: SnapshotMark) -> Result<(), WalError> {
        self.remove_if_there(&SnapshotName::ReceivedPart(mark).of_group(self.identity.group_id))
    }

    /// Removes a snapshot whose content is of no use to its reader, so that it is neither taken
    /// for one to fall back on nor for one that need not be pulled. Nothing happens if it is not
    /// there.
    ///
    /// # Errors
    /// The disk's.
    pub fn remove(&self, mark: SnapshotMark) -> Result<(), WalError> {
        self.remove_if_there(&SnapshotName::Whole(mark).of_group(self.identity.group_id))?;
        self.disk.sync_directory()?;
        Ok(())
    }

    /// Opens a snapshot; header, footer and length are verified, the rest as it is read.
    ///
    /// # Errors
    /// [`WalError::SnapshotDamaged`], [`WalError::WrongIdentity`], [`WalError::UnknownVersion`],
    /// and the disk's ([`ErrorKind::NotFound`] if there is none).
    pub fn read(&self, mark: SnapshotMark) -> Result<SnapshotReader<D>, WalError> {
        let name = SnapshotName::Whole(mark).of_group(self.identity.group_id);
        SnapshotReader::open(&self.disk, name, self.identity, mark)
    }

    /// Verifies every byte of a snapshot.
    ///
    /// # Errors
    /// As [`SnapshotFiles::read`].
    pub fn verify(&self, mark: SnapshotMark) -> Result<SnapshotId, WalError> {
        let mut reader = self.read(mark)?;
        reader.verify()?;
        Ok(reader.id())
    }

    /// The snapshots, newest first. Only headers, footers and lengths are verified: that is cheap.
    ///
    /// # Errors
    /// [`WalError::WrongIdentity`] and [`WalError::UnknownVersion`] if one is not for us to read;
    /// the disk's.
    pub fn list(&self) -> Result<SnapshotList, WalError> {
        let mut list = SnapshotList {
            snapshots: Vec::new(),
            notes: Vec::new(),
        };
        for mark in self.marks()? {
            match self.read(mark) {
                Ok(reader) => list.snapshots.push(reader.id()),
                Err(error) => list.notes.push(note_of(error)?),
            }
        }
        Ok(list)
    }

    /// Removes what is older than the `count` newest snapshots that verify in full. Those beyond
    /// `mark`, the newest that is durable in the log, neither count nor go: the log may not go on
    /// from them yet. What was being received at or before `mark` goes too: nobody needs it now.
    /// One of an unknown version is noted and does not count.
    ///
    /// # Errors
    /// [`WalError::WrongIdentity`] if one is not of this member; the disk's.
    pub fn keep_newest(&self, count: usize, mark: SnapshotMark) -> Result<Kept, WalError> {
        let mut done = Kept {
            kept: Vec::new(),
            release_up_to: None,
            removed: Vec::new(),
            notes: Vec::new(),
        };
        for found in self.marks()? {
            if found.index > mark.index {
                continue;
            }
            if done.kept.len() >= count {
                let name = SnapshotName::Whole(found).of_group(self.identity.group_id);
                self.remove_if_there(&name)?;
                done.removed.push(name);
                continue;
            }
            match self.verify(found) {
                Ok(_) => done.kept.push(found),
                // Whoever could not read its content has removed it meanwhile.
                Err(WalError::Disk(error)) if error.kind == ErrorKind::NotFound => {}
                Err(error) => done.notes.push(unused(found, error)?),
            }
        }
        for (file, name) in self.names()? {
            if matches!(name, SnapshotName::ReceivedPart(part) if part.index <= mark.index) {
                self.remove_if_there(&file)?;
                done.removed.push(file);
            }
        }
        if !done.removed.is_empty() {
            self.disk.sync_directory()?;
        }
        if done.kept.len() >= count {
            done.release_up_to = done.kept.last().map(|oldest| oldest.index);
        }
        Ok(done)
    }

    fn names(&self) -> Result<Vec<(String, SnapshotName)>, WalError> {
        let group = self.identity.group_id;
        let files = self.disk.list()?.into_iter();
        Ok(files
            .filter_map(|file| SnapshotName::parse(&file, group).map(|name| (file, name)))
            .collect())
    }

    /// Of all whole snapshots, by their names, newest first.
    fn marks(&self) -> Result<Vec<SnapshotMark>, WalError> {
        let names = self.names()?.into_iter();
        let mut marks: Vec<SnapshotMark> = names
            .filter_map(|(_, name)| match name {
                SnapshotName::Whole(mark) => Some(mark),
                SnapshotName::Part(_) | SnapshotName::ReceivedPart(_) => None,
            })
            .collect();
        marks.sort_unstable_by_key(|mark| std::cmp::Reverse((mark.index, mark.term)));
        Ok(marks)
    }

    fn remove_if_there(&self, file: &str) -> Result<(), WalError> {
        match self.disk.remove(file) {
            Err(error) if error.kind != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Why the snapshot at `mark` is passed over: it is damaged, or of a version that is not ours.
fn unused(mark: SnapshotMark, error: WalError) -> Result<Note, WalError> {
    match error {
        WalError::UnknownVersion { .. } => Ok(Note::SnapshotUnused {
            mark,
            what: error.to_string(),
        }),
        error => note_of(error),
    }
}

/// What is damaged deserves a note; anything else is an error.
fn note_of(error: WalError) -> Result<Note, WalError> {
    match error {
        WalError::SnapshotDamaged {
            file,
            offset,
            chunk,
            what,
        } => Ok(Note::SnapshotDamaged {
            file,
            offset,
            chunk,
            what,
        }),
        other => Err(other),
    }
}

//! Receiving a snapshot from a peer, chunk by chunk, over as many links, sources and lives of this
//! process as it takes.
//!
//! Chunks come in order. Each is verified before it is written, so what the file holds from its
//! beginning on is the snapshot's content, and only its end may be torn; a restart finds that end
//! by the checksums. Which snapshot it is stands in the file's header; a source with another one
//! (an id that differs) begins anew.

use quorate_disk::{Disk, ErrorKind, File};

use super::format::{FileHeader, chunk_offset};
use super::names::SnapshotName;
use super::reader::take_stock;
use super::writer::seal;
use super::{Chunk, ChunkFault, SnapshotId, chunk_checksum};
use crate::{Identity, WalError};

/// A snapshot that is being received.
pub struct PartReceiver<D: Disk> {
    disk: D,
    id: SnapshotId,
    /// Chunks that are there, from the first on.
    chunks: u64,
    checksum: u32,
    buffer: Vec<u8>,
    /// `None` once the snapshot is whole and has its name.
    part: Option<Part<D>>,
}

struct Part<D: Disk> {
    name: String,
    file: D::File,
    header: FileHeader,
}

impl<D: Disk> PartReceiver<D> {
    /// A receiver of a snapshot that is there already. Its name may stand in a page cache only: a
    /// life before may have ended, or failed, between the renaming and the directory's sync.
    pub(crate) fn already(disk: D, id: SnapshotId) -> Result<PartReceiver<D>, WalError> {
        disk.sync_directory()?;
        Ok(PartReceiver {
            disk,
            id,
            chunks: id.chunk_count(),
            checksum: id.checksum,
            buffer: Vec::new(),
            part: None,
        })
    }

    /// Goes on with what is there of this snapshot, or begins.
    pub(crate) fn begin(
        disk: D,
        identity: Identity,
        salt: u64,
        id: SnapshotId,
    ) -> Result<PartReceiver<D>, WalError> {
        let name = SnapshotName::ReceivedPart(id.mark).of_group(identity.group_id);
        let found = match disk.open(&name) {
            Ok(file) => Some(file),
            Err(error) if error.kind == ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(file) = found {
            if let Some(kept) = take_stock::<D>(&file, &name, identity, &id)? {
                return Ok(PartReceiver {
                    disk,
                    id,
                    chunks: kept.chunks,
                    checksum: kept.checksum,
                    buffer: Vec::new(),
                    part: Some(Part {
                        name,
                        file,
                        header: kept.header,
                    }),
                });
            }
            disk.remove(&name)?;
        }
        let header = FileHeader {
            identity,
            chunk_bytes: id.chunk_bytes,
            mark: id.mark,
            salt,
            announced: Some((id.bytes, id.checksum)),
        };
        let file = disk.create(&name)?;
        file.write_at(0, &header.encode())?;
        Ok(PartReceiver {
            disk,
            id,
            chunks: 0,
            checksum: 0,
            buffer: Vec::new(),
            part: Some(Part { name, file, header }),
        })
    }

    /// What is being received.
    pub fn id(&self) -> SnapshotId {
        self.id
    }

    /// The chunk to ask for next, from any source that has this very snapshot; `None` if all are
    /// here and [`PartReceiver::finish`] is due.
    pub fn next_chunk(&self) -> Option<u64> {
        (self.chunks < self.id.chunk_count()).then_some(self.chunks)
    }

    /// Bytes of content that are here.
    pub fn received_bytes(&self) -> u64 {
        (self.chunks * u64::from(self.id.chunk_bytes)).min(self.id.bytes)
    }

    /// Verifies a chunk and adds it.
    ///
    /// # Errors
    /// [`WalError::ChunkRefused`] changes nothing: ask for [`PartReceiver::next_chunk`] again,
    /// perhaps elsewhere. [`WalError::Disk`] with [`ErrorKind::NoSpace`] may be tried again once
    /// there is space; after any other error the disk is not to be trusted.
    pub fn receive(&mut self, chunk: &Chunk) -> Result<(), WalError> {
        self.check(chunk)
            .map_err(|fault| fault.of(self.id.mark, chunk.number))?;
        let part = self.part.as_ref().expect("a chunk is wanted");
        part.header
            .encode_chunk(&mut self.buffer, chunk.number, &chunk.data);
        let offset = chunk_offset(self.id.chunk_bytes, chunk.number);
        part.file.write_at(offset, &self.buffer)?;
        self.checksum = crc32c::crc32c_append(self.checksum, &chunk.data);
        self.chunks += 1;
        Ok(())
    }

    fn check(&self, chunk: &Chunk) -> Result<(), ChunkFault> {
        let Some(expected) = self.id.chunk_length(chunk.number) else {
            let count = self.id.chunk_count();
            return Err(ChunkFault::Unknown { count });
        };
        let wanted = self.next_chunk();
        if wanted != Some(chunk.number) {
            return Err(ChunkFault::OutOfOrder { wanted });
        }
        let found = chunk.data.len();
        if found != expected as usize {
            return Err(ChunkFault::WrongLength { expected, found });
        }
        if chunk.checksum != chunk_checksum(self.id.mark, chunk.number, &chunk.data) {
            return Err(ChunkFault::BadChecksum);
        }
        Ok(())
    }

    /// Verifies the whole, makes it durable and gives it its name. From then on it is a snapshot
    /// like any other; a mark in the log is due.
    ///
    /// # Errors
    /// [`WalError::ChunkRefused`] if chunks are missing. [`WalError::SnapshotDamaged`] if the
    /// whole is not what was announced: its sources did not hold the same snapshot. It is removed
    /// then, and the next attempt begins anew. [`WalError::Disk`] as with
    /// [`PartReceiver::receive`].
    pub fn finish(self) -> Result<SnapshotId, WalError> {
        if let Some(wanted) = self.next_chunk() {
            return Err(ChunkFault::Missing.of(self.id.mark, wanted));
        }
        let Some(part) = self.part else {
            return Ok(self.id);
        };
        if self.checksum != self.id.checksum {
            self.disk.remove(&part.name)?;
            return Err(WalError::SnapshotDamaged {
                file: part.name,
                offset: 0,
                chunk: None,
                what: "the content received is not what was announced; its sources do not hold \
                       the same snapshot"
                    .to_owned(),
            });
        }
        seal(&self.disk, &part.file, &part.name, &part.header, &self.id)?;
        Ok(self.id)
    }
}

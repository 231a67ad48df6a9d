//! A snapshot file on its way out of the member: the same bytes, each verified before it is given out, and
//! zeros behind them up to a multiple of [`EXPORT_BLOCK_BYTES`].
//!
//! The zeros are for etcd's tools: what they save is a database of whole pages and then a SHA-256, and they
//! tell by the length whether that is there. The hash is for whoever sends the bytes to add, and no part of this.

use bytes::Bytes;
use quorate_disk::Disk;

use super::SnapshotReader;
use super::format::{CHUNK_HEADER_BYTES, FOOTER_BYTES, HEADER_BYTES, chunk_offset, footer_offset};
use crate::WalError;

/// What the length of an exported snapshot, without its hash, is a multiple of.
pub const EXPORT_BLOCK_BYTES: u64 = 512;

/// Zeros that follow a snapshot file of so many bytes.
pub fn export_padding(file_bytes: u64) -> u64 {
    file_bytes.next_multiple_of(EXPORT_BLOCK_BYTES) - file_bytes
}

/// Gives out a snapshot file in pieces, none longer than a chunk and its header.
pub struct SnapshotExport<D: Disk> {
    reader: SnapshotReader<D>,
    next: Next,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Header,
    Chunk(u64),
    End,
    Over,
}

impl<D: Disk> SnapshotExport<D> {
    /// All of what `reader` reads.
    pub fn new(reader: SnapshotReader<D>) -> SnapshotExport<D> {
        SnapshotExport {
            reader,
            next: Next::Header,
        }
    }

    /// Bytes of all pieces together.
    pub fn bytes(&self) -> u64 {
        self.file_bytes() + export_padding(self.file_bytes())
    }

    fn file_bytes(&self) -> u64 {
        footer_offset(&self.reader.id()) + FOOTER_BYTES as u64
    }

    /// The next piece, never empty; none after the last.
    ///
    /// # Errors
    /// [`WalError::SnapshotDamaged`] if it does not read back as it was written; the disk's.
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, WalError> {
        let id = self.reader.id();
        let after = |number| match number < id.chunk_count() {
            true => Next::Chunk(number),
            false => Next::End,
        };
        let (piece, next) = match self.next {
            Next::Header => (self.reader.raw(0, HEADER_BYTES as u64)?, after(0)),
            Next::Chunk(number) => {
                let length = id.chunk_length(number).expect("it is below the count");
                self.reader.check_chunk(number, length)?;
                let count = CHUNK_HEADER_BYTES as u64 + u64::from(length);
                let offset = chunk_offset(id.chunk_bytes, number);
                (self.reader.raw(offset, count)?, after(number + 1))
            }
            Next::End => {
                let footer = self.reader.raw(footer_offset(&id), FOOTER_BYTES as u64)?;
                let mut end = footer.to_vec();
                end.resize(end.len() + export_padding(self.file_bytes()) as usize, 0);
                (Bytes::from(end), Next::Over)
            }
            Next::Over => return Ok(None),
        };
        self.next = next;
        Ok(Some(piece))
    }
}

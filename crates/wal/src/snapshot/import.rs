//! A snapshot file that comes from anywhere, read once from front to back.
//!
//! What is known of a file in the log's own directory (whose it is, its mark, its length) is here told by the
//! file alone, and none of it is believed that no checksum covers. Where it ends is told by its footer: what
//! follows, if anything does, is whoever exported it to know (`export.rs`).

use std::io::{self, Read};

use bytes::Bytes;
use quorate_disk::{DiskError, ErrorKind};

use super::SnapshotId;
use super::format::{
    CHUNK_HEADER_BYTES, FOOTER_BYTES, FORMAT_VERSION, FileHeader, HEADER_BYTES, HeaderFault,
    MAGIC_FOOTER, footer_offset,
};
use crate::bytes_io::get_u32;
use crate::{Identity, SnapshotMark, WalError};

/// Reads the content of a snapshot file, chunk after chunk.
pub struct SnapshotImport<R: Read> {
    source: R,
    name: String,
    header: FileHeader,
    offset: u64,
    chunks: u64,
    bytes: u64,
    checksum: u32,
    /// The chunk read last was not full: only the footer may follow.
    was_last: bool,
    id: Option<SnapshotId>,
    buffer: Vec<u8>,
}

impl<R: Read> SnapshotImport<R> {
    /// Reads the header. `name` is what errors call the file.
    ///
    /// # Errors
    /// [`WalError::SnapshotDamaged`] if this is no snapshot, or a damaged one;
    /// [`WalError::UnknownVersion`]; what reading fails with as [`WalError::Disk`].
    pub fn open(source: R, name: &str) -> Result<SnapshotImport<R>, WalError> {
        let mut import = SnapshotImport {
            source,
            name: name.to_owned(),
            header: FileHeader {
                identity: Identity {
                    cluster_id: 0,
                    member_id: 0,
                    group_id: 0,
                },
                chunk_bytes: 0,
                mark: SnapshotMark { index: 0, term: 0 },
                salt: 0,
                announced: None,
            },
            offset: 0,
            chunks: 0,
            bytes: 0,
            checksum: 0,
            was_last: false,
            id: None,
            buffer: Vec::new(),
        };
        import.fill(HEADER_BYTES, "the header")?;
        import.header = match FileHeader::decode(&import.buffer) {
            Ok(header) => header,
            Err(HeaderFault::Damaged) => {
                return Err(import.damaged(None, "its header fails its checksum"));
            }
            Err(HeaderFault::Version(found)) => {
                return Err(WalError::UnknownVersion {
                    file: import.name,
                    found,
                    known: FORMAT_VERSION,
                });
            }
        };
        import.offset = HEADER_BYTES as u64;
        Ok(import)
    }

    /// Which member kept the file.
    pub fn identity(&self) -> Identity {
        self.header.identity
    }

    /// The index that it stands for, and the term there.
    pub fn mark(&self) -> SnapshotMark {
        self.header.mark
    }

    /// What it is, once all of it has been read.
    pub fn id(&self) -> Option<SnapshotId> {
        self.id
    }

    /// Bytes of the file up to here: all of them, once all of it has been read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What it is read from, where the next byte is the first that has not been read.
    pub fn into_source(self) -> R {
        self.source
    }

    /// The next chunk of content, verified; none when the footer has been read, and says the same of
    /// the content as was found.
    ///
    /// # Errors
    /// As [`SnapshotImport::open`].
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>, WalError> {
        if self.id.is_some() {
            return Ok(None);
        }
        self.fill(CHUNK_HEADER_BYTES, "a chunk or the footer")?;
        if get_u32(&self.buffer, 0) == MAGIC_FOOTER {
            self.read_footer()?;
            return Ok(None);
        }
        let length = get_u32(&self.buffer, 16);
        let is_possible = length > 0 && length <= self.header.chunk_bytes && !self.was_last;
        if !is_possible {
            return Err(self.damaged(Some(self.chunks), "no chunk begins here, nor the footer"));
        }
        let head = CHUNK_HEADER_BYTES;
        self.extend(length as usize, "a chunk")?;
        if self
            .header
            .decode_chunk(&self.buffer, self.chunks)
            .is_none()
        {
            return Err(self.damaged(Some(self.chunks), "it fails its checksum"));
        }
        let content = Bytes::copy_from_slice(&self.buffer[head..]);
        self.checksum = crc32c::crc32c_append(self.checksum, &content);
        self.offset += self.buffer.len() as u64;
        self.bytes += u64::from(length);
        self.chunks += 1;
        self.was_last = length < self.header.chunk_bytes;
        Ok(Some(content))
    }

    fn read_footer(&mut self) -> Result<(), WalError> {
        self.extend(FOOTER_BYTES - CHUNK_HEADER_BYTES, "the footer")?;
        let Some(id) = self.header.decode_footer(&self.buffer) else {
            return Err(self.damaged(None, "the footer fails its checksum"));
        };
        let found = (self.bytes, self.checksum);
        if (id.bytes, id.checksum) != found || id.chunk_count() != self.chunks {
            return Err(self.damaged(None, "the footer is that of another content"));
        }
        if self.header.announced.is_some_and(|said| said != found) {
            return Err(self.damaged(None, "the footer contradicts what was announced"));
        }
        self.offset = footer_offset(&id) + FOOTER_BYTES as u64;
        self.id = Some(id);
        Ok(())
    }

    /// Reads so many bytes into the buffer, in the place of what is there.
    fn fill(&mut self, count: usize, what: &'static str) -> Result<(), WalError> {
        self.buffer.clear();
        self.extend(count, what)
    }

    fn extend(&mut self, count: usize, what: &'static str) -> Result<(), WalError> {
        let held = self.buffer.len();
        self.buffer.resize(held + count, 0);
        match self.source.read_exact(&mut self.buffer[held..]) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damaged(None, &format!("the file was cut: it ends within {what}")))
            }
            Err(error) => Err(WalError::Disk(DiskError {
                kind: ErrorKind::Io,
                operation: format!("read at byte {} of", self.offset),
                file: self.name.clone(),
                reason: error.to_string(),
            })),
        }
    }

    fn damaged(&self, chunk: Option<u64>, what: &str) -> WalError {
        WalError::SnapshotDamaged {
            file: self.name.clone(),
            offset: self.offset,
            chunk,
            what: what.to_owned(),
        }
    }
}

//! Writing a snapshot of one's own.

use quorate_disk::{Disk, File};

use super::format::{FileHeader, chunk_offset, footer_offset};
use super::names::SnapshotName;
use super::reader::verify_file;
use super::{MAX_SNAPSHOT_BYTES, SnapshotId};
use crate::WalError;

/// Takes a snapshot's content piece by piece, in order. It is a snapshot only once
/// [`SnapshotWriter::finish`] has returned; before that, and after a crash, there is none.
pub struct SnapshotWriter<D: Disk> {
    disk: D,
    header: FileHeader,
    part: String,
    file: D::File,
    /// Content of the chunk that is not full yet.
    pending: Vec<u8>,
    chunks: u64,
    bytes: u64,
    checksum: u32,
    buffer: Vec<u8>,
    poison: Option<String>,
}

impl<D: Disk> SnapshotWriter<D> {
    pub(crate) fn create(disk: D, header: FileHeader) -> Result<SnapshotWriter<D>, WalError> {
        let part = SnapshotName::Part(header.mark).of_group(header.identity.group_id);
        let file = disk.create(&part)?;
        let mut writer = SnapshotWriter {
            disk,
            header,
            part,
            file,
            pending: Vec::new(),
            chunks: 0,
            bytes: 0,
            checksum: 0,
            buffer: Vec::new(),
            poison: None,
        };
        let begun = writer.file.write_at(0, &writer.header.encode());
        writer.discard_on_error(begun.map_err(WalError::from))?;
        Ok(writer)
    }

    /// Adds content.
    ///
    /// # Errors
    /// [`WalError::Disk`]: the snapshot is given up and its space given back; with
    /// [`NoSpace`](quorate_disk::ErrorKind::NoSpace) everything else goes on as before, after any
    /// other error the disk is not to be trusted. [`WalError::Poisoned`] from then on.
    pub fn write(&mut self, content: &[u8]) -> Result<(), WalError> {
        self.refuse_if_poisoned()?;
        let written = self.take(content);
        self.discard_on_error(written)
    }

    /// Ends the content: verifies the file, makes it durable and gives it its name.
    ///
    /// # Errors
    /// As [`SnapshotWriter::write`]; [`WalError::SnapshotDamaged`] if it does not read back.
    pub fn finish(mut self) -> Result<SnapshotId, WalError> {
        self.refuse_if_poisoned()?;
        let finished = self.complete();
        self.discard_on_error(finished)
    }

    /// Gives up and gives the space back.
    pub fn abandon(self) {
        self.discard();
    }

    fn take(&mut self, mut content: &[u8]) -> Result<(), WalError> {
        let full = self.header.chunk_bytes as usize;
        while !content.is_empty() {
            let room = full - self.pending.len();
            let (piece, rest) = content.split_at(room.min(content.len()));
            self.pending.extend_from_slice(piece);
            content = rest;
            if self.pending.len() == full {
                self.end_chunk()?;
            }
        }
        Ok(())
    }

    fn end_chunk(&mut self) -> Result<(), WalError> {
        let length = self.pending.len() as u64;
        if self.bytes + length > MAX_SNAPSHOT_BYTES {
            return Err(WalError::BadOptions {
                what: format!("a snapshot of more than {MAX_SNAPSHOT_BYTES} bytes"),
            });
        }
        self.header
            .encode_chunk(&mut self.buffer, self.chunks, &self.pending);
        let offset = chunk_offset(self.header.chunk_bytes, self.chunks);
        self.file.write_at(offset, &self.buffer)?;
        self.checksum = crc32c::crc32c_append(self.checksum, &self.pending);
        self.bytes += length;
        self.chunks += 1;
        self.pending.clear();
        Ok(())
    }

    fn complete(&mut self) -> Result<SnapshotId, WalError> {
        if !self.pending.is_empty() {
            self.end_chunk()?;
        }
        let id = SnapshotId {
            mark: self.header.mark,
            bytes: self.bytes,
            checksum: self.checksum,
            chunk_bytes: self.header.chunk_bytes,
        };
        seal(&self.disk, &self.file, &self.part, &self.header, &id)?;
        Ok(id)
    }

    fn refuse_if_poisoned(&self) -> Result<(), WalError> {
        match &self.poison {
            None => Ok(()),
            Some(cause) => Err(WalError::Poisoned {
                cause: cause.clone(),
            }),
        }
    }

    fn discard_on_error<T>(&mut self, result: Result<T, WalError>) -> Result<T, WalError> {
        if let Err(error) = &result {
            self.poison = Some(error.to_string());
            self.discard();
        }
        result
    }

    /// If this fails too, the next start removes the file.
    fn discard(&self) {
        let _ = self.disk.remove(&self.part);
    }
}

/// Writes the footer, verifies the whole file, makes it durable, and only then gives it its name.
pub(crate) fn seal<D: Disk>(
    disk: &D,
    file: &D::File,
    part: &str,
    header: &FileHeader,
    id: &SnapshotId,
) -> Result<(), WalError> {
    file.write_at(footer_offset(id), &header.encode_footer(id))?;
    verify_file(disk, part, header.identity, id)?;
    file.sync()?;
    let name = SnapshotName::Whole(id.mark).of_group(header.identity.group_id);
    disk.rename(part, &name)?;
    disk.sync_directory()?;
    Ok(())
}

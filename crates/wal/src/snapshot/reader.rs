//! Reading a snapshot file: by chunk, each verified before it is given out.

use bytes::Bytes;
use quorate_disk::{Disk, File};

use super::format::{
    CHUNK_HEADER_BYTES, FOOTER_BYTES, FORMAT_VERSION, FileHeader, HEADER_BYTES, HeaderFault,
    chunk_offset, footer_offset,
};
use super::{Chunk, ChunkFault, SnapshotId, chunk_checksum};
use crate::window::Window;
use crate::{Identity, SnapshotMark, WalError};

/// Reads a snapshot, for a start, a backup or a peer. It keeps its file: removing the snapshot
/// does not take it away from a reader.
pub struct SnapshotReader<D: Disk> {
    name: String,
    header: FileHeader,
    window: Window<D::File>,
    id: SnapshotId,
}

impl<D: Disk> SnapshotReader<D> {
    /// Opens the file and verifies its header, footer and length.
    pub(crate) fn open(
        disk: &D,
        name: String,
        identity: Identity,
        mark: SnapshotMark,
    ) -> Result<SnapshotReader<D>, WalError> {
        let file = disk.open(&name)?;
        let length = file.length()?;
        let mut window = Window::new(file, &name, length, HEADER_BYTES);
        let header = read_header::<D>(&mut window, &name, identity, mark)?;
        let least = (HEADER_BYTES + FOOTER_BYTES) as u64;
        let damaged = |offset: u64, what: String| WalError::SnapshotDamaged {
            file: name.clone(),
            offset,
            chunk: None,
            what,
        };
        if length < least {
            let what = format!("the file has {length} bytes, less than header and footer");
            return Err(damaged(length, what));
        }
        let at = length - FOOTER_BYTES as u64;
        let footer = window.get(at, FOOTER_BYTES as u64)?;
        let Some(id) = header.decode_footer(footer) else {
            let what = "the footer fails its checksum, or the file was cut or lengthened";
            return Err(damaged(at, what.to_owned()));
        };
        if at != footer_offset(&id) {
            let what = format!(
                "the footer should stand at byte {} of a snapshot of {} bytes",
                footer_offset(&id),
                id.bytes
            );
            return Err(damaged(at, what));
        }
        if let Some(announced) = header.announced
            && announced != (id.bytes, id.checksum)
        {
            let what = "the footer contradicts what was announced".to_owned();
            return Err(damaged(at, what));
        }
        Ok(SnapshotReader {
            name,
            header,
            window,
            id,
        })
    }

    /// What this snapshot is.
    pub fn id(&self) -> SnapshotId {
        self.id
    }

    /// One chunk, verified.
    ///
    /// # Errors
    /// [`WalError::ChunkRefused`] if the snapshot has no such chunk,
    /// [`WalError::SnapshotDamaged`] if it cannot be read back as it was written.
    pub fn chunk(&mut self, number: u64) -> Result<Chunk, WalError> {
        let Some(length) = self.id.chunk_length(number) else {
            let count = self.id.chunk_count();
            return Err(ChunkFault::Unknown { count }.of(self.id.mark, number));
        };
        let content = self.content(number, length)?;
        let data = Bytes::copy_from_slice(content);
        Ok(Chunk {
            number,
            checksum: chunk_checksum(self.id.mark, number, &data),
            data,
        })
    }

    /// Reads everything and verifies every byte.
    ///
    /// # Errors
    /// [`WalError::SnapshotDamaged`] names the first place that is not as it was written.
    pub fn verify(&mut self) -> Result<(), WalError> {
        let mut checksum = 0;
        for number in 0..self.id.chunk_count() {
            let length = self.id.chunk_length(number).expect("it is below the count");
            checksum = crc32c::crc32c_append(checksum, self.content(number, length)?);
        }
        if checksum == self.id.checksum {
            return Ok(());
        }
        Err(WalError::SnapshotDamaged {
            file: self.name.clone(),
            offset: footer_offset(&self.id),
            chunk: None,
            what: "the whole content has another checksum than its footer says".to_owned(),
        })
    }

    /// Verifies one chunk.
    pub(crate) fn check_chunk(&mut self, number: u64, length: u32) -> Result<(), WalError> {
        self.content(number, length).map(|_| ())
    }

    /// Bytes of the file as they are; what was verified just before is not read again.
    pub(crate) fn raw(&mut self, offset: u64, count: u64) -> Result<Bytes, WalError> {
        Ok(Bytes::copy_from_slice(self.window.get(offset, count)?))
    }

    fn content(&mut self, number: u64, length: u32) -> Result<&[u8], WalError> {
        let offset = chunk_offset(self.id.chunk_bytes, number);
        let count = CHUNK_HEADER_BYTES as u64 + u64::from(length);
        let bytes = self.window.get(offset, count)?;
        self.header
            .decode_chunk(bytes, number)
            .ok_or_else(|| WalError::SnapshotDamaged {
                file: self.name.clone(),
                offset,
                chunk: Some(number),
                what: "it fails its checksum".to_owned(),
            })
    }
}

/// Reads the first bytes of a snapshot file and checks that it is this one, and ours.
fn read_header<D: Disk>(
    window: &mut Window<D::File>,
    name: &str,
    identity: Identity,
    mark: SnapshotMark,
) -> Result<FileHeader, WalError> {
    let file = name.to_owned();
    let damaged = |what: &str| WalError::SnapshotDamaged {
        file: file.clone(),
        offset: 0,
        chunk: None,
        what: what.to_owned(),
    };
    let bytes = window.get(0, HEADER_BYTES as u64)?;
    let header = match FileHeader::decode(bytes) {
        Ok(header) => header,
        Err(HeaderFault::Damaged) => return Err(damaged("its header fails its checksum")),
        Err(HeaderFault::Version(found)) => {
            return Err(WalError::UnknownVersion {
                file,
                found,
                known: FORMAT_VERSION,
            });
        }
    };
    if header.identity != identity {
        return Err(WalError::WrongIdentity {
            file,
            found: header.identity,
            expected: identity,
        });
    }
    if header.mark != mark {
        return Err(damaged("its header is that of another snapshot"));
    }
    Ok(header)
}

/// What is left of a file that was being received: its header and the chunks that check out, one
/// after the other from the first on, as far as they go.
pub(crate) struct Kept {
    pub(crate) header: FileHeader,
    pub(crate) chunks: u64,
    /// The checksum of their content.
    pub(crate) checksum: u32,
}

/// Takes stock of a file that was being received, and **writes what is kept once more**: if an
/// `fsync` failed for the process that wrote it, the page cache may show bytes that are nowhere on
/// the medium, and a later `fsync` would succeed without writing them (ATC '20).
pub(crate) fn take_stock<D: Disk>(
    file: &D::File,
    name: &str,
    identity: Identity,
    id: &SnapshotId,
) -> Result<Option<Kept>, WalError> {
    let length = file.length()?;
    let mut window = Window::new(file.clone(), name, length, HEADER_BYTES);
    let Ok(header) = FileHeader::decode(window.get(0, HEADER_BYTES as u64)?) else {
        return Ok(None);
    };
    let announced = Some((id.bytes, id.checksum));
    let fits = header.identity == identity
        && header.mark == id.mark
        && header.chunk_bytes == id.chunk_bytes
        && header.announced == announced;
    if !fits {
        return Ok(None);
    }
    file.write_at(0, &header.encode())?;
    let mut kept = Kept {
        header,
        chunks: 0,
        checksum: 0,
    };
    while let Some(length) = id.chunk_length(kept.chunks) {
        let offset = chunk_offset(id.chunk_bytes, kept.chunks);
        let count = CHUNK_HEADER_BYTES + length as usize;
        let bytes = window.get(offset, count as u64)?;
        let Some(content) = kept.header.decode_chunk(bytes, kept.chunks) else {
            break;
        };
        if content.len() != length as usize {
            break;
        }
        kept.checksum = crc32c::crc32c_append(kept.checksum, content);
        file.write_at(offset, bytes)?;
        kept.chunks += 1;
    }
    let end = chunk_end(id, kept.chunks);
    if end < length {
        file.truncate(end)?;
    }
    Ok(Some(kept))
}

/// Where the first `chunks` chunks end.
pub(crate) fn chunk_end(id: &SnapshotId, chunks: u64) -> u64 {
    if chunks == id.chunk_count() {
        footer_offset(id)
    } else {
        chunk_offset(id.chunk_bytes, chunks)
    }
}

/// Verifies every byte of the file `name`, which need not have its final name yet.
pub(crate) fn verify_file<D: Disk>(
    disk: &D,
    name: &str,
    identity: Identity,
    id: &SnapshotId,
) -> Result<(), WalError> {
    let mut reader = SnapshotReader::<D>::open(disk, name.to_owned(), identity, id.mark)?;
    if reader.id() != *id {
        return Err(WalError::SnapshotDamaged {
            file: name.to_owned(),
            offset: footer_offset(id),
            chunk: None,
            what: "it reads back as another snapshot than was written".to_owned(),
        });
    }
    reader.verify()
}

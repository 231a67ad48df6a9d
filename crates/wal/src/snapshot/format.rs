//! The bytes of a snapshot file; `docs/format-snapshot.md` has the same tables.
//!
//! All numbers are little-endian, all checksums CRC-32C. Every byte of the file is under one.
//!
//! Header, 128 bytes:
//!
//! | offset | bytes | field |
//! | ---: | ---: | --- |
//! | 0 | 8 | magic, `QUORSNP\n` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | checksum of bytes 0..12 and 16..128 |
//! | 16 | 8 | cluster id |
//! | 24 | 8 | member id |
//! | 32 | 4 | group id |
//! | 36 | 4 | bytes of content in a chunk, at most 1 MiB |
//! | 40 | 8 | index: the last one that the snapshot contains |
//! | 48 | 8 | term of the entry there |
//! | 56 | 8 | salt: with index and term, the seed of the checksums of chunks and footer |
//! | 64 | 8 | announced: bytes of content, 0 if the file was not received |
//! | 72 | 4 | announced: checksum of the content |
//! | 76 | 4 | 1 if the two fields before are meant, else 0 |
//! | 80 | 48 | zero |
//!
//! Then the chunks, each full but the last: 24 bytes of header and the content.
//!
//! | offset | bytes | field |
//! | ---: | ---: | --- |
//! | 0 | 4 | magic, `QCHK` |
//! | 4 | 4 | checksum of bytes 8.. and the content, seeded |
//! | 8 | 8 | number, from 0 |
//! | 16 | 4 | bytes of content |
//! | 20 | 4 | zero |
//!
//! Then the footer, 32 bytes, which ends the file:
//!
//! | offset | bytes | field |
//! | ---: | ---: | --- |
//! | 0 | 4 | magic, `QEND` |
//! | 4 | 4 | checksum of bytes 8..32, seeded |
//! | 8 | 8 | number of chunks |
//! | 16 | 8 | bytes of content |
//! | 24 | 4 | checksum of the content, not seeded: equal wherever the content is |
//! | 28 | 4 | zero |

use crate::bytes_io::{get_u32, get_u64, put_u32, put_u64};
use crate::snapshot::{MAX_SNAPSHOT_BYTES, SNAPSHOT_CHUNK_BYTES, SnapshotId};
use crate::{Identity, SnapshotMark};

/// The format that this program writes, and the only one that it reads.
pub(crate) const FORMAT_VERSION: u32 = 1;

pub(crate) const HEADER_BYTES: usize = 128;
pub(crate) const CHUNK_HEADER_BYTES: usize = 24;
pub(crate) const FOOTER_BYTES: usize = 32;

const MAGIC: [u8; 8] = *b"QUORSNP\n";
const MAGIC_CHUNK: u32 = u32::from_le_bytes(*b"QCHK");
pub(crate) const MAGIC_FOOTER: u32 = u32::from_le_bytes(*b"QEND");

/// What a snapshot file says about itself at its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) identity: Identity,
    pub(crate) chunk_bytes: u32,
    pub(crate) mark: SnapshotMark,
    pub(crate) salt: u64,
    /// Content bytes and their checksum as the sender announced them, in a file that is received.
    pub(crate) announced: Option<(u64, u32)>,
}

/// Why a header could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    Version(u32),
    Damaged,
}

impl FileHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        put_u32(&mut out, 8, FORMAT_VERSION);
        put_u64(&mut out, 16, self.identity.cluster_id);
        put_u64(&mut out, 24, self.identity.member_id);
        put_u32(&mut out, 32, self.identity.group_id);
        put_u32(&mut out, 36, self.chunk_bytes);
        put_u64(&mut out, 40, self.mark.index);
        put_u64(&mut out, 48, self.mark.term);
        put_u64(&mut out, 56, self.salt);
        if let Some((bytes, checksum)) = self.announced {
            put_u64(&mut out, 64, bytes);
            put_u32(&mut out, 72, checksum);
            put_u32(&mut out, 76, 1);
        }
        let sum = header_checksum(&out);
        put_u32(&mut out, 12, sum);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<FileHeader, HeaderFault> {
        let bytes = bytes.get(..HEADER_BYTES).ok_or(HeaderFault::Damaged)?;
        if bytes[..8] != MAGIC {
            return Err(HeaderFault::Damaged);
        }
        let sound = get_u32(bytes, 12) == header_checksum(bytes);
        let version = get_u32(bytes, 8);
        if version != FORMAT_VERSION && sound {
            return Err(HeaderFault::Version(version));
        }
        let chunk_bytes = get_u32(bytes, 36);
        if !sound || chunk_bytes == 0 || chunk_bytes > SNAPSHOT_CHUNK_BYTES {
            return Err(HeaderFault::Damaged);
        }
        let announced = (get_u64(bytes, 64), get_u32(bytes, 72));
        Ok(FileHeader {
            identity: Identity {
                cluster_id: get_u64(bytes, 16),
                member_id: get_u64(bytes, 24),
                group_id: get_u32(bytes, 32),
            },
            chunk_bytes,
            mark: SnapshotMark {
                index: get_u64(bytes, 40),
                term: get_u64(bytes, 48),
            },
            salt: get_u64(bytes, 56),
            announced: (get_u32(bytes, 76) == 1).then_some(announced),
        })
    }

    /// What the checksums of this file's chunks and footer begin with.
    fn seed(&self) -> u32 {
        let mut place = [0; 24];
        put_u64(&mut place, 0, self.salt);
        put_u64(&mut place, 8, self.mark.index);
        put_u64(&mut place, 16, self.mark.term);
        crc32c::crc32c(&place)
    }

    /// Puts the bytes of a chunk in place of whatever is in `out`.
    pub(crate) fn encode_chunk(&self, out: &mut Vec<u8>, number: u64, content: &[u8]) {
        out.clear();
        out.resize(CHUNK_HEADER_BYTES, 0);
        out.extend_from_slice(content);
        put_u32(out, 0, MAGIC_CHUNK);
        put_u64(out, 8, number);
        let length = u32::try_from(content.len()).expect("chunks are limited");
        put_u32(out, 16, length);
        let sum = crc32c::crc32c_append(self.seed(), &out[8..]);
        put_u32(out, 4, sum);
    }

    /// The content of a chunk of exactly these bytes; `None` if it is not chunk `number`, intact.
    pub(crate) fn decode_chunk<'a>(&self, bytes: &'a [u8], number: u64) -> Option<&'a [u8]> {
        let content = bytes.get(CHUNK_HEADER_BYTES..)?;
        let sound = get_u32(bytes, 0) == MAGIC_CHUNK
            && get_u32(bytes, 4) == crc32c::crc32c_append(self.seed(), &bytes[8..])
            && get_u64(bytes, 8) == number
            && get_u32(bytes, 16) as usize == content.len();
        sound.then_some(content)
    }

    pub(crate) fn encode_footer(&self, id: &SnapshotId) -> [u8; FOOTER_BYTES] {
        let mut out = [0; FOOTER_BYTES];
        put_u32(&mut out, 0, MAGIC_FOOTER);
        put_u64(&mut out, 8, id.chunk_count());
        put_u64(&mut out, 16, id.bytes);
        put_u32(&mut out, 24, id.checksum);
        let sum = crc32c::crc32c_append(self.seed(), &out[8..]);
        put_u32(&mut out, 4, sum);
        out
    }

    /// What the snapshot is, by its footer; `None` if that is not intact.
    pub(crate) fn decode_footer(&self, bytes: &[u8]) -> Option<SnapshotId> {
        let sound = bytes.len() == FOOTER_BYTES
            && get_u32(bytes, 0) == MAGIC_FOOTER
            && get_u32(bytes, 4) == crc32c::crc32c_append(self.seed(), &bytes[8..]);
        let id = SnapshotId {
            mark: self.mark,
            bytes: sound.then(|| get_u64(bytes, 16))?,
            checksum: get_u32(bytes, 24),
            chunk_bytes: self.chunk_bytes,
        };
        (id.bytes <= MAX_SNAPSHOT_BYTES && id.chunk_count() == get_u64(bytes, 8)).then_some(id)
    }
}

fn header_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..HEADER_BYTES])
}

/// Where chunk `number` begins. All chunks before it are full.
pub(crate) fn chunk_offset(chunk_bytes: u32, number: u64) -> u64 {
    HEADER_BYTES as u64 + number * (CHUNK_HEADER_BYTES as u64 + u64::from(chunk_bytes))
}

/// Where the footer begins.
pub(crate) fn footer_offset(id: &SnapshotId) -> u64 {
    HEADER_BYTES as u64 + id.chunk_count() * CHUNK_HEADER_BYTES as u64 + id.bytes
}

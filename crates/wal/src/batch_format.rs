//! A batch on disk: a header of 128 bytes, the entries, and, where term or vote change, an echo.
//!
//! A batch begins on a 512-byte boundary. All numbers are little-endian.
//!
//! | offset | bytes | field |
//! | ---: | ---: | --- |
//! | 0 | 4 | magic: `QBAT` for a header, `QECH` for its echo |
//! | 4 | 4 | CRC-32C of bytes 0..4 and 8..128, seeded |
//! | 8 | 8 | epoch of the segment |
//! | 16 | 8 | batch number |
//! | 24 | 8 | synced through: the last batch known durable when this one was written |
//! | 32 | 4 | the sector of the segment where the batch begins |
//! | 36 | 4 | length in bytes of header and entries |
//! | 40 | 4 | number of entries |
//! | 44 | 4 | flags: 1 an echo follows, 2 truncation, 4 snapshot mark, 8 the mark voids the log, 16 base and turns are filled in, 32 the member is being refilled |
//! | 48 | 8 | first index (0 without entries) |
//! | 56 | 8 | last index |
//! | 64 | 8 | term of the first entry |
//! | 72 | 8 | term of the last entry |
//! | 80 | 8 | term in force after this batch |
//! | 88 | 8 | vote in force after this batch, 0 for none |
//! | 96 | 8 | base: the index after which this batch's entries go; with flag 2, entries after it are void |
//! | 104 | 8 | snapshot mark, index |
//! | 112 | 8 | snapshot mark, term |
//! | 120 | 8 | turns: how many batches of this segment before this one cut or voided the log |
//!
//! Then each entry:
//!
//! | bytes | field |
//! | ---: | --- |
//! | 4 | CRC-32C of the rest, seeded |
//! | 1 | kind |
//! | 1 to 10 | varint: term, less the term of the entry before (1 byte unless terms jump) |
//! | 1 to 4 | varint: length of the payload |
//! | … | payload |
//!
//! So a small command costs 7 bytes of framing up to 127 bytes of payload and 8 up to 16 KiB. Its
//! index needs none: indexes are contiguous.
//!
//! **Seeds.** A header's checksum begins with the CRC of (epoch, salt); an entry's goes on from
//! there with (batch number, index, term). So no byte of a segment's earlier life passes, nor an
//! entry that landed in another's place.
//!
//! **The echo** is the same header under another magic in a sector of its own after the entries.
//! Every header carries the term and vote in force; a change of them is in two sectors from the
//! start, and a batch without entries (a vote) can be read back whole from either. So is a
//! truncation and a snapshot mark, which turn the log's course.
//!
//! **Base and turns** are there for the reader that finds a batch gone: the next header's base says
//! how far the lost entries went, and its turns say that no truncation was lost with them. (Logs
//! written before these fields have flag 16 unset; there a lost header is refused.)
//!
//! **Refilling** is kept as term and vote are, in every header: whether the member has found that
//! its disk went back in time, and is not whole again. (Logs of before say that it is not.)

mod entries;

pub(crate) use entries::{EntryFault, EntryViews};

use crate::bytes_io::{get_u32, get_u64, put_u32, put_u64, put_varint, varint_len};
use crate::limits::SECTOR_BYTES;
use crate::{Batch, Entry, HardState, SnapshotMark};

/// Bytes of a batch header.
pub(crate) const BATCH_HEADER_BYTES: usize = 128;

const MAGIC_HEADER: u32 = u32::from_le_bytes(*b"QBAT");
const MAGIC_ECHO: u32 = u32::from_le_bytes(*b"QECH");

const FLAG_ECHO: u32 = 1;
const FLAG_TRUNCATION: u32 = 2;
const FLAG_SNAPSHOT: u32 = 4;
const FLAG_RESTART: u32 = 8;
const FLAG_LINKED: u32 = 16;
const FLAG_REFILLING: u32 = 32;

/// What the checksums of one life of one segment are seeded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seed {
    pub(crate) epoch: u64,
    crc: u32,
}

impl Seed {
    pub(crate) fn new(epoch: u64, salt: u64) -> Seed {
        let crc = crc32c::crc32c_append(crc32c::crc32c(&epoch.to_le_bytes()), &salt.to_le_bytes());
        Seed { epoch, crc }
    }

    fn of_entry(self, number: u64, index: u64, term: u64) -> u32 {
        let mut place = [0; 24];
        put_u64(&mut place, 0, number);
        put_u64(&mut place, 8, index);
        put_u64(&mut place, 16, term);
        crc32c::crc32c_append(self.crc, &place)
    }
}

/// A batch header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) number: u64,
    pub(crate) synced_through: u64,
    pub(crate) sector: u32,
    pub(crate) length: u32,
    pub(crate) entry_count: u32,
    pub(crate) has_echo: bool,
    pub(crate) first_index: u64,
    pub(crate) last_index: u64,
    pub(crate) first_term: u64,
    pub(crate) last_term: u64,
    pub(crate) hard_state: HardState,
    pub(crate) truncate_after: Option<u64>,
    pub(crate) snapshot: Option<SnapshotMark>,
    /// Whether the log is void up to the snapshot and goes on after it. Decided by the writer and
    /// written down, so that replay cannot come to another conclusion.
    pub(crate) restarts: bool,
    /// How the batch joins what came before it; `None` in logs that did not say so yet.
    pub(crate) link: Option<Link>,
}

/// What a header says about the batches before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// The log's last index before the batch's entries, after its truncation.
    pub(crate) base_index: u64,
    /// How many batches of this segment before this one cut or voided the log.
    pub(crate) turns: u32,
}

/// Which of its two places a header was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Header,
    Echo,
}

impl BatchHeader {
    pub(crate) fn encode(&self, seed: Seed, place: Place) -> [u8; BATCH_HEADER_BYTES] {
        let mut out = [0; BATCH_HEADER_BYTES];
        put_u32(
            &mut out,
            0,
            if place == Place::Header {
                MAGIC_HEADER
            } else {
                MAGIC_ECHO
            },
        );
        put_u64(&mut out, 8, seed.epoch);
        put_u64(&mut out, 16, self.number);
        put_u64(&mut out, 24, self.synced_through);
        put_u32(&mut out, 32, self.sector);
        put_u32(&mut out, 36, self.length);
        put_u32(&mut out, 40, self.entry_count);
        let flags = if self.has_echo { FLAG_ECHO } else { 0 }
            | self.truncate_after.map_or(0, |_| FLAG_TRUNCATION)
            | self.snapshot.map_or(0, |_| FLAG_SNAPSHOT)
            | if self.restarts { FLAG_RESTART } else { 0 }
            | if self.hard_state.refilling {
                FLAG_REFILLING
            } else {
                0
            }
            | self.link.map_or(0, |_| FLAG_LINKED);
        put_u32(&mut out, 44, flags);
        put_u64(&mut out, 48, self.first_index);
        put_u64(&mut out, 56, self.last_index);
        put_u64(&mut out, 64, self.first_term);
        put_u64(&mut out, 72, self.last_term);
        put_u64(&mut out, 80, self.hard_state.term);
        put_u64(&mut out, 88, self.hard_state.vote);
        let base = self
            .link
            .map(|link| link.base_index)
            .or(self.truncate_after);
        put_u64(&mut out, 96, base.unwrap_or_default());
        put_u64(&mut out, 104, self.snapshot.map_or(0, |mark| mark.index));
        put_u64(&mut out, 112, self.snapshot.map_or(0, |mark| mark.term));
        put_u64(
            &mut out,
            120,
            self.link.map_or(0, |link| u64::from(link.turns)),
        );
        let sum = header_checksum(&out, seed);
        put_u32(&mut out, 4, sum);
        out
    }

    /// Reads a header or an echo from the start of `sector`; `None` if it is neither, or not of
    /// this life of the segment.
    pub(crate) fn decode(sector: &[u8], seed: Seed) -> Option<(Place, BatchHeader)> {
        let bytes = sector.get(..BATCH_HEADER_BYTES)?;
        let place = match get_u32(bytes, 0) {
            MAGIC_HEADER => Place::Header,
            MAGIC_ECHO => Place::Echo,
            _ => return None,
        };
        if get_u64(bytes, 8) != seed.epoch || get_u32(bytes, 4) != header_checksum(bytes, seed) {
            return None;
        }
        let flags = get_u32(bytes, 44);
        let mark = SnapshotMark {
            index: get_u64(bytes, 104),
            term: get_u64(bytes, 112),
        };
        let header = BatchHeader {
            number: get_u64(bytes, 16),
            synced_through: get_u64(bytes, 24),
            sector: get_u32(bytes, 32),
            length: get_u32(bytes, 36),
            entry_count: get_u32(bytes, 40),
            has_echo: flags & FLAG_ECHO != 0,
            first_index: get_u64(bytes, 48),
            last_index: get_u64(bytes, 56),
            first_term: get_u64(bytes, 64),
            last_term: get_u64(bytes, 72),
            hard_state: HardState {
                term: get_u64(bytes, 80),
                vote: get_u64(bytes, 88),
                refilling: flags & FLAG_REFILLING != 0,
            },
            truncate_after: (flags & FLAG_TRUNCATION != 0).then(|| get_u64(bytes, 96)),
            snapshot: (flags & FLAG_SNAPSHOT != 0).then_some(mark),
            restarts: flags & FLAG_RESTART != 0,
            link: (flags & FLAG_LINKED != 0).then(|| Link {
                base_index: get_u64(bytes, 96),
                turns: get_u32(bytes, 120),
            }),
        };
        header.is_plausible().then_some((place, header))
    }

    /// Whether the numbers fit each other: a sound checksum does not make them sensible.
    fn is_plausible(&self) -> bool {
        let indexes_fit = if self.entry_count == 0 {
            self.first_index == 0 && self.last_index == 0
        } else {
            self.first_index > 0
                && self.last_index < u64::MAX
                && self.last_index.checked_sub(self.first_index)
                    == Some(u64::from(self.entry_count) - 1)
        };
        let mark_fits = self.snapshot.is_none_or(|mark| mark.index < u64::MAX);
        let link_fits = self.link.is_none_or(|link| {
            let before = self.entry_count == 0 || link.base_index + 1 == self.first_index;
            link.base_index < u64::MAX && before
        });
        indexes_fit
            && mark_fits
            && link_fits
            && self.number < u64::MAX
            && self.length as usize >= BATCH_HEADER_BYTES
    }

    /// Where in the segment the batch begins.
    pub(crate) fn offset(&self) -> u64 {
        u64::from(self.sector) * SECTOR_BYTES
    }

    /// Whether it cuts or voids what the log held before it.
    pub(crate) fn turns_log(&self) -> bool {
        self.truncate_after.is_some() || self.restarts
    }

    /// Bytes of the segment that the batch takes, up to where the next one begins.
    pub(crate) fn extent(&self) -> u64 {
        extent(u64::from(self.length), self.has_echo)
    }
}

fn extent(length: u64, has_echo: bool) -> u64 {
    length.next_multiple_of(SECTOR_BYTES) + if has_echo { SECTOR_BYTES } else { 0 }
}

fn header_checksum(bytes: &[u8], seed: Seed) -> u32 {
    crc32c::crc32c_append(
        crc32c::crc32c_append(seed.crc, &bytes[..4]),
        &bytes[8..BATCH_HEADER_BYTES],
    )
}

/// Bytes of header and entries. The batch has been checked: its terms do not fall.
fn length_of(entries: &[Entry]) -> u64 {
    let mut length = BATCH_HEADER_BYTES;
    let mut term = entries.first().map_or(0, |entry| entry.term);
    for entry in entries {
        let size = entry.data.len();
        length += 5 + varint_len(entry.term - term) + varint_len(size as u64) + size;
        term = entry.term;
    }
    length as u64
}

/// Bytes of a segment that `batch` will take.
pub(crate) fn extent_of(batch: &Batch, has_echo: bool) -> u64 {
    extent(length_of(&batch.entries), has_echo)
}

/// What a batch is written with, besides what is in it.
pub(crate) struct Placement {
    pub(crate) seed: Seed,
    pub(crate) number: u64,
    pub(crate) synced_through: u64,
    pub(crate) sector: u32,
    /// Term and vote in force after it.
    pub(crate) hard_state: HardState,
    pub(crate) has_echo: bool,
    /// The truncation, if the log reaches that far.
    pub(crate) truncate_after: Option<u64>,
    pub(crate) restarts: bool,
    pub(crate) link: Option<Link>,
}

/// Puts the bytes of `batch`, exactly its extent, in place of whatever is in `out`.
pub(crate) fn encode(out: &mut Vec<u8>, batch: &Batch, placement: &Placement) -> BatchHeader {
    let entries = &batch.entries;
    let (first, last) = (entries.first(), entries.last());
    let header = BatchHeader {
        number: placement.number,
        synced_through: placement.synced_through,
        sector: placement.sector,
        length: u32::try_from(length_of(entries)).expect("checked against MAX_BATCH_BYTES"),
        entry_count: u32::try_from(entries.len()).expect("an entry has bytes, see above"),
        has_echo: placement.has_echo,
        first_index: first.map_or(0, |entry| entry.index),
        last_index: last.map_or(0, |entry| entry.index),
        first_term: first.map_or(0, |entry| entry.term),
        last_term: last.map_or(0, |entry| entry.term),
        hard_state: placement.hard_state,
        truncate_after: placement.truncate_after,
        snapshot: batch.snapshot,
        restarts: placement.restarts,
        link: placement.link,
    };
    out.clear();
    out.extend_from_slice(&header.encode(placement.seed, Place::Header));
    let mut term = header.first_term;
    for entry in entries {
        let start = out.len();
        out.extend_from_slice(&[0, 0, 0, 0, entry.kind]);
        put_varint(out, entry.term - term);
        put_varint(out, entry.data.len() as u64);
        out.extend_from_slice(&entry.data);
        term = entry.term;
        let seed = placement
            .seed
            .of_entry(header.number, entry.index, entry.term);
        let sum = crc32c::crc32c_append(seed, &out[start + 4..]);
        put_u32(out, start, sum);
    }
    assert_eq!(
        out.len(),
        header.length as usize,
        "a batch has the length it was counted to have"
    );
    finish(out, &header, placement.seed);
    header
}

/// Puts a batch whose entries are those of `batch`, a whole one, in place of what is in `out`.
pub(crate) fn encode_copy(out: &mut Vec<u8>, header: &BatchHeader, batch: &[u8], seed: Seed) {
    out.clear();
    out.extend_from_slice(&header.encode(seed, Place::Header));
    out.extend_from_slice(&batch[BATCH_HEADER_BYTES..]);
    finish(out, header, seed);
}

/// After the entries: zeros, and the echo if there is one.
fn finish(out: &mut Vec<u8>, header: &BatchHeader, seed: Seed) {
    out.resize(out.len().next_multiple_of(SECTOR_BYTES as usize), 0);
    if header.has_echo {
        out.extend_from_slice(&header.encode(seed, Place::Echo));
        out.resize(out.len().next_multiple_of(SECTOR_BYTES as usize), 0);
    }
}

#[cfg(test)]
mod tests;

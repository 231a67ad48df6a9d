//! The first 4 KiB of a segment: whose it is, which life of the file this is, and where the log
//! stood when it began.
//!
//! Two copies, in sectors that are not neighbours, so that one bad sector loses nothing. All
//! numbers are little-endian.
//!
//! | offset | bytes | field |
//! | ---: | ---: | --- |
//! | 0 | 8 | magic, `QUORWAL\n` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | CRC-32C of bytes 0..12 and 16..128 |
//! | 16 | 8 | cluster id |
//! | 24 | 8 | member id |
//! | 32 | 4 | group id |
//! | 36 | 4 | 1 + how many batches of the segment before cut or voided the log; 0 if not known. The top bit: the member is being refilled |
//! | 40 | 8 | sequence: one more than the segment before; also in the file's name |
//! | 48 | 8 | epoch: greater than that of any earlier segment or life of a file |
//! | 56 | 8 | salt: seeds the checksums together with the epoch |
//! | 64 | 8 | first batch number: all before it were durable when this segment began |
//! | 72 | 8 | bytes of the segment when it was made |
//! | 80 | 8 | term |
//! | 88 | 8 | vote, 0 for none |
//! | 96 | 8 | snapshot mark, index, 0 for none |
//! | 104 | 8 | snapshot mark, term |
//! | 112 | 8 | last index of the log before this segment |
//! | 120 | 8 | term of the entry there, or of the snapshot |
//!
//! The second copy is at offset 2048. Batches begin at offset 4096.

use crate::bytes_io::{get_u32, get_u64, put_u32, put_u64};
use crate::{HardState, Identity, SnapshotMark};

/// The format that this program writes, and the only one that it reads.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// Where batches begin.
pub(crate) const HEADER_BLOCK_BYTES: usize = 4096;

const MAGIC: [u8; 8] = *b"QUORWAL\n";
const COPY_BYTES: usize = 128;
/// In the field of turns, of which a segment has room for far fewer.
const REFILLING: u32 = 1 << 31;
const COPY_OFFSETS: [usize; 2] = [0, 2048];

/// What a segment says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) identity: Identity,
    pub(crate) sequence: u64,
    pub(crate) epoch: u64,
    pub(crate) salt: u64,
    pub(crate) first_batch: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) hard_state: HardState,
    pub(crate) snapshot: Option<SnapshotMark>,
    pub(crate) last_index: u64,
    pub(crate) last_term: u64,
    /// How many batches of the segment before this one cut or voided the log, if known.
    pub(crate) turns_before: Option<u32>,
}

/// Why a header block could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// Intact as far as can be told, of another format version.
    Version(u32),
    /// Neither copy is intact.
    Damaged,
    /// Both copies are intact and they differ.
    Contradiction,
}

/// A header, and where its damaged copy lies if one is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) header: SegmentHeader,
    pub(crate) damaged_copy: Option<u64>,
}

impl SegmentHeader {
    /// The whole first block.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut copy = [0; COPY_BYTES];
        copy[..8].copy_from_slice(&MAGIC);
        put_u32(&mut copy, 8, FORMAT_VERSION);
        put_u64(&mut copy, 16, self.identity.cluster_id);
        put_u64(&mut copy, 24, self.identity.member_id);
        put_u32(&mut copy, 32, self.identity.group_id);
        let refilling = if self.hard_state.refilling {
            REFILLING
        } else {
            0
        };
        let turns = self.turns_before.map_or(0, |turns| turns + 1);
        put_u32(&mut copy, 36, turns | refilling);
        put_u64(&mut copy, 40, self.sequence);
        put_u64(&mut copy, 48, self.epoch);
        put_u64(&mut copy, 56, self.salt);
        put_u64(&mut copy, 64, self.first_batch);
        put_u64(&mut copy, 72, self.segment_bytes);
        put_u64(&mut copy, 80, self.hard_state.term);
        put_u64(&mut copy, 88, self.hard_state.vote);
        put_u64(&mut copy, 96, self.snapshot.map_or(0, |mark| mark.index));
        put_u64(&mut copy, 104, self.snapshot.map_or(0, |mark| mark.term));
        put_u64(&mut copy, 112, self.last_index);
        put_u64(&mut copy, 120, self.last_term);
        let sum = checksum(&copy);
        put_u32(&mut copy, 12, sum);
        let mut block = vec![0; HEADER_BLOCK_BYTES];
        for offset in COPY_OFFSETS {
            block[offset..offset + COPY_BYTES].copy_from_slice(&copy);
        }
        block
    }

    /// Reads a first block, of which less than a whole one may be left.
    pub(crate) fn decode(block: &[u8]) -> Result<Decoded, HeaderFault> {
        let copies = COPY_OFFSETS.map(|offset| decode_copy(block.get(offset..offset + COPY_BYTES)));
        let damaged_at = |copy: usize| Some(COPY_OFFSETS[copy] as u64);
        match copies {
            [Copy::Intact(first), Copy::Intact(second)] => {
                if first == second {
                    Ok(Decoded {
                        header: first,
                        damaged_copy: None,
                    })
                } else {
                    Err(HeaderFault::Contradiction)
                }
            }
            [Copy::Intact(header), _] => Ok(Decoded {
                header,
                damaged_copy: damaged_at(1),
            }),
            [_, Copy::Intact(header)] => Ok(Decoded {
                header,
                damaged_copy: damaged_at(0),
            }),
            [Copy::Version(first), Copy::Version(second)] if first == second => {
                Err(HeaderFault::Version(first))
            }
            _ => Err(HeaderFault::Damaged),
        }
    }
}

enum Copy {
    Intact(SegmentHeader),
    Version(u32),
    Damaged,
}

fn decode_copy(copy: Option<&[u8]>) -> Copy {
    let Some(copy) = copy else {
        return Copy::Damaged;
    };
    if copy[..8] != MAGIC {
        return Copy::Damaged;
    }
    let version = get_u32(copy, 8);
    if version != FORMAT_VERSION {
        // Another version may keep its checksum elsewhere; that both copies say the same is all
        // that speaks against a flipped bit.
        return Copy::Version(version);
    }
    if get_u32(copy, 12) != checksum(copy) {
        return Copy::Damaged;
    }
    let snapshot = SnapshotMark {
        index: get_u64(copy, 96),
        term: get_u64(copy, 104),
    };
    Copy::Intact(SegmentHeader {
        identity: Identity {
            cluster_id: get_u64(copy, 16),
            member_id: get_u64(copy, 24),
            group_id: get_u32(copy, 32),
        },
        sequence: get_u64(copy, 40),
        epoch: get_u64(copy, 48),
        salt: get_u64(copy, 56),
        first_batch: get_u64(copy, 64),
        segment_bytes: get_u64(copy, 72),
        hard_state: HardState {
            term: get_u64(copy, 80),
            vote: get_u64(copy, 88),
            refilling: get_u32(copy, 36) & REFILLING != 0,
        },
        snapshot: (snapshot.index > 0).then_some(snapshot),
        last_index: get_u64(copy, 112),
        last_term: get_u64(copy, 120),
        turns_before: (get_u32(copy, 36) & !REFILLING).checked_sub(1),
    })
}

fn checksum(copy: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&copy[..12]), &copy[16..COPY_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            identity: Identity {
                cluster_id: 1,
                member_id: 2,
                group_id: 3,
            },
            sequence: 4,
            epoch: 5,
            salt: 6,
            first_batch: 7,
            segment_bytes: 8192,
            hard_state: HardState {
                term: 9,
                vote: 10,
                refilling: true,
            },
            snapshot: Some(SnapshotMark { index: 11, term: 8 }),
            last_index: 12,
            last_term: 9,
            turns_before: Some(13),
        }
    }

    #[test]
    fn any_flipped_bit_leaves_the_other_copy() {
        let block = header().encode();
        for bit in 0..block.len() * 8 {
            let mut bad = block.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let decoded = SegmentHeader::decode(&bad).unwrap();
            assert_eq!(decoded.header, header(), "bit {bit}");
            let copy = COPY_OFFSETS
                .into_iter()
                .find(|offset| (*offset..offset + COPY_BYTES).contains(&(bit / 8)));
            assert_eq!(
                decoded.damaged_copy,
                copy.map(|offset| offset as u64),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn both_copies_damaged_is_damage_and_both_of_another_version_is_a_version() {
        let mut block = header().encode();
        block[8] = 2;
        assert_eq!(SegmentHeader::decode(&block).unwrap().header, header());
        block[2048 + 8] = 2;
        assert_eq!(SegmentHeader::decode(&block), Err(HeaderFault::Version(2)));
        block[2048] = 0;
        assert_eq!(SegmentHeader::decode(&block), Err(HeaderFault::Damaged));
        assert_eq!(SegmentHeader::decode(&[]), Err(HeaderFault::Damaged));
    }
}

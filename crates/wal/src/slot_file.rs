//! A small table beside the log, kept as a whole: a file with two slots that take turns.
//!
//! It is for what has to survive a crash and stands in no order with the log, so that it need not
//! wait in the log's line, nor the log for it. Each write goes to the slot that is *not* the newest
//! and is then synced; a crash leaves the other. What is torn or damaged is passed over: then the
//! one before it counts, or nothing.
//!
//! A slot is 4 KiB, the second one follows the first. All numbers are little-endian.
//!
//! | offset | bytes | field |
//! | ---: | ---: | --- |
//! | 0 | 8 | magic, `QUORSLT\n` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | CRC-32C of bytes 0..12 and 16 to the end of the payload |
//! | 16 | 8 | cluster id |
//! | 24 | 8 | member id |
//! | 32 | 4 | group id |
//! | 36 | 4 | length of the payload |
//! | 40 | 8 | generation: one more with each write; the greater of the two slots counts |
//! | 48 | … | payload |

use quorate_disk::{Disk, ErrorKind, File};

use crate::bytes_io::{get_u32, get_u64, put_u32, put_u64};
use crate::limits::{MAX_SLOT_PAYLOAD_BYTES, SLOT_BYTES};
use crate::{Identity, Note, WalError};

const MAGIC: [u8; 8] = *b"QUORSLT\n";
const FORMAT_VERSION: u32 = 1;
const HEADER_BYTES: usize = SLOT_BYTES - MAX_SLOT_PAYLOAD_BYTES;

/// Keeps one table, for a thread of the owner's.
pub struct SlotFile<D: Disk> {
    disk: D,
    identity: Identity,
    name: String,
    file: Option<D::File>,
    /// Of the newest slot; 0 if there is none.
    generation: u64,
}

/// What a slot file held.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SlotContent {
    /// The payload that was written last, or before that; `None` if there is none.
    pub payload: Option<Vec<u8>>,
    /// The file is there, and neither slot can be read.
    pub note: Option<Note>,
}

impl<D: Disk> SlotFile<D> {
    /// Opens the file of this name in the group's directory, if it is there; it is made with the
    /// first write.
    ///
    /// # Errors
    /// Those of the disk. Damage is none.
    pub fn open(
        disk: D,
        identity: Identity,
        name: &str,
    ) -> Result<(SlotFile<D>, SlotContent), WalError> {
        let name = format!("{:08x}.{name}", identity.group_id);
        let mut slots = SlotFile {
            file: None,
            disk,
            identity,
            name,
            generation: 0,
        };
        let file = match slots.disk.open(&slots.name) {
            Err(error) if error.kind == ErrorKind::NotFound => {
                return Ok((slots, SlotContent::default()));
            }
            file => file?,
        };
        let mut content = SlotContent::default();
        let mut block = vec![0; 2 * SLOT_BYTES];
        let length = file.read_at(0, &mut block)?;
        let found = block
            .chunks(SLOT_BYTES)
            .filter_map(|slot| slots.decode(slot));
        if let Some((generation, payload)) = found.max_by_key(|(generation, _)| *generation) {
            slots.generation = generation;
            content.payload = Some(payload.to_vec());
        } else if block[..length].iter().any(|byte| *byte != 0) {
            content.note = Some(Note::TableDamaged {
                file: slots.name.clone(),
            });
        }
        slots.file = Some(file);
        Ok((slots, content))
    }

    /// Writes the table in the place of the one before, durably.
    ///
    /// # Errors
    /// Those of the disk. After a full disk it may be tried again; after any other the disk is not
    /// to be trusted.
    ///
    /// # Panics
    /// With more than [`MAX_SLOT_PAYLOAD_BYTES`].
    pub fn write(&mut self, payload: &[u8]) -> Result<(), WalError> {
        let slot = self.encode(self.generation + 1, payload);
        let file = match self.file.take() {
            Some(file) => file,
            None => self.disk.create(&self.name)?,
        };
        let offset = (self.generation + 1) % 2 * SLOT_BYTES as u64;
        let written = file.write_at(offset, &slot).and_then(|()| file.sync());
        self.file = Some(file);
        written?;
        if self.generation == 0 {
            // Its name may be new; after that it is durable.
            self.disk.sync_directory()?;
        }
        self.generation += 1;
        Ok(())
    }

    fn encode(&self, generation: u64, payload: &[u8]) -> Vec<u8> {
        let length = payload.len();
        assert!(
            length <= MAX_SLOT_PAYLOAD_BYTES,
            "a table of {length} bytes in {}",
            self.name
        );
        let mut slot = vec![0; HEADER_BYTES];
        slot[..8].copy_from_slice(&MAGIC);
        put_u32(&mut slot, 8, FORMAT_VERSION);
        put_u64(&mut slot, 16, self.identity.cluster_id);
        put_u64(&mut slot, 24, self.identity.member_id);
        put_u32(&mut slot, 32, self.identity.group_id);
        put_u32(
            &mut slot,
            36,
            u32::try_from(length).expect("checked against the slot's size"),
        );
        put_u64(&mut slot, 40, generation);
        slot.extend_from_slice(payload);
        let sum = checksum(&slot);
        put_u32(&mut slot, 12, sum);
        slot
    }

    /// Generation and payload, if the slot is whole and this member's.
    fn decode<'a>(&self, slot: &'a [u8]) -> Option<(u64, &'a [u8])> {
        if slot[..8] != MAGIC || get_u32(slot, 8) != FORMAT_VERSION {
            return None;
        }
        let length = usize::try_from(get_u32(slot, 36)).ok()?;
        let whole = slot.get(..HEADER_BYTES.checked_add(length)?)?;
        let identity = Identity {
            cluster_id: get_u64(slot, 16),
            member_id: get_u64(slot, 24),
            group_id: get_u32(slot, 32),
        };
        let is_ours = identity == self.identity && get_u32(slot, 12) == checksum(whole);
        is_ours.then(|| (get_u64(slot, 40), &whole[HEADER_BYTES..]))
    }
}

fn checksum(slot: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&slot[..12]), &slot[16..])
}

#[cfg(test)]
mod tests;

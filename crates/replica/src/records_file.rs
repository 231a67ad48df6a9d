//! The table of what members acknowledged, on the disk beside the log (`quorate_raft`, `records.rs`).
//!
//! It is written now and then, by whichever thread has time: nothing waits for it. One that is lost is
//! a memory less of others' promises; this node's own do not depend on it.
//!
//! The payload of the slot file `records` is a row of 32 bytes for each member: id, term, index,
//! and the term of the entry there, 8 bytes each, little-endian.

use quorate_disk::Disk;
use quorate_raft::limits::MAX_RECORDS;
use quorate_raft::{LogIndex, NodeId, Record, Term};
use quorate_wal::{Identity, MAX_SLOT_PAYLOAD_BYTES, Note, SlotFile, WalError};

use crate::wire::GROUP_ID;

const NAME: &str = "records";
const RECORD_BYTES: usize = 32;

const _: () = assert!(MAX_RECORDS * RECORD_BYTES <= MAX_SLOT_PAYLOAD_BYTES);

/// What a records file held when it was opened.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) records: Vec<Record>,
    /// Why there are none, if the file could not be read.
    pub(crate) note: Option<Note>,
}

/// Writes the table of records.
pub struct RecordsFile<D: Disk> {
    slots: SlotFile<D>,
}

impl<D: Disk> RecordsFile<D> {
    /// The file, and what it holds: nothing, if it cannot be read, with a note.
    pub(crate) fn open(disk: D, identity: Identity) -> Result<(RecordsFile<D>, Kept), WalError> {
        let (slots, content) = SlotFile::open(disk, identity, NAME)?;
        let records = content.payload.as_deref().map_or_else(Vec::new, decode);
        let note = content.note;
        Ok((RecordsFile { slots }, Kept { records, note }))
    }

    /// Writes the table in the place of the one before, durably.
    ///
    /// # Errors
    /// Those of the disk. After a full disk it may be tried again; any other is final for the
    /// process.
    pub fn write(&mut self, records: &[Record]) -> Result<(), WalError> {
        self.slots.write(&encode(records))
    }
}

/// What the records file on this disk holds; nothing if it cannot be read. For a look from outside.
pub fn records_on<D: Disk>(disk: D, cluster_id: u64, member_id: u64) -> Vec<Record> {
    let identity = Identity {
        cluster_id,
        member_id,
        group_id: GROUP_ID,
    };
    RecordsFile::open(disk, identity).map_or_else(|_| Vec::new(), |(_, kept)| kept.records)
}

fn encode(records: &[Record]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(records.len() * RECORD_BYTES);
    for record in records.iter().take(MAX_RECORDS) {
        let fields = [
            record.member.0,
            record.term.0,
            record.index.0,
            record.entry_term.0,
        ];
        for field in fields {
            payload.extend_from_slice(&field.to_le_bytes());
        }
    }
    payload
}

fn decode(payload: &[u8]) -> Vec<Record> {
    let rows = payload.chunks_exact(RECORD_BYTES);
    let rows = rows.map(|row| {
        let field = |place: usize| {
            let bytes = row[8 * place..8 * place + 8].try_into();
            u64::from_le_bytes(bytes.expect("eight bytes of a row of 32"))
        };
        Record {
            member: NodeId(field(0)),
            term: Term(field(1)),
            index: LogIndex(field(2)),
            entry_term: Term(field(3)),
        }
    });
    rows.take(MAX_RECORDS).collect()
}

#[cfg(test)]
mod tests {
    use quorate_disk::SimDisk;

    use super::*;

    #[test]
    fn the_table_is_found_again() {
        let identity = Identity {
            cluster_id: 7,
            member_id: 1,
            group_id: 0,
        };
        let disk = SimDisk::new();
        let table: Vec<Record> = (1..=MAX_RECORDS as u64)
            .map(|id| Record {
                member: NodeId(id),
                term: Term(2 * id),
                index: LogIndex(3 * id),
                entry_term: Term(id),
            })
            .collect();
        let (mut file, kept) = RecordsFile::open(disk.clone(), identity).unwrap();
        assert_eq!((kept.records, kept.note), (Vec::new(), None));
        file.write(&table).unwrap();
        let (_, kept) = RecordsFile::open(disk, identity).unwrap();
        assert_eq!((kept.records, kept.note), (table, None));
    }
}

//! What the harness knows of a server's log: which entries are commands, and what they weigh.
//!
//! # Raft state
//!
//! The course bounds what a server persists besides its snapshot. Here that is what the live entries
//! (those after the last snapshot) take in the write-ahead log: 5 bytes and two varints before each
//! payload, and the header of 128 bytes of every batch that holds at least one of them. What is
//! left out is no record: the zeros up to the end of a sector, the copy of a header that some
//! batches carry in a sector of its own (it begins with these zeros and says nothing new), and the
//! space that is prepared for more. The log counts in sectors, so the numbers come from its format
//! (`docs/format-wal.md`); a test holds them against a real log. Which entries share a batch is
//! forgotten by a crash: then each is counted as if it were alone in its own, which is more.

use std::collections::VecDeque;

use quorate_raft::{Entry, Payload, Write};

/// Bytes of a batch's header.
const BATCH_HEADER_BYTES: u64 = 128;
/// Bytes of an entry before its two varints: checksum and kind.
const ENTRY_HEADER_BYTES: u64 = 5;

/// A log through the last write that was asked for; what was proposed since then is counted apart.
#[derive(Default)]
pub(crate) struct LogBook {
    /// Through here entries are not noted: a snapshot covers them.
    base: u64,
    /// How many of these were commands.
    base_commands: u64,
    entries: VecDeque<Noted>,
    proposed: u64,
    batches: u64,
    /// The last index, and the number of commands, of a snapshot that was installed.
    installed: Option<(u64, u64)>,
}

struct Noted {
    term: u64,
    /// Commands through here.
    commands: u64,
    batch: u64,
    bytes: u64,
}

impl LogBook {
    /// Of a log that goes on after a snapshot with so many commands, or begins.
    pub(crate) fn new(base: u64, base_commands: u64) -> LogBook {
        LogBook {
            base,
            base_commands,
            ..LogBook::default()
        }
    }

    /// Through which index the log is known, what was proposed last included.
    pub(crate) fn last_index(&self) -> u64 {
        self.base + self.entries.len() as u64 + self.proposed
    }

    /// A command was proposed: its ordinal.
    pub(crate) fn propose(&mut self) -> u64 {
        self.proposed += 1;
        self.commands() + self.proposed
    }

    /// What was proposed is part of a write by now, or of a log that is no more.
    pub(crate) fn settled(&mut self) {
        self.proposed = 0;
    }

    /// A snapshot is there that the log may go on from, with so many commands.
    pub(crate) fn installed(&mut self, index: u64, commands: u64) {
        self.installed = Some((index, commands));
    }

    /// Takes in a write, which becomes one batch.
    pub(crate) fn write(&mut self, write: &Write) {
        if let Some(after) = write.truncate_after {
            self.truncate(after.0);
        }
        if let Some(mark) = write.snapshot
            && !self.holds(mark.index.0, mark.term.0)
        {
            self.restart(mark.index.0);
        }
        self.append(&write.entries);
    }

    /// Takes in the entries of one batch.
    pub(crate) fn append(&mut self, entries: &[Entry]) {
        self.batches += 1;
        let mut term = entries.first().map_or(0, |entry| entry.term.0);
        for entry in entries {
            self.truncate(entry.index.0 - 1);
            let size = entry.payload.len() as u64;
            let bytes =
                ENTRY_HEADER_BYTES + varint_length(entry.term.0 - term) + varint_length(size);
            term = entry.term.0;
            let is_command = matches!(entry.payload, Payload::Command(_));
            self.entries.push_back(Noted {
                term,
                commands: self.commands() + u64::from(is_command),
                batch: self.batches,
                bytes: bytes + size,
            });
        }
    }

    /// Bytes of the live records after this index: see above.
    pub(crate) fn bytes_after(&self, index: u64) -> u64 {
        let covered = index.saturating_sub(self.base) as usize;
        let mut batch = 0;
        let mut bytes = 0;
        for noted in self.entries.iter().skip(covered) {
            if noted.batch != batch {
                bytes += BATCH_HEADER_BYTES;
            }
            batch = noted.batch;
            bytes += noted.bytes;
        }
        bytes
    }

    fn commands(&self) -> u64 {
        let last = self.entries.back();
        last.map_or(self.base_commands, |noted| noted.commands)
    }

    fn truncate(&mut self, after: u64) {
        let end = self.base + self.entries.len() as u64;
        assert!(
            (self.base..=end).contains(&after),
            "a log of {} to {end} goes on after {after}",
            self.base
        );
        self.entries.truncate((after - self.base) as usize);
    }

    fn holds(&self, index: u64, term: u64) -> bool {
        let Some(place) = index.checked_sub(self.base + 1) else {
            return true; // A snapshot covers it.
        };
        let noted = self.entries.get(place as usize);
        noted.is_some_and(|noted| noted.term == term)
    }

    fn restart(&mut self, index: u64) {
        let (installed, commands) = self.installed.expect("a log is void for a snapshot");
        assert_eq!(index, installed, "it goes on after another snapshot");
        self.base = index;
        self.base_commands = commands;
        self.entries.clear();
    }
}

/// Bytes of a number of seven bits to the byte.
fn varint_length(number: u64) -> u64 {
    u64::from((64 - number.leading_zeros()).div_ceil(7).max(1))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use quorate_disk::SimDisk;
    use quorate_raft::{LogIndex, SnapshotMark, Term, WriteId};
    use quorate_wal::{Batch, Identity, Options};

    use super::*;

    const SECTOR_BYTES: u64 = 512;

    fn entry(index: u64, term: u64, size: usize) -> Entry {
        Entry {
            index: LogIndex(index),
            term: Term(term),
            payload: match size {
                0 => Payload::Empty,
                size => Payload::Command(Bytes::from(vec![b'x'; size])),
            },
        }
    }

    fn to_log(entry: &Entry) -> quorate_wal::Entry {
        quorate_wal::Entry {
            index: entry.index.0,
            term: entry.term.0,
            kind: 1,
            data: Bytes::from(vec![b'x'; entry.payload.len()]),
        }
    }

    #[test]
    fn the_bytes_are_those_that_a_real_log_takes_up_to_the_end_of_its_sectors() {
        for size in [0, 1, 19, 127, 128, 344, 345, 346, 347, 348, 5_000] {
            let identity = Identity {
                cluster_id: 1,
                member_id: 1,
                group_id: 0,
            };
            let opened = quorate_wal::open(SimDisk::new(), Options::new(identity)).unwrap();
            let mut writer = opened.writer;
            let mut book = LogBook::new(0, 0);
            for batch in [
                vec![entry(1, 1, size)],
                vec![entry(2, 1, size), entry(3, 300, size), entry(4, 300, 1)],
            ] {
                let (in_log, in_book) = (writer.log_bytes(), book.bytes_after(0));
                let logged = Batch {
                    entries: batch.iter().map(to_log).collect(),
                    ..Batch::default()
                };
                writer.append(&logged).unwrap();
                book.append(&batch);
                let bytes = book.bytes_after(0) - in_book;
                assert_eq!(
                    bytes.next_multiple_of(SECTOR_BYTES),
                    writer.log_bytes() - in_log
                );
            }
        }
    }

    #[test]
    fn what_a_snapshot_covers_weighs_nothing_and_a_batch_is_headed_once() {
        let mut book = LogBook::new(0, 0);
        book.append(&[entry(1, 1, 0), entry(2, 1, 10), entry(3, 1, 10)]);
        book.append(&[entry(4, 1, 20)]);
        assert_eq!(book.bytes_after(2), (128 + 17) + (128 + 27));
        assert_eq!(book.bytes_after(3), 128 + 27);
        assert_eq!(book.bytes_after(4), 0);
        assert_eq!((book.last_index(), book.propose()), (4, 4));
    }

    #[test]
    fn a_log_that_does_not_hold_a_snapshots_last_entry_goes_on_after_it() {
        let mut book = LogBook::new(0, 0);
        book.append(&[entry(1, 1, 10), entry(2, 1, 10)]);
        let mut write = Write {
            id: WriteId(1),
            hard_state: None,
            truncate_after: None,
            snapshot: Some(SnapshotMark {
                index: LogIndex(1),
                term: Term(1),
                release_before: LogIndex(2),
            }),
            entries: Vec::new(),
        };
        book.write(&write);
        assert_eq!(book.last_index(), 2);
        book.installed(9, 7);
        write.snapshot.as_mut().unwrap().index = LogIndex(9);
        write.entries = vec![entry(10, 2, 10)];
        book.write(&write);
        assert_eq!((book.last_index(), book.propose()), (10, 9));
        assert_eq!(book.bytes_after(9), 128 + 17);
    }
}

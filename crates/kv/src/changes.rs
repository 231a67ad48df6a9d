//! The list of changes: which key changed at which revision, in order.
//!
//! Compaction walks it to find what it may free, without looking at keys that did not change. It costs
//! about three bytes a change beside the key, so a list of ten million changes of short keys is some
//! hundred megabytes. The versions themselves stay with their keys.
//!
//! A chunk is a run of records: `length * 2 + first` as a varint (seven bits a byte, low bits first),
//! then the key. `first` marks the first change of a revision. Revisions have no gaps, so the revision
//! of a change is that of its chunk's first plus the marks since.

use std::collections::VecDeque;

use crate::limits::CHANGES_CHUNK_BYTES;
use crate::varint::{VARINT_BYTES_MAX, push_varint};

/// The changes of all revisions that are not compacted and freed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    chunks: VecDeque<Chunk>,
    /// How many chunks have been dropped from the front, so that a position can name a chunk for good.
    dropped: u64,
    /// The revision of the newest change, 0 before the first.
    newest: i64,
    bytes: usize,
}

#[derive(Debug)]
struct Chunk {
    first_revision: i64,
    records: Vec<u8>,
}

/// A place between two changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    chunk: u64,
    offset: usize,
    /// The revision of the change before the offset, if that is in the same chunk.
    revision: i64,
}

/// One change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change<'a> {
    pub(crate) revision: i64,
    pub(crate) key: &'a [u8],
}

impl Changes {
    /// Adds a change of `key` at `revision`: that of the newest change, or the next.
    pub(crate) fn push(&mut self, revision: i64, key: &[u8]) {
        let first = revision != self.newest;
        assert!(
            !first || self.newest == 0 || revision == self.newest + 1,
            "a change at revision {revision} cannot follow one at {}",
            self.newest
        );
        let need = key.len() + VARINT_BYTES_MAX;
        let fits = |chunk: &Chunk| chunk.records.capacity() - chunk.records.len() >= need;
        if !self.chunks.back().is_some_and(fits) {
            let records = Vec::with_capacity(need.max(CHANGES_CHUNK_BYTES));
            self.bytes += records.capacity();
            self.chunks.push_back(Chunk {
                first_revision: revision,
                records,
            });
        }
        let chunk = self
            .chunks
            .back_mut()
            .expect("a chunk with room was just made sure of");
        push_varint(
            &mut chunk.records,
            (key.len() as u64) << 1 | u64::from(first),
        );
        chunk.records.extend_from_slice(key);
        self.newest = revision;
    }

    /// A place from which the changes from `revision` on follow, and before them only such as are in one
    /// chunk with the first of them.
    pub(crate) fn seek(&self, revision: i64) -> Position {
        // The chunk in which the revision begins may be one that begins with an earlier one.
        let begins_before = |chunk: &Chunk| chunk.first_revision < revision;
        let chunks = self.chunks.partition_point(begins_before);
        Position {
            chunk: self.dropped + chunks.saturating_sub(1) as u64,
            offset: 0,
            revision: 0,
        }
    }

    /// The change after `position`, and the place after it.
    pub(crate) fn next(&self, position: Position) -> Option<(Change<'_>, Position)> {
        let mut position = position;
        if position.chunk < self.dropped {
            position = Position {
                chunk: self.dropped,
                offset: 0,
                revision: 0,
            };
        }
        let mut chunk = self.chunk(position.chunk)?;
        if position.offset == chunk.records.len() {
            position = Position {
                chunk: position.chunk + 1,
                offset: 0,
                revision: 0,
            };
            chunk = self.chunk(position.chunk)?;
        }
        let (header, varint_bytes) = read_varint(&chunk.records[position.offset..]);
        let revision = match position.offset {
            0 => chunk.first_revision,
            _ => position.revision + (header & 1).cast_signed(),
        };
        let start = position.offset + varint_bytes;
        let end = start + (header >> 1) as usize;
        let change = Change {
            revision,
            key: &chunk.records[start..end],
        };
        Some((
            change,
            Position {
                chunk: position.chunk,
                offset: end,
                revision,
            },
        ))
    }

    /// Drops the chunks that lie wholly before `position`.
    pub(crate) fn drop_before(&mut self, position: Position) {
        while self.dropped < position.chunk {
            let Some(chunk) = self.chunks.pop_front() else {
                return;
            };
            self.bytes -= chunk.records.capacity();
            self.dropped += 1;
        }
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes + self.chunks.capacity() * size_of::<Chunk>()
    }

    fn chunk(&self, number: u64) -> Option<&Chunk> {
        self.chunks
            .get(usize::try_from(number - self.dropped).ok()?)
    }
}

/// The number and how many bytes it takes. Only ever reads what `push_varint` wrote.
fn read_varint(bytes: &[u8]) -> (u64, usize) {
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return (number, index + 1);
        }
    }
    unreachable!("a record of the list of changes ends in its header")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(changes: &Changes, mut position: Position) -> Vec<(i64, Vec<u8>)> {
        let mut found = Vec::new();
        while let Some((change, next)) = changes.next(position) {
            found.push((change.revision, change.key.to_vec()));
            position = next;
        }
        found
    }

    #[test]
    fn changes_come_back_with_their_revisions_across_chunks_of_any_size() {
        let mut changes = Changes::default();
        let mut expected = Vec::new();
        for revision in 2..2000_i64 {
            for change in 0..revision % 4 + 1 {
                let length =
                    (revision * 37 + change) % 300 * if revision % 97 == 0 { 50 } else { 1 };
                let key = vec![revision as u8; length as usize];
                changes.push(revision, &key);
                expected.push((revision, key));
            }
        }
        assert_eq!(all(&changes, Position::default()), expected);
        assert!(changes.chunks.len() > 100);
    }

    #[test]
    fn dropped_chunks_leave_later_positions_standing() {
        let mut changes = Changes::default();
        for revision in 2..5000 {
            changes.push(revision, b"12345678");
        }
        let mut position = Position::default();
        while let Some((change, next)) = changes.next(position) {
            position = next;
            if change.revision == 4000 {
                break;
            }
        }
        let before = (changes.chunks.len(), changes.heap_bytes());
        let rest = all(&changes, position);
        changes.drop_before(position);
        assert!(changes.chunks.len() < before.0 && changes.heap_bytes() < before.1);
        assert_eq!(all(&changes, position), rest);
        assert_eq!(rest[0].0, 4001);
        assert!(
            all(&changes, Position::default())[0].0 <= 4001,
            "a chunk is dropped whole"
        );
    }

    #[test]
    fn a_revision_is_found_without_looking_at_those_before_it() {
        let mut changes = Changes::default();
        for revision in 2..1500_i64 {
            // Some revisions fill several chunks.
            let count = if revision % 100 == 0 { 2000 } else { 3 };
            (0..count).for_each(|_| changes.push(revision, b"12345678"));
        }
        let everything = all(&changes, Position::default());
        changes.drop_before(changes.seek(200));
        for revision in 200..1501 {
            let found = all(&changes, changes.seek(revision));
            let passed = found.partition_point(|(found, _)| *found < revision);
            let expected = everything.partition_point(|(found, _)| *found < revision);
            assert_eq!(found.len() - passed, everything.len() - expected);
            assert!(passed * 9 <= CHANGES_CHUNK_BYTES, "{passed} at {revision}");
        }
    }

    #[test]
    #[should_panic(expected = "a change at revision 9 cannot follow one at 7")]
    fn revisions_have_no_gaps() {
        let mut changes = Changes::default();
        changes.push(7, b"a");
        changes.push(9, b"a");
    }
}

//! Reading the entries of a batch.

use super::{BATCH_HEADER_BYTES, BatchHeader, Seed};
use crate::bytes_io::take_varint;
use crate::limits::MAX_ENTRY_BYTES;

/// An entry as it lies in a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EntryView<'a> {
    pub(crate) index: u64,
    pub(crate) term: u64,
    pub(crate) kind: u8,
    pub(crate) data: &'a [u8],
}

/// Entries in a row that do not check out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EntryFault {
    /// The first of them.
    pub(crate) first_index: u64,
    /// The last one: entries go on after it, intact, or the batch ends.
    pub(crate) last_index: u64,
    /// Where the first one begins, from the start of the batch.
    pub(crate) offset: u64,
    pub(crate) what: String,
}

/// Reads the entries of a batch one by one, each verified before it is given out. Damaged ones are
/// stepped over if their lengths lead to one that is intact; what its checksum is seeded with makes
/// sure that it is the one it seems to be.
#[derive(Clone)]
pub(crate) struct EntryViews<'a> {
    seed: Seed,
    number: u64,
    length: usize,
    rest: &'a [u8],
    left: u32,
    index: u64,
    term: u64,
}

impl<'a> EntryViews<'a> {
    /// `batch` is the batch from its header on, `header.length` bytes.
    pub(crate) fn new(header: &BatchHeader, seed: Seed, batch: &'a [u8]) -> EntryViews<'a> {
        EntryViews {
            seed,
            number: header.number,
            length: batch.len(),
            rest: batch.get(BATCH_HEADER_BYTES..).unwrap_or_default(),
            left: header.entry_count,
            index: header.first_index,
            term: header.first_term,
        }
    }

    fn take_one(&mut self) -> Option<EntryView<'a>> {
        let (sum, rest) = self.rest.split_first_chunk::<4>()?;
        let mut after = self.clone();
        let (kind, data) = after.step_over()?;
        let covered = &rest[..rest.len() - after.rest.len()];
        let (index, term) = (self.index, after.term);
        let seed = self.seed.of_entry(self.number, index, term);
        if crc32c::crc32c_append(seed, covered) != u32::from_le_bytes(*sum) {
            return None;
        }
        *self = after;
        Some(EntryView {
            index,
            term,
            kind,
            data,
        })
    }

    /// Goes past an entry by what it says of its length, true or not.
    fn step_over(&mut self) -> Option<(u8, &'a [u8])> {
        let mut cursor = self.rest.get(4..)?;
        let (kind, after_kind) = cursor.split_first()?;
        cursor = after_kind;
        let term = self.term.checked_add(take_varint(&mut cursor)?)?;
        let size = usize::try_from(take_varint(&mut cursor)?).ok()?;
        if size > MAX_ENTRY_BYTES {
            return None;
        }
        let (data, after) = cursor.split_at_checked(size)?;
        self.rest = after;
        self.term = term;
        self.index += 1;
        self.left -= 1;
        Some((*kind, data))
    }

    /// Goes past what is damaged, to the next entry that is intact, or to the end.
    fn skip(&mut self) -> EntryFault {
        let first_index = self.index;
        let offset = (self.length - self.rest.len()) as u64;
        let batch_last = self.index + u64::from(self.left) - 1;
        let mut probe = self.clone();
        self.left = 0;
        while probe.step_over().is_some() && probe.left > 0 {
            if probe.clone().take_one().is_some() {
                *self = probe;
                break;
            }
        }
        let last_index = if self.left > 0 {
            self.index - 1
        } else {
            batch_last
        };
        let what = if first_index == last_index {
            format!("entry {first_index} fails its checksum")
        } else {
            format!("entries {first_index} to {last_index} fail their checksums")
        };
        EntryFault {
            first_index,
            last_index,
            offset,
            what,
        }
    }
}

impl<'a> Iterator for EntryViews<'a> {
    type Item = Result<EntryView<'a>, EntryFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        Some(self.take_one().ok_or_else(|| self.skip()))
    }
}

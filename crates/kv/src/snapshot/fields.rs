//! Reading fields from bytes that nobody vouches for, and that may end in the middle of one.

use crate::limits::{SNAPSHOT_FIELD_BYTES_MAX, SNAPSHOT_NUMBER_MAX};
use crate::snapshot::SnapshotError;

/// Why a record could not be read.
#[derive(Debug)]
pub(super) enum Stop {
    /// The bytes end within it: try again from its start when there are more.
    Incomplete,
    /// It cannot be.
    Broken(SnapshotError),
}

/// A place among bytes.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    /// How many have been read.
    read: usize,
    /// How many came before the first.
    before: u64,
}

/// A key as what differs from the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyField<'a> {
    pub(super) shared: usize,
    pub(super) suffix: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8], before: u64) -> Fields<'a> {
        Fields {
            bytes,
            read: 0,
            before,
        }
    }

    /// How many of the bytes have been read.
    pub(super) fn read(&self) -> usize {
        self.read
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.read == self.bytes.len()
    }

    /// Where the next field begins, counted from the first byte of the snapshot.
    pub(super) fn offset(&self) -> u64 {
        self.before + self.read as u64
    }

    pub(super) fn byte(&mut self) -> Result<u8, Stop> {
        Ok(self.slice(1)?[0])
    }

    pub(super) fn slice(&mut self, length: usize) -> Result<&'a [u8], Stop> {
        let rest = &self.bytes[self.read..];
        let slice = rest.get(..length).ok_or(Stop::Incomplete)?;
        self.read += length;
        Ok(slice)
    }

    /// Eight bytes, the lowest first.
    pub(super) fn word(&mut self) -> Result<u64, Stop> {
        let bytes = self.slice(8)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)))
    }

    /// A number in as few bytes as it needs.
    pub(super) fn varint(&mut self) -> Result<u64, Stop> {
        let start = self.offset();
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(damaged(start, "a number of more than 64 bits"));
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(damaged(start, "a number in more bytes than it needs"));
                }
                return Ok(number);
            }
        }
        Err(damaged(start, "a number of more than ten bytes"))
    }

    /// A number that may be counted on from without overflow.
    pub(super) fn number(&mut self) -> Result<u64, Stop> {
        let start = self.offset();
        let number = self.varint()?;
        if number > SNAPSHOT_NUMBER_MAX {
            return Err(damaged(start, "a revision or index that no store reaches"));
        }
        Ok(number)
    }

    /// The same, signed.
    pub(super) fn revision(&mut self) -> Result<i64, Stop> {
        Ok(self.number()?.cast_signed())
    }

    /// A length, and so many bytes.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Stop> {
        let start = self.offset();
        let length = self.varint()?;
        match usize::try_from(length) {
            Ok(length) if length <= SNAPSHOT_FIELD_BYTES_MAX => self.slice(length),
            _ => Err(damaged(start, "a key or value longer than any")),
        }
    }

    /// A key that comes after the record of `previous`.
    pub(super) fn key(&mut self, previous: &[u8]) -> Result<KeyField<'a>, Stop> {
        let start = self.offset();
        let shared = match usize::try_from(self.varint()?) {
            Ok(shared) if shared <= previous.len() => shared,
            _ => {
                let what = "a key that shares more than there is with the one before";
                return Err(damaged(start, what));
            }
        };
        let suffix = self.bytes()?;
        if shared + suffix.len() > SNAPSHOT_FIELD_BYTES_MAX {
            return Err(damaged(start, "a key or value longer than any"));
        }
        if shared + suffix.len() == 0 {
            return Err(damaged(start, "an empty key"));
        }
        if !suffix.is_empty() && suffix.first() == previous.get(shared) {
            let what = "a key that shares less than it could with the one before";
            return Err(damaged(start, what));
        }
        Ok(KeyField { shared, suffix })
    }
}

impl KeyField<'_> {
    /// Whether the key comes after `previous`, from which it is made.
    pub(super) fn is_after(&self, previous: &[u8]) -> bool {
        match self.suffix.first() {
            Some(byte) => previous.get(self.shared).is_none_or(|before| byte > before),
            None => false,
        }
    }

    /// Makes the key before into this one.
    pub(super) fn replace(&self, previous: &mut Vec<u8>) {
        previous.truncate(self.shared);
        previous.extend_from_slice(self.suffix);
    }
}

pub(super) fn damaged(offset: u64, what: &'static str) -> Stop {
    Stop::Broken(SnapshotError::Damaged { offset, what })
}

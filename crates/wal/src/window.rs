//! Reading a segment a piece at a time: what is asked for is read together with what follows it.

use chaos::chaos;
use quorate_disk::{DiskError, ErrorKind, File};

/// A moving view of one file.
pub(crate) struct Window<F: File> {
    file: F,
    name: String,
    length: u64,
    start: u64,
    bytes: Vec<u8>,
    read_bytes: usize,
}

impl<F: File> Window<F> {
    /// A view of the first `length` bytes of `file`; reads `read_bytes` at a time, or what is
    /// asked for if that is more.
    pub(crate) fn new(file: F, name: &str, length: u64, read_bytes: usize) -> Window<F> {
        Window {
            file,
            name: name.to_owned(),
            length,
            start: 0,
            bytes: Vec::new(),
            read_bytes,
        }
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// `count` bytes at `offset`, or as many as there are before the end.
    pub(crate) fn get(&mut self, offset: u64, count: u64) -> Result<&[u8], DiskError> {
        let end = offset.saturating_add(count).min(self.length);
        if offset >= end {
            return Ok(&[]);
        }
        let held = self.start..self.start + self.bytes.len() as u64;
        if offset < held.start || end > held.end {
            self.fill(offset, end)?;
        }
        let from = to_usize(offset - self.start);
        Ok(&self.bytes[from..from + to_usize(end - offset)])
    }

    fn fill(&mut self, offset: u64, end: u64) -> Result<(), DiskError> {
        let ahead = match chaos!("read-in-small-pieces", 50) {
            true => 1,
            false => self.read_bytes as u64,
        };
        let wanted = (end - offset).max(ahead).min(self.length - offset);
        self.start = offset;
        self.bytes.clear();
        self.bytes.resize(to_usize(wanted), 0);
        let read = self.file.read_at(offset, &mut self.bytes);
        if !matches!(read, Ok(count) if count == self.bytes.len()) {
            self.bytes.clear();
        }
        let count = read?;
        if count as u64 == wanted {
            return Ok(());
        }
        Err(DiskError {
            kind: ErrorKind::Io,
            operation: format!("read at {offset}"),
            file: self.name.clone(),
            reason: format!("{count} bytes came where the file has {wanted}"),
        })
    }
}

/// Lengths in memory and offsets inside a segment: both fit.
pub(crate) fn to_usize(value: u64) -> usize {
    usize::try_from(value).expect("a part of a segment fits into memory")
}

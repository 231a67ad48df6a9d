//! The reader.
use crate::{Entry, WalError};
use quorate_disk::Disk;

/// Reads entries back, from any thread.
#[derive(Clone)]
pub struct Reader<D: Disk> {
    disk: D,
}

impl<D: Disk> Reader<D> {
    /// Entries from `first` to at most `last` (inclusive): at least one.
    pub fn read(&self, _first: u64, _last: u64, _max_bytes: usize) -> Result<Vec<Entry>, WalError> {
        let _ = &self.disk;
        todo!()
    }
}

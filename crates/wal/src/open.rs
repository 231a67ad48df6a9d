//! Opening a log.
use crate::{Options, Preparer, Reader, Recovered, WalError, Writer};
use quorate_disk::Disk;

/// A log, open: its parts go to different threads.
pub struct Opened<D: Disk> {
    /// For the thread that writes.
    pub writer: Writer<D>,
    /// For whoever reads entries back.
    pub reader: Reader<D>,
    /// For the thread that prepares segments.
    pub preparer: Preparer<D>,
    /// What was found.
    pub recovered: Recovered,
}

/// Opens the log in this directory, or makes a new one if there is none.
pub fn open<D: Disk>(_disk: D, _options: Options) -> Result<Opened<D>, WalError> {
    todo!()
}

//! Making segments ahead of need.

use quorate_disk::Disk;

use crate::WalError;
use crate::spares::Spares;

/// Makes spare segments, on a thread of its own, so that the writer need not wait for zeros.
pub struct Preparer<D: Disk> {
    spares: Spares<D>,
}

impl<D: Disk> Preparer<D> {
    pub(crate) fn new(spares: Spares<D>) -> Preparer<D> {
        Preparer { spares }
    }

    /// Makes one spare segment if none is ready: zero-filled, synced, its name durable. Says
    /// whether it did. Worth calling at the start and after each change of segments, or simply
    /// every now and then; it returns at once when there is nothing to do.
    ///
    /// # Errors
    /// Those of the disk. A full disk here is only a warning: the writer does not need the spare
    /// yet. After any other error the disk is not to be trusted.
    pub fn prepare(&self) -> Result<bool, WalError> {
        self.spares.prepare()
    }
}

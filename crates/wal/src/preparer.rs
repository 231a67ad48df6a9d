//! The preparer.
use crate::WalError;
use quorate_disk::Disk;

/// Makes spare segments ahead of need, on a thread of its own.
pub struct Preparer<D: Disk> {
    disk: D,
}

impl<D: Disk> Preparer<D> {
    /// Makes a spare segment if too few are ready; says whether it did.
    pub fn prepare(&self) -> Result<bool, WalError> {
        let _ = &self.disk;
        todo!()
    }
}

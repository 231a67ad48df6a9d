//! The writer.
use crate::{Batch, BatchNumber, Released, WalError};
use quorate_disk::Disk;

/// Appends batches and makes them durable. One per log, owned by one thread.
pub struct Writer<D: Disk> {
    disk: D,
}

impl<D: Disk> Writer<D> {
    /// Writes one batch after the last; not durable before [`Writer::sync`].
    pub fn append(&mut self, _batch: &Batch) -> Result<BatchNumber, WalError> {
        let _ = &self.disk;
        todo!()
    }
    /// Makes everything appended so far durable with one `fdatasync`; gives the last number.
    pub fn sync(&mut self) -> Result<BatchNumber, WalError> {
        todo!()
    }
    /// Whether the last synced batch is not yet named by a later `synced_through`.
    pub fn needs_cover(&self) -> bool {
        todo!()
    }
    /// Writes and syncs one empty batch.
    pub fn cover(&mut self) -> Result<(), WalError> {
        todo!()
    }
    /// Lets go of whole segments with no entries above `up_to_index`.
    pub fn release(&mut self, _up_to_index: u64) -> Result<Released, WalError> {
        todo!()
    }
    /// Bytes of log in all segments.
    pub fn log_bytes(&self) -> u64 {
        todo!()
    }
}

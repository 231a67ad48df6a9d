//! Spare segments: made ahead of need, or left over from the log's beginning.
//!
//! A file filled with zeros and synced is written faster than one that grows, since `fdatasync`
//! then has no metadata to write. A spare's content does not matter: a segment begins with a new
//! epoch, and nothing older passes its checksums.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chaos::chaos;
use quorate_disk::{Disk, File};

use crate::limits::{SEGMENTS_PREPARED_AHEAD, ZERO_CHUNK_BYTES};
use crate::names::Name;
use crate::{Options, WalError};

/// The spares of one log. Clones share them.
pub(crate) struct Spares<D: Disk> {
    disk: D,
    group_id: u32,
    segment_bytes: u64,
    max: usize,
    pool: Arc<Mutex<Pool>>,
}

struct Pool {
    ready: VecDeque<String>,
    next_number: u64,
}

impl<D: Disk> Clone for Spares<D> {
    fn clone(&self) -> Spares<D> {
        Spares {
            disk: self.disk.clone(),
            pool: self.pool.clone(),
            ..*self
        }
    }
}

impl<D: Disk> Spares<D> {
    /// `ready` are durable spares of the right length; numbers from `next_number` on are free.
    pub(crate) fn new(
        disk: D,
        options: &Options,
        ready: VecDeque<String>,
        next_number: u64,
    ) -> Spares<D> {
        Spares {
            disk,
            group_id: options.identity.group_id,
            segment_bytes: options.segment_bytes,
            max: options.max_spare_segments,
            pool: Arc::new(Mutex::new(Pool { ready, next_number })),
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_number(&self) -> u64 {
        let mut pool = self.pool();
        pool.next_number += 1;
        pool.next_number - 1
    }

    /// Makes one more if fewer are ready than should be; says whether it did.
    pub(crate) fn prepare(&self) -> Result<bool, WalError> {
        if self.pool().ready.len() >= SEGMENTS_PREPARED_AHEAD.min(self.max) {
            return Ok(false);
        }
        let (part, file) = self.make_part(self.segment_bytes)?;
        let spare = Name::Spare(self.new_number()).of_group(self.group_id);
        let finished = file
            .sync()
            .and_then(|()| self.disk.rename(&part, &spare))
            .and_then(|()| self.disk.sync_directory());
        if let Err(error) = finished {
            self.discard(&part);
            return Err(error.into());
        }
        self.pool().ready.push_back(spare);
        Ok(true)
    }

    /// A file of `bytes` bytes to make a segment of, under whatever name it has: a ready one, or
    /// one made on the spot, not synced.
    pub(crate) fn take(&self, bytes: u64) -> Result<(String, D::File), WalError> {
        if bytes == self.segment_bytes && !chaos!("spare-passed-over", 30) {
            let ready = self.pool().ready.pop_front();
            if let Some(name) = ready {
                let file = self.disk.open(&name)?;
                return Ok((name, file));
            }
        }
        self.make_part(bytes)
    }

    /// The name to keep a released segment of this length under, or `None` if it is not needed.
    pub(crate) fn name_for_released(&self, bytes: u64) -> Option<String> {
        let wanted = bytes == self.segment_bytes && self.pool().ready.len() < self.max;
        wanted.then(|| Name::Spare(self.new_number()).of_group(self.group_id))
    }

    /// The released segment is durably there under that name.
    pub(crate) fn add(&self, name: String) {
        self.pool().ready.push_back(name);
    }

    /// An empty file under a name that the next start removes.
    pub(crate) fn begin_part(&self) -> Result<(String, D::File), WalError> {
        let part = Name::Part(self.new_number()).of_group(self.group_id);
        let file = self.disk.create(&part)?;
        Ok((part, file))
    }

    fn make_part(&self, bytes: u64) -> Result<(String, D::File), WalError> {
        let (part, file) = self.begin_part()?;
        if let Err(error) = fill_with_zeros(&file, bytes) {
            self.discard(&part);
            return Err(error);
        }
        Ok((part, file))
    }

    /// Gives the space back at once. If that fails too, the next start removes the file.
    pub(crate) fn discard(&self, part: &str) {
        let _ = self.disk.remove(part);
    }
}

fn fill_with_zeros(file: &impl File, bytes: u64) -> Result<(), WalError> {
    let zeros = vec![0; ZERO_CHUNK_BYTES.min(crate::window::to_usize(bytes))];
    let mut offset = 0;
    while offset < bytes {
        let count = (bytes - offset).min(zeros.len() as u64);
        file.write_at(offset, &zeros[..crate::window::to_usize(count)])?;
        offset += count;
    }
    Ok(())
}

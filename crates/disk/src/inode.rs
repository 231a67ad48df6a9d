//! One simulated file: what a reader sees, what is durable, and what lies between.
//!
//! Between the two stand *versions*. A page cache may write back a sector at any moment, so after
//! a crash each sector holds what it held at the last sync or what any write since then made of
//! it, each sector for itself; the length likewise. Only versions that differ are kept, so that
//! zeros written over a hole add no state to enumerate.

use std::collections::BTreeMap;

/// What disks write atomically.
pub(crate) const SECTOR_BYTES: usize = 512;

type Sector = [u8; SECTOR_BYTES];

/// The contents of one file.
#[derive(Clone, Default)]
pub(crate) struct Inode {
    /// What a reader sees.
    current: Vec<u8>,
    /// What a crash cannot take away.
    durable: Vec<u8>,
    /// By sector number: what it held since the last sync, oldest first.
    versions: BTreeMap<u64, Vec<Sector>>,
    /// The lengths since the last sync, oldest first.
    lengths: Vec<u64>,
    /// Writes and truncations since the last sync.
    unsynced: usize,
}

impl Inode {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.current
    }

    pub(crate) fn unsynced(&self) -> usize {
        self.unsynced
    }

    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(self.current.len());
        let count = buffer.len().min(self.current.len() - start);
        buffer[..count].copy_from_slice(&self.current[start..start + count]);
        count
    }

    pub(crate) fn write_at(&mut self, offset: usize, bytes: &[u8]) {
        self.unsynced += 1;
        let end = offset + bytes.len();
        if end > self.current.len() {
            self.current.resize(end, 0);
            self.lengths.push(end as u64);
        }
        self.current[offset..end].copy_from_slice(bytes);
        self.note_versions(offset, end);
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        self.unsynced += 1;
        let old = self.current.len();
        if length == old {
            return;
        }
        self.current.resize(length, 0);
        self.lengths.push(length as u64);
        self.note_versions(length.min(old), length.max(old));
    }

    /// Takes down what the sectors that overlap `start..end` hold now.
    fn note_versions(&mut self, start: usize, end: usize) {
        if start == end {
            return;
        }
        for number in start / SECTOR_BYTES..=(end - 1) / SECTOR_BYTES {
            let now = sector_of(&self.current, number);
            let key = number as u64;
            match self.versions.get_mut(&key) {
                Some(versions) => {
                    if versions.last() != Some(&now) {
                        versions.push(now);
                    }
                }
                None => {
                    if sector_of(&self.durable, number) != now {
                        self.versions.insert(key, vec![now]);
                    }
                }
            }
        }
    }

    /// Everything written so far becomes durable.
    pub(crate) fn sync(&mut self) {
        self.unsynced = 0;
        if let Some(length) = self.lengths.last() {
            self.durable
                .resize(usize::try_from(*length).unwrap_or(usize::MAX), 0);
        }
        self.lengths.clear();
        for (number, versions) in std::mem::take(&mut self.versions) {
            if let Some(newest) = versions.last() {
                put_sector(&mut self.durable, number, newest);
            }
        }
    }

    /// A sync that fails marks the pages clean: readers go on seeing them, no later sync writes
    /// them, and the next crash takes them.
    pub(crate) fn sync_failed(&mut self) {
        self.unsynced = 0;
        self.lengths.clear();
        self.versions.clear();
    }

    /// Flips one bit for good, in what readers see and on the medium; false beyond the end.
    pub(crate) fn flip_bit(&mut self, offset: usize, bit: u8) -> bool {
        let mask = 1 << (bit % 8);
        if offset >= self.current.len() {
            return false;
        }
        self.current[offset] ^= mask;
        if let Some(byte) = self.durable.get_mut(offset) {
            *byte ^= mask;
        }
        let number = (offset / SECTOR_BYTES) as u64;
        for version in self.versions.get_mut(&number).into_iter().flatten() {
            version[offset % SECTOR_BYTES] ^= mask;
        }
        true
    }

    /// Loses power: each length and each sector is what `choose` picks among its versions.
    pub(crate) fn crash(&mut self, choose: &mut dyn FnMut(usize) -> usize) {
        let mut lengths = vec![self.durable.len() as u64];
        for length in self.lengths.drain(..) {
            if !lengths.contains(&length) {
                lengths.push(length);
            }
        }
        let length = usize::try_from(lengths[choose(lengths.len())]).unwrap_or(usize::MAX);
        self.durable.resize(length, 0);
        for (number, versions) in std::mem::take(&mut self.versions) {
            let inside = number * (SECTOR_BYTES as u64) < length as u64;
            if !inside {
                continue;
            }
            let pick = choose(versions.len() + 1);
            if pick > 0 {
                put_sector(&mut self.durable, number, &versions[pick - 1]);
            }
        }
        self.current = self.durable.clone();
        self.unsynced = 0;
    }

    /// At most how many different states a crash can leave this file in.
    pub(crate) fn crash_state_bound(&self) -> u64 {
        self.versions
            .values()
            .fold(self.lengths.len() as u64 + 1, |product, versions| {
                product.saturating_mul(versions.len() as u64 + 1)
            })
    }
}

/// Sector `number` of `bytes`, zeros beyond the end.
fn sector_of(bytes: &[u8], number: usize) -> Sector {
    let mut sector = [0; SECTOR_BYTES];
    let start = (number * SECTOR_BYTES).min(bytes.len());
    let end = (start + SECTOR_BYTES).min(bytes.len());
    sector[..end - start].copy_from_slice(&bytes[start..end]);
    sector
}

/// Puts a sector back, as far as the file reaches.
fn put_sector(bytes: &mut [u8], number: u64, sector: &Sector) {
    let start = usize::try_from(number)
        .unwrap_or(usize::MAX)
        .saturating_mul(SECTOR_BYTES);
    let start = start.min(bytes.len());
    let end = (start + SECTOR_BYTES).min(bytes.len());
    bytes[start..end].copy_from_slice(&sector[..end - start]);
}

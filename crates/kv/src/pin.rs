//! Pins: what a long read holds so that compaction does not free what it has yet to read.
//!
//! A pin keeps every version that a reader at its revision needs, and nothing else: compaction goes on,
//! new reads are refused below the compacted revision at once, only the freeing waits. A pin is a value
//! with an owner and is released when it is dropped, so it cannot be forgotten; an owner that may wait
//! for others (a slow client) must bound how long it keeps one.
//!
//! The register of pins is shared by the store and the pins themselves, behind a mutex that is held for
//! one map operation, so that readers who share the store can pin without excluding one another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many pins each revision has.
type Counts = BTreeMap<i64, usize>;

/// A revision whose view stays whole until this is dropped.
#[derive(Debug)]
pub struct Pin {
    revision: i64,
    counts: Arc<Mutex<Counts>>,
}

impl Pin {
    /// The pinned revision.
    pub fn revision(&self) -> i64 {
        self.revision
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        let count = counts
            .get_mut(&self.revision)
            .expect("a living pin is in the register");
        *count -= 1;
        if *count == 0 {
            counts.remove(&self.revision);
        }
    }
}

/// All pins of one store.
#[derive(Debug, Default)]
pub(crate) struct PinRegister {
    counts: Arc<Mutex<Counts>>,
}

impl PinRegister {
    pub(crate) fn pin(&self, revision: i64) -> Pin {
        *lock(&self.counts).entry(revision).or_insert(0) += 1;
        Pin {
            revision,
            counts: Arc::clone(&self.counts),
        }
    }

    /// The lowest pinned revision.
    pub(crate) fn oldest(&self) -> Option<i64> {
        lock(&self.counts).keys().next().copied()
    }
}

/// A panic elsewhere cannot leave the counts half-changed, so a poisoned lock is as good as any.
fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_pin_counts_until_its_last_holder_is_gone() {
        let register = PinRegister::default();
        assert_eq!(register.oldest(), None);
        let (a, b, c) = (register.pin(5), register.pin(5), register.pin(9));
        assert_eq!((a.revision(), register.oldest()), (5, Some(5)));
        drop(a);
        assert_eq!(register.oldest(), Some(5));
        drop(b);
        assert_eq!(register.oldest(), Some(9));
        drop(c);
        assert_eq!(register.oldest(), None);
    }
}

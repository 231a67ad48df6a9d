//! Bytes of memory that may be in use for one purpose, over the whole node.
//!
//! Limits per request and per connection multiply: a stranger may open many of both. So what requests and answers
//! hold is also charged to accounts of the whole node, and who finds an account empty is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// An account of bytes.
pub(crate) struct Budget {
    used_bytes: AtomicUsize,
    limit_bytes: usize,
    /// Rung when there is room again.
    room: Notify,
}

/// There is no room.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exhausted;

impl Budget {
    pub(crate) fn new(limit_bytes: usize) -> Arc<Budget> {
        Arc::new(Budget {
            used_bytes: AtomicUsize::new(0),
            limit_bytes,
            room: Notify::new(),
        })
    }

    /// An open charge of nothing yet.
    pub(crate) fn open(self: &Arc<Budget>) -> Charge {
        Charge {
            budget: Arc::clone(self),
            bytes: AtomicUsize::new(0),
        }
    }

    /// Charges `bytes` if there is room, or if nothing else is charged: what is larger than the whole budget is
    /// served alone rather than never.
    pub(crate) fn charge_or_alone(self: &Arc<Budget>, bytes: usize) -> Result<Charge, Exhausted> {
        let charge = self.open();
        let alone =
            self.used_bytes
                .compare_exchange(0, bytes, Ordering::Relaxed, Ordering::Relaxed);
        if alone.is_ok() {
            charge.bytes.store(bytes, Ordering::Relaxed);
        } else {
            charge.add(bytes)?;
        }
        Ok(charge)
    }

    /// Charges `bytes` whether or not there is room: what is done cannot be refused any more, but others can.
    pub(crate) fn charge_always(self: &Arc<Budget>, bytes: usize) -> Charge {
        let charge = self.open();
        self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        charge.bytes.store(bytes, Ordering::Relaxed);
        charge
    }

    /// Whether there is room for anything.
    pub(crate) fn has_room(&self) -> bool {
        self.used_bytes.load(Ordering::SeqCst) < self.limit_bytes
    }

    /// Whether so much is used that those who need much may find no room.
    pub(crate) fn is_short(&self) -> bool {
        self.used_bytes.load(Ordering::SeqCst) > self.limit_bytes / 2
    }

    /// Whether there would be without what `own` holds.
    fn has_room_beside(&self, own: &Charge) -> bool {
        let others = (self.used_bytes.load(Ordering::SeqCst))
            .saturating_sub(own.bytes.load(Ordering::Relaxed));
        others < self.limit_bytes
    }

    /// Waits for room, after there was none. It is told to one who waits, who tells the next one by
    /// [`Budget::pass_on_room`].
    pub(crate) async fn room(&self) {
        self.room.notified().await;
    }

    /// Tells the next one who waits that there is room, if there is.
    pub(crate) fn pass_on_room(&self) {
        if self.has_room() {
            self.room.notify_one();
        }
    }

    fn give_back(&self, bytes: usize) {
        let before = self.used_bytes.fetch_sub(bytes, Ordering::SeqCst);
        let is_full = |used: usize| used >= self.limit_bytes;
        if is_full(before) && !is_full(before - bytes) {
            self.room.notify_one();
        }
    }

    /// How many bytes are charged now.
    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }
}

/// What one request or answer holds; given back when it is dropped.
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: AtomicUsize,
}

impl Charge {
    /// Charges `bytes` more, or nothing when there is no room for them.
    pub(crate) fn add(&self, bytes: usize) -> Result<(), Exhausted> {
        let used = self.budget.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        if used.saturating_add(bytes) > self.budget.limit_bytes {
            self.budget.give_back(bytes);
            return Err(Exhausted);
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Whether its account has room for more than this.
    pub(crate) fn leaves_room(&self) -> bool {
        self.budget.has_room_beside(self)
    }

    /// Gives back all but `bytes`, if there is more.
    pub(crate) fn keep(&self, bytes: usize) {
        let held = self.bytes.fetch_min(bytes, Ordering::Relaxed);
        self.budget.give_back(held.saturating_sub(bytes));
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut();
        self.budget.give_back(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_refused_and_what_is_done_makes_room() {
        let budget = Budget::new(10);
        let first = budget.open();
        assert_eq!(first.add(4), Ok(()));
        assert_eq!(first.add(4), Ok(()));
        let second = budget.open();
        assert_eq!(second.add(3), Err(Exhausted));
        assert_eq!(budget.used_bytes(), 8);
        drop(first);
        assert_eq!(second.add(10), Ok(()));
        drop(second);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn what_is_larger_than_the_budget_goes_alone() {
        let budget = Budget::new(10);
        let small = budget.charge_or_alone(1).expect("there is room");
        assert!(budget.charge_or_alone(11).is_err());
        drop(small);
        let large = budget.charge_or_alone(11).expect("nothing else is charged");
        assert!(budget.charge_or_alone(1).is_err());
        let done = budget.charge_always(1);
        drop((large, done));
        assert_eq!(budget.used_bytes(), 0);
    }
}

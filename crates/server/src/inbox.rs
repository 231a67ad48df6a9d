//! A bounded queue into a thread that takes everything waiting at once.
//!
//! The machines of a node work on batches: whatever arrived while the last batch was handled is
//! the next one. So the queue gives all it holds in one swap, and a sender wakes the thread only
//! when it sleeps.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A queue of `T` with one reader.
pub(crate) struct Inbox<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    capacity: usize,
    max_bytes: usize,
}

struct State<T> {
    queue: Vec<T>,
    /// What the offers in the queue said that they weigh.
    bytes: usize,
    reader_sleeps: bool,
    woken: bool,
}

impl<T> Inbox<T> {
    /// An inbox that refuses more than `capacity` items, or more than `max_bytes` of them, from
    /// [`Inbox::offer`].
    pub(crate) fn new(capacity: usize, max_bytes: usize) -> Inbox<T> {
        let state = State {
            queue: Vec::new(),
            bytes: 0,
            reader_sleeps: false,
            woken: false,
        };
        Inbox {
            state: Mutex::new(state),
            arrived: Condvar::new(),
            capacity,
            max_bytes,
        }
    }

    /// Puts an item that keeps `bytes` of memory in, unless the inbox is full: then gives it
    /// back. An item that is larger than all the room there is goes in when no other is there.
    pub(crate) fn offer(&self, item: T, bytes: usize) -> Result<(), T> {
        let mut state = self.lock();
        let heavy = state.bytes > 0 && state.bytes.saturating_add(bytes) > self.max_bytes;
        if heavy || state.queue.len() >= self.capacity {
            return Err(item);
        }
        state.bytes += bytes;
        self.put(&mut state, item);
        Ok(())
    }

    /// Puts an item in, full or not: for what a bounded number of senders say a bounded number
    /// of times (a completion, a lost link).
    pub(crate) fn push(&self, item: T) {
        self.put(&mut self.lock(), item);
    }

    /// Wakes the reader though there is no item.
    pub(crate) fn wake(&self) {
        let mut state = self.lock();
        state.woken = true;
        self.notify(&mut state);
    }

    /// Waits until there is something or `timeout` is over, then takes all there is.
    pub(crate) fn take(&self, timeout: Option<Duration>, into: &mut Vec<T>) {
        let mut state = self.lock();
        if state.queue.is_empty() && !state.woken {
            state.reader_sleeps = true;
            state = match timeout {
                Some(timeout) => {
                    let waited = self.arrived.wait_timeout(state, timeout);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self
                    .arrived
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
            state.reader_sleeps = false;
        }
        state.woken = false;
        state.bytes = 0;
        into.append(&mut state.queue);
    }

    fn put(&self, state: &mut MutexGuard<'_, State<T>>, item: T) {
        state.queue.push(item);
        self.notify(state);
    }

    fn notify(&self, state: &mut MutexGuard<'_, State<T>>) {
        if state.reader_sleeps {
            state.reader_sleeps = false;
            self.arrived.notify_one();
        }
    }

    /// A panic elsewhere ends the process; the queue itself is whole after any of its steps.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn everything_waiting_is_taken_at_once_in_order() {
        let inbox = Inbox::new(10, 0);
        for item in 0..3 {
            inbox.push(item);
        }
        let mut taken = Vec::new();
        inbox.take(None, &mut taken);
        assert_eq!(taken, [0, 1, 2]);
    }

    #[test]
    fn a_full_inbox_gives_the_item_back() {
        let inbox = Inbox::new(1, 0);
        assert_eq!(inbox.offer(1, 0), Ok(()));
        assert_eq!(inbox.offer(2, 0), Err(2));
        inbox.push(3);
        let mut taken = Vec::new();
        inbox.take(None, &mut taken);
        assert_eq!(taken, [1, 3]);
        assert_eq!(inbox.offer(2, 0), Ok(()));
    }

    #[test]
    fn an_inbox_is_full_by_bytes_too_but_takes_any_one_item() {
        let inbox = Inbox::new(10, 100);
        assert_eq!(inbox.offer("large", 500), Ok(()));
        assert_eq!(inbox.offer("small", 1), Err("small"));
        inbox.take(None, &mut Vec::new());
        assert_eq!(inbox.offer("half", 50), Ok(()));
        assert_eq!(inbox.offer("half", 50), Ok(()));
        assert_eq!(inbox.offer("small", 1), Err("small"));
        assert_eq!(inbox.offer("weightless", 0), Ok(()));
    }

    #[test]
    fn a_sleeping_reader_is_woken() {
        let inbox = Arc::new(Inbox::new(1, 0));
        let reader = std::thread::spawn({
            let inbox = Arc::clone(&inbox);
            move || {
                let mut taken = Vec::new();
                while taken.is_empty() {
                    inbox.take(None, &mut taken);
                }
                taken
            }
        });
        inbox.push(7);
        assert_eq!(reader.join().expect("the reader ends"), [7]);
    }

    #[test]
    fn a_wake_without_an_item_ends_the_wait() {
        let inbox: Inbox<u8> = Inbox::new(1, 0);
        inbox.wake();
        let mut taken = Vec::new();
        inbox.take(None, &mut taken);
        assert!(taken.is_empty());
    }
}

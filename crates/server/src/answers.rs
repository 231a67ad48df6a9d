//! Where requests wait for their answers.
//!
//! A handler leaves the sending half of a channel here under its request's sequence and waits
//! on the other half. Whoever learns the outcome (the applier, or consensus when the request
//! fails) takes it out and sends. Every request is answered or failed once, so nothing stays.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_kv::Reply;
use quorate_replica::{MemberTable, RequestError};
use tokio::sync::oneshot;

/// Enough that handlers on a few cores rarely meet at one lock.
const SHARDS: usize = 16;

/// What a request came to.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// Of a command on the store.
    Store(Reply),
    /// The members after a change of them.
    Members(Arc<MemberTable>),
}

/// What a write's client hears.
pub(crate) type WriteResult = Result<Outcome, RequestError>;

/// Requests waiting for their answers, by sequence.
pub(crate) struct Answers {
    next_sequence: AtomicU64,
    shards: [Mutex<HashMap<u64, oneshot::Sender<WriteResult>>>; SHARDS],
}

impl Answers {
    pub(crate) fn new() -> Answers {
        Answers {
            next_sequence: AtomicU64::new(1),
            shards: std::array::from_fn(|_| Mutex::new(HashMap::new())),
        }
    }

    /// A new sequence, and where its answer will arrive.
    pub(crate) fn open(&self) -> (u64, oneshot::Receiver<WriteResult>) {
        let sequence = self.next_sequence.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.shard(sequence).insert(sequence, sender);
        (sequence, receiver)
    }

    /// Answers a request; does nothing if it was answered before or its client has gone.
    pub(crate) fn answer(&self, sequence: u64, result: WriteResult) {
        let waiting = self.shard(sequence).remove(&sequence);
        if let Some(waiting) = waiting {
            // An error means that the client has gone; there is no one to tell.
            let _ = waiting.send(result);
        }
    }

    /// Answers everything that still waits: the server stops.
    pub(crate) fn fail_all(&self, error: &RequestError) {
        for shard in &self.shards {
            let waiting: Vec<_> = lock(shard).drain().collect();
            for (_, sender) in waiting {
                let _ = sender.send(Err(error.clone()));
            }
        }
    }

    fn shard(&self, sequence: u64) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<WriteResult>>> {
        lock(&self.shards[sequence as usize % SHARDS])
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reaches_its_request_once() {
        let answers = Answers::new();
        let (first, mut first_waits) = answers.open();
        let (second, mut second_waits) = answers.open();
        assert_ne!(first, second);
        answers.answer(second, Err(RequestError::TimedOut));
        answers.answer(second, Err(RequestError::LeaderLost));
        assert_eq!(second_waits.try_recv(), Ok(Err(RequestError::TimedOut)));
        assert!(first_waits.try_recv().is_err());
        answers.fail_all(&RequestError::Stopped);
        assert_eq!(first_waits.try_recv(), Ok(Err(RequestError::Stopped)));
    }
}

//! Where questions about leases wait for the leader's answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use quorate_replica::{LeaseTime, RequestError};
use tokio::sync::oneshot;

/// How long the lease lives; none if there is none of its id.
type Answer = Result<Option<LeaseTime>, RequestError>;

/// Questions waiting for their answers, by sequence.
#[derive(Default)]
pub(crate) struct LeaseQuestions {
    last_sequence: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
}

impl LeaseQuestions {
    /// A new sequence, and where its answer will arrive.
    pub(crate) fn open(&self) -> (u64, oneshot::Receiver<Answer>) {
        let sequence = self.last_sequence.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, receiver) = oneshot::channel();
        self.lock().insert(sequence, sender);
        (sequence, receiver)
    }

    /// Answers a question; does nothing if it was answered before.
    pub(crate) fn answer(&self, sequence: u64, answer: Answer) {
        let waiting = self.lock().remove(&sequence);
        if let Some(waiting) = waiting {
            // An error means that the client has gone; there is no one to tell.
            let _ = waiting.send(answer);
        }
    }

    /// Answers everything that still waits: the server stops.
    pub(crate) fn fail_all(&self, error: &RequestError) {
        let waiting: Vec<_> = self.lock().drain().collect();
        for (_, sender) in waiting {
            let _ = sender.send(Err(error.clone()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

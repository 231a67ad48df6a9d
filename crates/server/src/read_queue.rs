//! Where linearizable reads wait for leave to read.
//!
//! All reads that wait at one moment share one round of Raft: the consensus thread takes them
//! as a batch under one id, and the batch is released as one when its index has been applied.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use quorate_raft::ReadId;
use quorate_replica::RequestError;
use tokio::sync::oneshot;

use crate::limits::MAX_WAITING_READS;

type Waiter = oneshot::Sender<Result<(), RequestError>>;

/// Reads waiting for leave.
pub(crate) struct ReadQueue {
    state: Mutex<State>,
}

struct State {
    waiting: Vec<Waiter>,
    batches: HashMap<ReadId, Vec<Waiter>>,
    batched: usize,
    last_id: u64,
}

impl ReadQueue {
    pub(crate) fn new() -> ReadQueue {
        let state = State {
            waiting: Vec::new(),
            batches: HashMap::new(),
            batched: 0,
            last_id: 0,
        };
        ReadQueue {
            state: Mutex::new(state),
        }
    }

    /// Waits in line. Gives the receiving end, and whether this read is the first in line: then
    /// the caller tells consensus.
    pub(crate) fn wait(
        &self,
    ) -> Result<(oneshot::Receiver<Result<(), RequestError>>, bool), RequestError> {
        let mut state = self.lock();
        if state.waiting.len() + state.batched >= MAX_WAITING_READS {
            return Err(RequestError::TooManyRequests);
        }
        let (sender, receiver) = oneshot::channel();
        state.waiting.push(sender);
        Ok((receiver, state.waiting.len() == 1))
    }

    /// Makes all that wait one batch.
    pub(crate) fn take_batch(&self) -> Option<ReadId> {
        let mut state = self.lock();
        if state.waiting.is_empty() {
            return None;
        }
        state.last_id += 1;
        let id = ReadId(state.last_id);
        let batch = std::mem::take(&mut state.waiting);
        state.batched += batch.len();
        state.batches.insert(id, batch);
        Some(id)
    }

    /// Tells a batch that it may read, or why not.
    pub(crate) fn release(&self, id: ReadId, result: &Result<(), RequestError>) {
        let batch = {
            let mut state = self.lock();
            let batch = state.batches.remove(&id).unwrap_or_default();
            state.batched -= batch.len();
            batch
        };
        for waiter in batch {
            // An error means that the client has gone; there is no one to tell.
            let _ = waiter.send(result.clone());
        }
    }

    /// Tells everything that waits that the server stops.
    pub(crate) fn fail_all(&self, error: &RequestError) {
        let waiters = {
            let mut state = self.lock();
            let mut waiters = std::mem::take(&mut state.waiting);
            waiters.extend(state.batches.drain().flat_map(|(_, batch)| batch));
            state.batched = 0;
            waiters
        };
        for waiter in waiters {
            let _ = waiter.send(Err(error.clone()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_that_wait_together_are_released_together() {
        let queue = ReadQueue::new();
        let (mut one, first) = queue.wait().expect("room");
        let (mut two, second) = queue.wait().expect("room");
        assert!(first && !second, "only the first in line tells consensus");
        let id = queue.take_batch().expect("two wait");
        assert_eq!(queue.take_batch(), None);
        let (mut three, first) = queue.wait().expect("room");
        assert!(first);
        queue.release(id, &Ok(()));
        assert_eq!((one.try_recv(), two.try_recv()), (Ok(Ok(())), Ok(Ok(()))));
        assert!(three.try_recv().is_err());
        queue.fail_all(&RequestError::Stopped);
        assert_eq!(three.try_recv(), Ok(Err(RequestError::Stopped)));
    }

    #[test]
    fn the_line_is_bounded() {
        let queue = ReadQueue::new();
        let _waiting: Vec<_> = (0..MAX_WAITING_READS).map(|_| queue.wait()).collect();
        assert_eq!(queue.wait().err(), Some(RequestError::TooManyRequests));
    }
}

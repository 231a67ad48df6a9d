//! The bytes of one step: never more than asked for, whatever the length of what is written.
//!
//! What does not fit waits for the next steps. Long values wait as they are, shared with the store, and
//! leave in slices without being copied.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

/// Where a scan writes.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    bytes_max: usize,
    /// What did not fit, in order.
    waiting: VecDeque<Bytes>,
}

/// What a step asks for at first; most steps end before they need more.
const FIRST_CAPACITY_BYTES: usize = 64 << 10;

impl Output {
    /// Starts a step of at most `bytes_max` bytes, at least one, with what waits from the last.
    pub(super) fn begin(&mut self, bytes_max: usize) {
        assert!(bytes_max > 0 && self.bytes.is_empty(), "a step in a step");
        self.bytes_max = bytes_max;
        if self.waits_for_itself() {
            return;
        }
        self.bytes
            .reserve_exact(bytes_max.min(FIRST_CAPACITY_BYTES));
        while let Some(mut piece) = self.waiting.pop_front() {
            let room = self.bytes_max - self.bytes.len();
            if piece.len() > room {
                self.bytes.extend_from_slice(&piece.split_to(room));
                self.waiting.push_front(piece);
                return;
            }
            self.bytes.extend_from_slice(&piece);
        }
    }

    /// Whether the first piece that waits fills a step alone.
    fn waits_for_itself(&self) -> bool {
        self.waiting
            .front()
            .is_some_and(|piece| piece.len() >= self.bytes_max)
    }

    /// Whether the step has all the bytes it may have.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= self.bytes_max || !self.waiting.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.waiting.is_empty()
    }

    /// Where short things are written; what is too much is cut off at the end of the step.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Writes a value, after which nothing is written until the output is no longer full.
    pub(super) fn push_value(&mut self, value: &Arc<[u8]>) {
        let room = self.bytes_max.saturating_sub(self.bytes.len());
        if value.len() <= room {
            self.bytes.extend_from_slice(value);
            return;
        }
        self.bytes.extend_from_slice(&value[..room]);
        let rest = Bytes::from_owner(Arc::clone(value)).slice(room..);
        self.waiting.push_back(rest);
    }

    /// The bytes of the step.
    pub(super) fn finish(&mut self) -> Bytes {
        if self.bytes.is_empty() && self.waits_for_itself() {
            let piece = self.waiting.front_mut().expect("it waits");
            let bytes = piece.split_to(self.bytes_max);
            if piece.is_empty() {
                self.waiting.pop_front();
            }
            return bytes;
        }
        let mut bytes = Bytes::from(std::mem::take(&mut self.bytes));
        if bytes.len() > self.bytes_max {
            self.waiting.push_front(bytes.split_off(self.bytes_max));
        }
        bytes
    }
}

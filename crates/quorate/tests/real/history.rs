//! What clients did, and when.
//!
//! Every write has a value of its own, so that a value tells which write it came from. Times are
//! of one monotonic clock for all clients: taken just before a request is made and just after its
//! answer is there, so that an operation took effect within its time or not at all.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

/// Stands for the value of one write; never written twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Value(pub(crate) u64);

/// Now and then a value takes more than a page, which a cut can tear.
const LONG_VALUE_BYTES: usize = 5_000;

impl Value {
    /// The bytes that are written for it: its number, filled up to a length that follows from it.
    pub(crate) fn bytes(self) -> Bytes {
        let mut text = format!("{}:", self.0);
        let length = match self.0 % 8 {
            0 => LONG_VALUE_BYTES,
            rest => 40 * rest as usize,
        };
        while text.len() < length {
            text.push('.');
        }
        text.into()
    }

    /// The value that these bytes were written for, if all of them are right.
    pub(crate) fn of(bytes: &[u8]) -> Option<Value> {
        let text = std::str::from_utf8(bytes).ok()?;
        let value = Value(text.split_once(':')?.0.parse().ok()?);
        (value.bytes() == bytes).then_some(value)
    }
}

/// A version of a key, as an answer showed it: its value and the revision that set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) value: Value,
    pub(crate) mod_revision: i64,
}

/// What a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The key's value.
    Get,
    /// That the key be set.
    Put(Value),
    /// That the key be set if it has the expected value, or none; its value otherwise.
    Swap {
        expected: Option<Value>,
        value: Value,
    },
}

/// What it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The write was done, at `revision`.
    Written { revision: i64 },
    /// Nothing was written; at `revision` the key was so.
    Found {
        revision: i64,
        version: Option<Version>,
    },
    /// Nothing that tells whether it was done; it may still be.
    Unknown,
}

/// One request of one client.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) client: usize,
    pub(crate) key: String,
    pub(crate) action: Action,
    pub(crate) outcome: Outcome,
    /// Times since the history began.
    pub(crate) called: Duration,
    pub(crate) returned: Duration,
}

impl Operation {
    /// The revision of the store at which the answer is right.
    pub(crate) fn revision(&self) -> Option<i64> {
        match self.outcome {
            Outcome::Written { revision } | Outcome::Found { revision, .. } => Some(revision),
            Outcome::Unknown => None,
        }
    }

    /// What the key was at that revision.
    pub(crate) fn version(&self) -> Option<Version> {
        match (self.action, self.outcome) {
            (Action::Put(value) | Action::Swap { value, .. }, Outcome::Written { revision }) => {
                Some(Version {
                    value,
                    mod_revision: revision,
                })
            }
            (_, Outcome::Found { version, .. }) => version,
            _ => None,
        }
    }

    /// Whether it was acknowledged as a write.
    pub(crate) fn is_written(&self) -> bool {
        matches!(self.outcome, Outcome::Written { .. })
    }
}

/// All operations of a run, in the order of their ends.
#[derive(Debug)]
pub(crate) struct History {
    began: Instant,
    operations: Mutex<Vec<Operation>>,
}

impl History {
    /// An empty one, which begins now.
    pub(crate) fn new() -> History {
        History {
            began: Instant::now(),
            operations: Mutex::default(),
        }
    }

    /// The time since it began.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Takes one in.
    pub(crate) fn record(&self, operation: Operation) {
        self.operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(operation);
    }

    /// All operations so far.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        self.operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

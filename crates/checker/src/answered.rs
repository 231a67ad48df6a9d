//! What one operation on the store did, or may have done.

use std::collections::BTreeMap;

use crate::blob::Blob;
use crate::history::{Call, History, Moment, Operation, Outcome};
use crate::store::{KeyValue, OpAnswer, StoreAnswer, StoreBody, StoreCall, StoreOp};

/// An answered request to the store.
#[derive(Clone, Copy)]
pub(crate) struct Answered<'a> {
    pub(crate) operation: &'a Operation,
    pub(crate) call: &'a StoreCall,
    pub(crate) answer: &'a StoreAnswer,
    pub(crate) completed: Moment,
}

impl<'a> Answered<'a> {
    /// The operations that were done, with their answers.
    pub(crate) fn pairs(self) -> impl Iterator<Item = (&'a StoreOp, &'a OpAnswer)> {
        let (ops, answers): (&[StoreOp], &[OpAnswer]) = match (self.call, &self.answer.body) {
            (StoreCall::One(op), StoreBody::One(answer)) => {
                (std::slice::from_ref(op), std::slice::from_ref(answer))
            }
            (
                StoreCall::Txn {
                    success, failure, ..
                },
                StoreBody::Txn { succeeded, answers },
            ) => (if *succeeded { success } else { failure }, answers),
            _ => (&[], &[]),
        };
        ops.iter().zip(answers)
    }

    pub(crate) fn done(self) -> impl Iterator<Item = &'a StoreOp> {
        self.pairs().map(|(op, _)| op)
    }

    /// Whether it made its revision.
    pub(crate) fn changed(self) -> bool {
        self.pairs().any(|(_, answer)| match answer {
            OpAnswer::Put {} => true,
            OpAnswer::Delete { deleted } => *deleted > 0,
            OpAnswer::Get { .. } => false,
        })
    }

    pub(crate) fn kvs(self) -> impl Iterator<Item = &'a KeyValue> {
        self.pairs().flat_map(|(_, answer)| match answer {
            OpAnswer::Get { kvs, .. } => kvs.as_slice(),
            _ => &[],
        })
    }

    pub(crate) fn greatest_revision(self) -> i64 {
        let seen = self.kvs().map(|kv| kv.mod_revision).max();
        seen.unwrap_or(0).max(self.answer.revision)
    }

    /// Whether this change leaves `key` so.
    pub(crate) fn explains(self, key: &Blob, value: Option<&Blob>) -> bool {
        self.done().any(|op| does(op, key, value))
    }
}

pub(crate) fn answered(operation: &Operation) -> Option<Answered<'_>> {
    match (&operation.call, &operation.completed) {
        (Call::Store(call), Some((completed, Outcome::Store(answer)))) => Some(Answered {
            operation,
            call,
            answer,
            completed: *completed,
        }),
        _ => None,
    }
}

pub(crate) fn open_changes(history: &History) -> Vec<&Operation> {
    let open = history.operations().iter().filter(|op| op.is_open());
    open.filter(|operation| changes_of(operation).next().is_some())
        .collect()
}

/// The puts and deletes that it may do.
pub(crate) fn changes_of(operation: &Operation) -> impl Iterator<Item = &StoreOp> {
    let call = match &operation.call {
        Call::Store(call) => Some(call),
        Call::Register(..) => None,
    };
    let ops = call.into_iter().flat_map(StoreCall::may_do);
    ops.filter(|op| !matches!(op, StoreOp::Get { .. }))
}

fn does(op: &StoreOp, key: &Blob, value: Option<&Blob>) -> bool {
    match (op, value) {
        (
            StoreOp::Put {
                key: put, value, ..
            },
            Some(seen),
        ) => put == key && value == seen,
        (StoreOp::Delete { .. }, None) => op.span().contains(key),
        _ => false,
    }
}

/// Whether one of the ways in which an operation may go does all that was seen.
pub(crate) fn may_do_all(operation: &Operation, seen: &BTreeMap<Blob, Option<Blob>>) -> bool {
    let all = |ops: &[StoreOp]| {
        let mut keys = seen.iter();
        keys.all(|(key, value)| ops.iter().any(|op| does(op, key, value.as_ref())))
    };
    match &operation.call {
        Call::Store(StoreCall::One(op)) => all(std::slice::from_ref(op)),
        Call::Store(StoreCall::Txn {
            success, failure, ..
        }) => all(success) || all(failure),
        _ => false,
    }
}

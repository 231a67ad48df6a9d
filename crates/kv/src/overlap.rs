//! Whether a transaction writes a key twice.
//!
//! Refused are two puts of a key, and a put of a key that the same transaction deletes, at any depth;
//! the two branches of one transaction may write the same keys, since only one runs. Deletions may
//! overlap one another. Two details follow etcd: a nested transaction's puts are held against the
//! deletions of its own level's parent and of the transactions before it in the list, not of those
//! after it. One does not: a deletion of everything from a key on (`range_end` "\0") counts as what it
//! is, where etcd overlooks it and may then fail in the middle of applying.
//!
//! Deletions are kept as disjoint intervals in order, so that n operations cost n log n.

use std::collections::{BTreeMap, BTreeSet};

use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::{RequestOp, TxnRequest};

use crate::error::KvError;

/// The keys that a list of operations may put, and the ranges that it may delete.
#[derive(Default)]
struct Writes<'a> {
    puts: BTreeSet<&'a [u8]>,
    deletions: Intervals<'a>,
}

pub(crate) fn check_overlap(operations: &[RequestOp]) -> Result<(), KvError> {
    writes_of(operations).map(|_| ())
}

fn writes_of(operations: &[RequestOp]) -> Result<Writes<'_>, KvError> {
    let mut writes = Writes::default();
    for operation in operations {
        if let Some(Request::RequestDeleteRange(delete)) = &operation.request {
            writes
                .deletions
                .insert(&delete.key, Upper::of(&delete.key, &delete.range_end));
        }
    }
    for operation in operations {
        if let Some(Request::RequestTxn(txn)) = &operation.request {
            writes.add_txn(txn)?;
        }
    }
    for operation in operations {
        if let Some(Request::RequestPut(put)) = &operation.request {
            writes.add_put(&put.key)?;
        }
    }
    Ok(writes)
}

impl<'a> Writes<'a> {
    /// Either branch may run, but not both: each is held against what stood before.
    fn add_txn(&mut self, txn: &'a TxnRequest) -> Result<(), KvError> {
        let success = writes_of(&txn.success)?;
        let failure = writes_of(&txn.failure)?;
        success
            .puts
            .iter()
            .try_for_each(|key| self.check_put(key))?;
        failure
            .puts
            .iter()
            .try_for_each(|key| self.check_put(key))?;
        for branch in [success, failure] {
            self.puts.extend(branch.puts);
            for (start, end) in branch.deletions.0 {
                self.deletions.insert(start, end);
            }
        }
        Ok(())
    }

    fn add_put(&mut self, key: &'a [u8]) -> Result<(), KvError> {
        self.check_put(key)?;
        self.puts.insert(key);
        Ok(())
    }

    fn check_put(&self, key: &[u8]) -> Result<(), KvError> {
        if self.puts.contains(key) || self.deletions.contains(key) {
            return Err(KvError::DuplicateKey);
        }
        Ok(())
    }
}

/// Where an interval ends.
#[derive(Clone, Copy)]
enum Upper<'a> {
    /// With this key.
    With(&'a [u8]),
    /// Before this key.
    Before(&'a [u8]),
    Never,
}

impl<'a> Upper<'a> {
    fn of(key: &'a [u8], range_end: &'a [u8]) -> Upper<'a> {
        match range_end {
            [] => Upper::With(key),
            [0] => Upper::Never,
            _ => Upper::Before(range_end),
        }
    }

    fn is_after(self, key: &[u8]) -> bool {
        match self {
            Upper::With(last) => key <= last,
            Upper::Before(end) => key < end,
            Upper::Never => true,
        }
    }

    /// The one that reaches further.
    fn max(self, other: Upper<'a>) -> Upper<'a> {
        match (self, other) {
            (Upper::Never, _) | (_, Upper::Never) => Upper::Never,
            (Upper::With(a), Upper::With(b)) => Upper::With(a.max(b)),
            (Upper::Before(a), Upper::Before(b)) => Upper::Before(a.max(b)),
            (Upper::With(last), before @ Upper::Before(_))
            | (before @ Upper::Before(_), Upper::With(last)) => {
                if before.is_after(last) {
                    before
                } else {
                    Upper::With(last)
                }
            }
        }
    }
}

/// Disjoint intervals by their start.
#[derive(Default)]
struct Intervals<'a>(BTreeMap<&'a [u8], Upper<'a>>);

impl<'a> Intervals<'a> {
    fn insert(&mut self, start: &'a [u8], end: Upper<'a>) {
        if !end.is_after(start) {
            return;
        }
        let (mut start, mut end) = (start, end);
        if let Some((&before, &its_end)) = self.0.range(..=start).next_back()
            && its_end.is_after(start)
        {
            start = before;
            end = end.max(its_end);
        }
        while let Some((&after, &its_end)) = self.0.range(start..).next()
            && end.is_after(after)
        {
            self.0.remove(after);
            end = end.max(its_end);
        }
        self.0.insert(start, end);
    }

    fn contains(&self, key: &[u8]) -> bool {
        let before = self.0.range(..=key).next_back();
        before.is_some_and(|(_, end)| end.is_after(key))
    }
}

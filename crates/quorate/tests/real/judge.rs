//! Whether a history may stand, judged thrice.
//!
//! 1. **Nothing acknowledged is lost**: every answer names a revision; the store, asked at the end
//!    what the key was at that revision, must say the same ([`as_the_store_remembers`]). Nothing
//!    is compacted, so it remembers all of them.
//! 2. **Revisions respect time**: an operation that began after another had ended is at no lower
//!    revision, a write at a higher one; no revision has two writes, and no write two revisions
//!    ([`revisions_in_order`]). Together with the first this finds every stale read.
//! 3. **The checker** looks for an order of all operations on a key that explains the answers. It
//!    knows nothing of revisions, nor of anything else that the server says of itself.

use std::collections::HashMap;

use bytes::Bytes;
use quorate_proto::etcdserverpb::{RangeRequest, RequestOp, TxnRequest, request_op, response_op};

use crate::check::{keep, linearizable};
use crate::cluster::{Cluster, PATIENCE, runtime};
use crate::history::{Action, Operation, Outcome, Value, Version};
use crate::workload::client;

/// Operations in a transaction (etcd's `--max-txn-ops`).
const GETS_AT_A_TIME: usize = 128;

/// How many operations had what end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) reads: usize,
    pub(crate) writes: usize,
    pub(crate) unknown: usize,
}

impl Count {
    /// Adds another.
    pub(crate) fn add(&mut self, other: Count) {
        self.reads += other.reads;
        self.writes += other.writes;
        self.unknown += other.unknown;
    }

    fn of(operations: &[Operation]) -> Count {
        let count = |is_it: fn(&Outcome) -> bool| {
            let outcomes = operations.iter().map(|operation| &operation.outcome);
            outcomes.filter(|outcome| is_it(outcome)).count()
        };
        Count {
            reads: count(|outcome| matches!(outcome, Outcome::Found { .. })),
            writes: count(|outcome| matches!(outcome, Outcome::Written { .. })),
            unknown: count(|outcome| matches!(outcome, Outcome::Unknown)),
        }
    }
}

/// Fails the test unless the history may stand. All nodes run.
pub(crate) fn judge(cluster: &Cluster, operations: &[Operation]) -> Count {
    let count = Count::of(operations);
    assert!(
        count.writes > 0 && count.reads > 0,
        "nothing was judged: {count:?}"
    );
    cluster.wait_until_equal();
    let remembered = cluster.nodes.iter().try_for_each(|node| {
        as_the_store_remembers(&node.endpoint(), operations)
            .map_err(|wrong| format!("asked at the end, {} {wrong}", node.name))
    });
    let verdict = remembered
        .and_then(|()| revisions_in_order(operations))
        .and_then(|()| linearizable(operations));
    if let Err(wrong) = verdict {
        panic!("{wrong}; the history is in {}", keep(operations).display());
    }
    count
}

/// Asks the node at `endpoint` for every key at the revision of every answer.
pub(crate) fn as_the_store_remembers(
    endpoint: &str,
    operations: &[Operation],
) -> Result<(), String> {
    let answered: Vec<&Operation> = operations
        .iter()
        .filter(|operation| operation.revision().is_some())
        .collect();
    runtime().block_on(async {
        let client = client(endpoint, PATIENCE);
        for some in answered.chunks(GETS_AT_A_TIME) {
            let success = some.iter().map(|operation| at_its_revision(operation));
            let request = TxnRequest {
                success: success.collect(),
                ..Default::default()
            };
            let answer = client
                .txn(request)
                .await
                .unwrap_or_else(|error| panic!("{endpoint} does not answer: {error}"));
            for (operation, response) in some.iter().zip(answer.responses) {
                let Some(response_op::Response::ResponseRange(range)) = response.response else {
                    panic!("a get answers with a range");
                };
                let remembered = range.kvs.first().map(|pair| {
                    let value = Value::of(&pair.value);
                    (value, pair.mod_revision)
                });
                let told = operation.version();
                let told = told.map(|version| (Some(version.value), version.mod_revision));
                if remembered != told {
                    return Err(format!("remembers {remembered:?} of {operation:?}"));
                }
            }
        }
        Ok(())
    })
}

fn at_its_revision(operation: &Operation) -> RequestOp {
    let get = RangeRequest {
        key: Bytes::from(operation.key.clone()),
        revision: operation.revision().expect("it was answered"),
        ..Default::default()
    };
    RequestOp {
        request: Some(request_op::Request::RequestRange(get)),
    }
}

/// That revisions fit the times, and belong to one write each.
pub(crate) fn revisions_in_order(operations: &[Operation]) -> Result<(), String> {
    let mut by_call: Vec<&Operation> = operations
        .iter()
        .filter(|operation| operation.revision().is_some())
        .collect();
    let mut by_return = by_call.clone();
    by_call.sort_by_key(|operation| operation.called);
    by_return.sort_by_key(|operation| operation.returned);
    let mut ended = by_return.into_iter().peekable();
    let mut latest: Option<&Operation> = None;
    for operation in &by_call {
        while let Some(before) = ended.next_if(|before| before.returned < operation.called) {
            if latest.is_none_or(|latest| latest.revision() < before.revision()) {
                latest = Some(before);
            }
        }
        let Some(latest) = latest else { continue };
        let is_late_enough = match operation.is_written() {
            true => operation.revision() > latest.revision(),
            false => operation.revision() >= latest.revision(),
        };
        if !is_late_enough {
            return Err(format!(
                "{operation:?} comes after {latest:?} but has no later revision"
            ));
        }
    }
    one_revision_each(&by_call)
}

fn one_revision_each(operations: &[&Operation]) -> Result<(), String> {
    let mut revisions: HashMap<Value, i64> = HashMap::new();
    let mut values: HashMap<i64, Value> = HashMap::new();
    for operation in operations {
        if let (Action::Swap { expected, .. }, Outcome::Found { version, .. }) =
            (operation.action, operation.outcome)
            && version.map(|version| version.value) == expected
        {
            return Err(format!("{operation:?} found what it expected"));
        }
        let Some(version) = operation.version() else {
            continue;
        };
        let Version {
            value,
            mod_revision,
        } = version;
        let revision = *revisions.entry(value).or_insert(mod_revision);
        let same = *values.entry(mod_revision).or_insert(value);
        if (revision, same) != (mod_revision, value) {
            return Err(format!(
                "{operation:?}, but {value:?} was written at {revision}, and {same:?} at {mod_revision}"
            ));
        }
    }
    Ok(())
}

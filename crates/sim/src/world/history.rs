//! What clients asked and were told, for the checker: it knows nothing of this world or of the core.
//!
//! Each linearizable read reads the keys that everybody writes, so what a read found is judged too. An
//! operation whose client was not told its fate stays open: it may have happened, or happen later.

use quorate_checker::{
    Compare, History, KeyValue, OpAnswer, OpId, Outcome as Told, Relation, StoreAnswer, StoreBody,
    StoreCall, StoreOp, Target, check_revisions,
};
use quorate_kv::{Reply, Store};
use quorate_proto::etcdserverpb::{RangeRequest, ResponseHeader};

use super::World;
use super::clients::{Asked, Op, Outcome, unique_key};
use super::leases::key_on_lease;

/// The keys that everybody writes, and the first key after them.
const SHARED: (&str, &str) = ("s/", "s0");

/// One of them as a read found it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    key: Vec<u8>,
    /// The operation that wrote it.
    by: String,
    mod_revision: i64,
    create_revision: i64,
    version: i64,
}

/// What the shared keys hold now.
pub(super) fn read_shared(store: &Store) -> Vec<Found> {
    let found = store.range(&RangeRequest {
        key: SHARED.0.into(),
        range_end: SHARED.1.into(),
        ..RangeRequest::default()
    });
    let kvs = found.expect("a read of now is always allowed").kvs;
    let found = kvs.into_iter().map(|kv| Found {
        by: number_in(&kv.value),
        key: kv.key.to_vec(),
        mod_revision: kv.mod_revision,
        create_revision: kv.create_revision,
        version: kv.version,
    });
    found.collect()
}

/// The operation that wrote this value.
fn number_in(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let number = text.trim_start_matches('0');
    if number.is_empty() { "0" } else { number }.to_owned()
}

impl World {
    /// At the end: what all clients were told is explained by one order of what they asked.
    pub fn judge_history(&self) {
        let verdict = check_revisions(&self.history());
        assert!(
            verdict.is_linearizable(),
            "what clients were told is not linearizable: {verdict:?}"
        );
    }

    fn history(&self) -> History {
        let mut history = History::new();
        let mut moments = Vec::new();
        for (number, op) in self.ops.iter().enumerate() {
            if is_left_out(&op.asked) {
                continue;
            }
            moments.push((op.begun.as_nanos(), false, number));
            moments.extend(op.ended.map(|ended| (ended.as_nanos(), true, number)));
        }
        // At one time what is asked comes before what is told, lest an order be seen that was none.
        moments.sort_unstable();
        let mut ids: Vec<Option<OpId>> = vec![None; self.ops.len()];
        for (time, is_end, number) in moments {
            let op = &self.ops[number];
            match ids[number] {
                Some(id) if is_end => {
                    let told = self.told(op);
                    let recorded = history.complete(id, told, time);
                    recorded.expect("each operation ends once, after it began");
                }
                _ => {
                    let client = op.client.map_or(u64::MAX, |client| client as u64);
                    ids[number] = Some(history.invoke_store(client, call(number, op), time));
                }
            }
        }
        history
    }

    fn told(&self, op: &Op) -> Told {
        match &op.outcome {
            Some(Outcome::Acknowledged(reply)) => Told::Store(answer(reply)),
            Some(Outcome::ReadAt(revision)) => {
                let kvs = op.found.iter().map(|found| KeyValue {
                    key: found.key.clone().into(),
                    value: found.by.clone().into(),
                    mod_revision: found.mod_revision,
                    create_revision: found.create_revision,
                    version: found.version,
                });
                let kvs = kvs.collect();
                Told::Store(StoreAnswer {
                    revision: *revision,
                    body: StoreBody::One(OpAnswer::Get { kvs, more: false }),
                })
            }
            // A frame that came twice may bring a request again after it was refused.
            _ if op.had_no_effect() && self.network.duplicated == 0 => Told::Failed,
            _ => Told::Unknown,
        }
    }
}

/// Whether the checker does not know it. What a lease takes away, it takes as the lease's end.
fn is_left_out(asked: &Asked) -> bool {
    matches!(
        asked,
        Asked::Raw
            | Asked::GrantLease(_)
            | Asked::RenewLease(_)
            | Asked::TimeOfLease(_)
            | Asked::RevokeLease(_)
    )
}

fn call(number: usize, op: &Op) -> StoreCall {
    let put = |key: String| StoreOp::Put {
        key: key.into(),
        value: number.to_string().into(),
        lease: 0,
    };
    let shared = |key: u64| format!("{}{key}", SHARED.0);
    match op.asked {
        Asked::PutUnique => StoreCall::One(put(unique_key(number))),
        Asked::PutOnLease(lease) => StoreCall::One(StoreOp::Put {
            key: key_on_lease(lease, number).into(),
            value: number.to_string().into(),
            lease,
        }),
        Asked::PutShared(key) => StoreCall::One(put(shared(key))),
        Asked::DeleteShared(key) => StoreCall::One(StoreOp::Delete {
            key: shared(key).into(),
            range_end: None,
        }),
        Asked::Txn(key, version) => StoreCall::Txn {
            compare: vec![Compare {
                key: shared(key).into(),
                target: Target::Version(version),
                result: Relation::Equal,
            }],
            success: vec![put(shared(key))],
            failure: Vec::new(),
        },
        Asked::Compact(revision) => StoreCall::Compact { revision },
        Asked::Read => StoreCall::One(StoreOp::Get {
            key: SHARED.0.into(),
            range_end: Some(SHARED.1.into()),
            at_revision: 0,
            limit: 0,
            serializable: false,
        }),
        Asked::Raw
        | Asked::GrantLease(_)
        | Asked::RenewLease(_)
        | Asked::TimeOfLease(_)
        | Asked::RevokeLease(_) => unreachable!("is left out"),
    }
}

fn answer(reply: &Reply) -> StoreAnswer {
    let revision = |header: &Option<ResponseHeader>| {
        let header = header.as_ref().expect("answers have headers");
        header.revision
    };
    let (header, body) = match reply {
        Reply::Put(put) => (&put.header, StoreBody::One(OpAnswer::Put {})),
        Reply::DeleteRange(deletion) => {
            let deleted = deletion.deleted;
            (
                &deletion.header,
                StoreBody::One(OpAnswer::Delete { deleted }),
            )
        }
        Reply::Txn(txn) => {
            let answers = txn.responses.iter().map(|_| OpAnswer::Put {}).collect();
            let succeeded = txn.succeeded;
            (&txn.header, StoreBody::Txn { succeeded, answers })
        }
        Reply::Compact(compaction) => (&compaction.header, StoreBody::Compacted),
        Reply::LeaseGrant(_)
        | Reply::LeaseRevoke(_)
        | Reply::LeaseCheckpoint(_)
        | Reply::Alarm(_) => unreachable!("no client of a world asks for it"),
    };
    StoreAnswer {
        revision: revision(header),
        body,
    }
}

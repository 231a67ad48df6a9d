//! What happened, as the judge of watchers works it out for itself: from the commands that members were given to apply,
//! and from nothing that a store says of them.
//!
//! It keeps every event for ever and knows only what the clients of worlds ask for. Commands come from whichever member
//! is given them first. They come to all of them: a store has what was applied to it, or to the one whose snapshot it
//! was loaded from.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message as _;
use quorate_proto::envelope::{CommandEnvelope, CommandKind, RequestId};
use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest, TxnRequest,
};
use quorate_proto::mvccpb::KeyValue;
use quorate_raft::{Entry, Payload};

/// One change of a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Happened {
    pub(super) is_delete: bool,
    /// What was written; of a deletion key and revision alone.
    pub(super) kv: KeyValue,
    /// What the key had at the revision before.
    pub(super) previous: Option<KeyValue>,
}

/// All that happened.
#[derive(Debug)]
pub(super) struct Model {
    /// What each revision changed, at its place.
    pub(super) history: Vec<Vec<Happened>>,
    keys: BTreeMap<Bytes, KeyValue>,
    leases: BTreeSet<i64>,
    requests: BTreeSet<RequestId>,
    next_index: u64,
    /// Entries that came before one that lies before them.
    waiting: BTreeMap<u64, Payload>,
}

impl Model {
    pub(super) fn new() -> Model {
        Model {
            // Nothing is written at revisions zero and one.
            history: vec![Vec::new(); 2],
            keys: BTreeMap::new(),
            leases: BTreeSet::new(),
            requests: BTreeSet::new(),
            next_index: 1,
            waiting: BTreeMap::new(),
        }
    }

    /// The last revision that is known of.
    pub(super) fn revision(&self) -> i64 {
        self.history.len() as i64 - 1
    }

    /// A member is given entries to apply, which others may have been given before.
    pub(super) fn committed(&mut self, entries: &[Entry]) {
        for entry in entries {
            if entry.index.0 >= self.next_index {
                self.waiting.insert(entry.index.0, entry.payload.clone());
            }
        }
        while let Some(payload) = self.waiting.remove(&self.next_index) {
            self.next_index += 1;
            if let Payload::Command(bytes) = payload {
                self.apply(&bytes);
            }
        }
    }

    fn apply(&mut self, bytes: &Bytes) {
        let envelope = CommandEnvelope::decode(bytes).expect("it is what a member proposed");
        let request = envelope.request_id;
        if request.sequence > 0 && !self.requests.insert(request) {
            return;
        }
        let body = envelope.body;
        let mut events = Vec::new();
        // What no version of its kind can be is passed over, and so is what has nothing to do with keys.
        match envelope.kind {
            CommandKind::Put => {
                if let Ok(put) = PutRequest::decode(body) {
                    self.put(&put, &mut events);
                }
            }
            CommandKind::DeleteRange => {
                if let Ok(deletion) = DeleteRangeRequest::decode(body) {
                    self.delete(&deletion, &mut events);
                }
            }
            CommandKind::Txn => {
                if let Ok(txn) = TxnRequest::decode(body) {
                    self.txn(txn, &mut events);
                }
            }
            CommandKind::LeaseGrant => {
                let id = LeaseGrantRequest::decode(body).map(|grant| grant.id);
                self.leases.extend(id);
            }
            CommandKind::LeaseRevoke => {
                if let Ok(revocation) = LeaseRevokeRequest::decode(body)
                    && self.leases.remove(&revocation.id)
                {
                    self.delete_where(|kv| kv.lease == revocation.id, &mut events);
                }
            }
            _ => {}
        }
        if !events.is_empty() {
            self.history.push(events);
        }
    }

    fn put(&mut self, request: &PutRequest, events: &mut Vec<Happened>) {
        if request.lease != 0 && !self.leases.contains(&request.lease) {
            return;
        }
        let revision = self.revision() + 1;
        let previous = self.keys.get(&request.key).cloned();
        let kv = KeyValue {
            key: request.key.clone(),
            value: request.value.clone(),
            lease: request.lease,
            mod_revision: revision,
            create_revision: previous.as_ref().map_or(revision, |kv| kv.create_revision),
            version: previous.as_ref().map_or(1, |kv| kv.version + 1),
        };
        self.keys.insert(request.key.clone(), kv.clone());
        events.push(Happened {
            is_delete: false,
            kv,
            previous,
        });
    }

    fn delete(&mut self, request: &DeleteRangeRequest, events: &mut Vec<Happened>) {
        let (key, end) = (request.key.clone(), request.range_end.clone());
        self.delete_where(|kv| is_within(&kv.key, &key, &end), events);
    }

    fn delete_where(&mut self, is_gone: impl Fn(&KeyValue) -> bool, events: &mut Vec<Happened>) {
        let mod_revision = self.revision() + 1;
        let gone = self.keys.extract_if(.., |_, kv| is_gone(kv));
        events.extend(gone.map(|(key, previous)| Happened {
            is_delete: true,
            kv: KeyValue {
                key,
                mod_revision,
                ..KeyValue::default()
            },
            previous: Some(previous),
        }));
    }

    fn txn(&mut self, request: TxnRequest, events: &mut Vec<Happened>) {
        let holds = request.compare.iter().all(|compare| self.holds(compare));
        let operations = if holds {
            request.success
        } else {
            request.failure
        };
        for operation in operations {
            match operation.request {
                Some(Request::RequestPut(put)) => self.put(&put, events),
                Some(Request::RequestDeleteRange(deletion)) => self.delete(&deletion, events),
                Some(Request::RequestRange(_)) | None => {}
                Some(Request::RequestTxn(_)) => unreachable!("no client of a world nests any"),
            }
        }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let Some(TargetUnion::Version(version)) = compare.target_union else {
            unreachable!("no client of a world compares anything else: {compare:?}");
        };
        let is_known = compare.target() == CompareTarget::Version
            && compare.result() == CompareResult::Equal
            && compare.range_end.is_empty();
        assert!(is_known, "no client of a world asks for {compare:?}");
        self.keys.get(&compare.key).map_or(0, |kv| kv.version) == version
    }
}

/// Whether a key lies in a range, in etcd's notation.
pub(super) fn is_within(key: &[u8], start: &[u8], end: &[u8]) -> bool {
    match end {
        b"" => key == start,
        b"\0" => key >= start,
        _ => key >= start && key < end,
    }
}

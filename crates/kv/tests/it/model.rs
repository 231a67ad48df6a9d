//! A model of the store that keeps every version in one list and computes everything anew. It is slow
//! and plain on purpose: where it and the store differ, one of them is wrong, and this one can be read.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use quorate_kv::{Command, KvError, Reply};
use quorate_proto::etcdserverpb::alarm_request::AlarmAction;
use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::response_op::Response;
use quorate_proto::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmResponse, AlarmType, CompactionResponse, Compare,
    DeleteRangeRequest, DeleteRangeResponse, LeaseCheckpointResponse, LeaseGrantRequest,
    LeaseGrantResponse, LeaseRevokeResponse, PutRequest, PutResponse, RangeRequest, RangeResponse,
    RequestOp, ResponseHeader, ResponseOp, TxnRequest, TxnResponse,
};
use quorate_proto::mvccpb::event::EventType;
use quorate_proto::mvccpb::{Event, KeyValue};

type View = BTreeMap<Bytes, KeyValue>;

#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// Every write: its revision, its key, and what it left.
    writes: Vec<(i64, Bytes, Option<KeyValue>)>,
    pub(crate) revision: i64,
    pub(crate) compacted: i64,
    /// Granted and remaining time of each lease, the latter 0 if there was no checkpoint.
    pub(crate) leases: BTreeMap<i64, (i64, i64)>,
    pub(crate) alarms: BTreeSet<(i32, u64)>,
}

fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader {
        revision,
        ..ResponseHeader::default()
    })
}

fn within(key: &[u8], start: &[u8], end: &[u8]) -> bool {
    match end {
        [] => key == start,
        [0] => key >= start,
        _ => key >= start && key < end,
    }
}

impl Model {
    pub(crate) fn new() -> Model {
        Model {
            writes: Vec::new(),
            revision: 1,
            compacted: -1,
            leases: BTreeMap::new(),
            alarms: BTreeSet::new(),
        }
    }

    /// The events from one revision to another, both included.
    pub(crate) fn events(
        &self,
        (key, range_end): (&[u8], &[u8]),
        (from, to): (i64, i64),
        with_previous: bool,
    ) -> Vec<Event> {
        let wanted = self.writes.iter().filter(|(revision, written, _)| {
            (from..=to).contains(revision) && within(written, key, range_end)
        });
        let event = |(revision, key, pair): &(i64, Bytes, Option<KeyValue>)| {
            let before = revision - 1;
            let is_kept = with_previous && before >= self.compacted;
            let deleted = KeyValue {
                key: key.clone(),
                mod_revision: *revision,
                ..KeyValue::default()
            };
            Event {
                r#type: if pair.is_some() {
                    EventType::Put
                } else {
                    EventType::Delete
                }
                .into(),
                kv: Some(pair.clone().unwrap_or(deleted)),
                prev_kv: is_kept.then(|| self.at(key, before)).flatten(),
            }
        };
        wanted.map(event).collect()
    }

    /// The keys that hang on a lease.
    pub(crate) fn lease_keys(&self, id: i64) -> Vec<Bytes> {
        let mut view = self.view(self.revision);
        view.retain(|_, pair| pair.lease == id);
        view.into_keys().collect()
    }

    pub(crate) fn alarms(&self, kind: AlarmType) -> Vec<AlarmMember> {
        let wanted = |(on, _): &&(i32, u64)| kind == AlarmType::None || *on == kind as i32;
        let alarms = self.alarms.iter().filter(wanted);
        let member = |&(alarm, member_id): &(i32, u64)| AlarmMember { member_id, alarm };
        alarms.map(member).collect()
    }

    fn is_on(&self, kind: AlarmType) -> bool {
        !self.alarms(kind).is_empty()
    }

    fn check_alarms(&self, command: &Command) -> Result<(), KvError> {
        let takes_space = match command {
            Command::Alarm(_) | Command::LeaseCheckpoint(_) => return Ok(()),
            Command::Put(_) | Command::LeaseGrant(_) => true,
            Command::Txn(txn) => puts(txn),
            _ => false,
        };
        if self.is_on(AlarmType::Corrupt) {
            Err(KvError::Corrupt)
        } else if takes_space && self.is_on(AlarmType::Nospace) {
            Err(KvError::NoSpace)
        } else {
            Ok(())
        }
    }

    fn grant(&mut self, request: &LeaseGrantRequest) -> Result<LeaseGrantResponse, KvError> {
        let (id, ttl) = (request.id, request.ttl.max(1));
        if id == 0 {
            return Err(KvError::LeaseNotFound);
        }
        if ttl > 9_000_000_000 {
            return Err(KvError::LeaseTtlTooLarge);
        }
        if self.leases.contains_key(&id) {
            return Err(KvError::LeaseExists);
        }
        self.leases.insert(id, (ttl, 0));
        Ok(LeaseGrantResponse {
            header: header(self.revision),
            id,
            ttl,
            error: String::new(),
        })
    }

    fn revoke(&mut self, id: i64) -> Result<LeaseRevokeResponse, KvError> {
        let keys = self.lease_keys(id);
        if self.leases.remove(&id).is_none() {
            return Err(KvError::LeaseNotFound);
        }
        for key in keys {
            self.writes.push((self.revision + 1, key, None));
        }
        Ok(LeaseRevokeResponse {
            header: header(self.inner_revision()),
        })
    }

    fn alarm(&mut self, request: &AlarmRequest) -> AlarmResponse {
        let alarm = (request.alarm, request.member_id);
        let alarms = match request.action() {
            AlarmAction::Get => self.alarms(request.alarm()),
            _ if request.alarm() == AlarmType::None => Vec::new(),
            AlarmAction::Deactivate if !self.alarms.remove(&alarm) => Vec::new(),
            action => {
                if action == AlarmAction::Activate {
                    self.alarms.insert(alarm);
                }
                vec![AlarmMember {
                    member_id: alarm.1,
                    alarm: alarm.0,
                }]
            }
        };
        AlarmResponse {
            header: header(self.revision),
            alarms,
        }
    }

    fn view(&self, revision: i64) -> View {
        let mut view = View::new();
        for (written, key, pair) in &self.writes {
            if *written <= revision {
                match pair {
                    Some(pair) => view.insert(key.clone(), pair.clone()),
                    None => view.remove(key),
                };
            }
        }
        view
    }

    /// What `key` had at `revision`.
    fn at(&self, key: &[u8], revision: i64) -> Option<KeyValue> {
        let mut writes = self.writes.iter().rev();
        let write = writes.find(|(written, changed, _)| *written <= revision && changed == key)?;
        write.2.clone()
    }

    /// The revision inside a transaction: the next one once something is written.
    fn inner_revision(&self) -> i64 {
        self.writes
            .last()
            .map_or(self.revision, |(written, ..)| self.revision.max(*written))
    }

    pub(crate) fn apply(&mut self, command: &Command) -> Result<Reply, KvError> {
        self.check_alarms(command)?;
        let reply = match command {
            Command::Put(request) => {
                self.check_lease(request.lease)?;
                self.check_put(request)?;
                Reply::Put(self.put(request))
            }
            Command::DeleteRange(request) => Reply::DeleteRange(self.delete(request)),
            Command::Txn(request) => Reply::Txn(self.txn(request)?),
            Command::Compact(request) => {
                if request.revision <= self.compacted {
                    return Err(KvError::Compacted);
                }
                if request.revision > self.revision {
                    return Err(KvError::FutureRevision);
                }
                self.compacted = request.revision;
                Reply::Compact(CompactionResponse {
                    header: header(self.revision),
                })
            }
            Command::LeaseGrant(request) => Reply::LeaseGrant(self.grant(request)?),
            Command::LeaseRevoke(request) => Reply::LeaseRevoke(self.revoke(request.id)?),
            Command::LeaseCheckpoint(request) => {
                for checkpoint in &request.checkpoints {
                    if let Some((granted, remaining)) = self.leases.get_mut(&checkpoint.id) {
                        let is_part = (1..*granted).contains(&checkpoint.remaining_ttl);
                        *remaining = if is_part { checkpoint.remaining_ttl } else { 0 };
                    }
                }
                Reply::LeaseCheckpoint(LeaseCheckpointResponse {
                    header: header(self.revision),
                })
            }
            Command::Alarm(request) => Reply::Alarm(self.alarm(request)),
        };
        self.revision = self.inner_revision();
        Ok(reply)
    }

    fn check_put(&self, request: &PutRequest) -> Result<(), KvError> {
        let keeps = request.ignore_value || request.ignore_lease;
        if keeps && self.at(&request.key, self.revision).is_none() {
            return Err(KvError::KeyNotFound);
        }
        self.check_lease(request.lease)
    }

    fn check_lease(&self, lease: i64) -> Result<(), KvError> {
        if lease == 0 || self.leases.contains_key(&lease) {
            Ok(())
        } else {
            Err(KvError::LeaseNotFound)
        }
    }

    fn put(&mut self, request: &PutRequest) -> PutResponse {
        let next = self.revision + 1;
        let before = self.at(&request.key, next);
        let pair = KeyValue {
            key: request.key.clone(),
            create_revision: before.as_ref().map_or(next, |pair| pair.create_revision),
            mod_revision: next,
            version: before.as_ref().map_or(1, |pair| pair.version + 1),
            value: match (&before, request.ignore_value) {
                (Some(before), true) => before.value.clone(),
                _ => request.value.clone(),
            },
            lease: match (&before, request.ignore_lease) {
                (Some(before), true) => before.lease,
                _ => request.lease,
            },
        };
        self.writes.push((next, request.key.clone(), Some(pair)));
        PutResponse {
            header: header(next),
            prev_kv: before.filter(|_| request.prev_kv),
        }
    }

    fn delete(&mut self, request: &DeleteRangeRequest) -> DeleteRangeResponse {
        let mut view = self.view(self.revision + 1);
        view.retain(|key, _| within(key, &request.key, &request.range_end));
        for key in view.keys() {
            self.writes.push((self.revision + 1, key.clone(), None));
        }
        DeleteRangeResponse {
            header: header(self.inner_revision()),
            deleted: view.len() as i64,
            prev_kvs: if request.prev_kv {
                view.into_values().collect()
            } else {
                Vec::new()
            },
        }
    }

    fn txn(&mut self, request: &TxnRequest) -> Result<TxnResponse, KvError> {
        let before = self.clone();
        before.check_branch(request, &|operation| match operation {
            Request::RequestPut(put) => before.check_put(put),
            _ => Ok(()),
        })?;
        before.check_branch(request, &|operation| match operation {
            Request::RequestRange(range) if range.revision < 0 => {
                match range.revision < before.compacted {
                    true => Err(KvError::Compacted),
                    false => Ok(()),
                }
            }
            Request::RequestRange(range) => before.check_revision(range),
            _ => Ok(()),
        })?;
        let mut response = self.run_txn(request, &before);
        response.header = header(self.inner_revision());
        Ok(response)
    }

    fn branch<'a>(&self, request: &'a TxnRequest) -> (bool, &'a [RequestOp]) {
        let succeeded = request.compare.iter().all(|compare| self.holds(compare));
        (
            succeeded,
            if succeeded {
                &request.success
            } else {
                &request.failure
            },
        )
    }

    fn check_branch(
        &self,
        request: &TxnRequest,
        check: &dyn Fn(&Request) -> Result<(), KvError>,
    ) -> Result<(), KvError> {
        for operation in self.branch(request).1 {
            match operation.request.as_ref().unwrap() {
                Request::RequestTxn(nested) => self.check_branch(nested, check)?,
                other => check(other)?,
            }
        }
        Ok(())
    }

    fn run_txn(&mut self, request: &TxnRequest, before: &Model) -> TxnResponse {
        let (succeeded, operations) = before.branch(request);
        let mut responses = Vec::new();
        for operation in operations {
            let response = match operation.request.as_ref().unwrap() {
                Request::RequestPut(put) => Response::ResponsePut(self.put(put)),
                Request::RequestDeleteRange(delete) => {
                    Response::ResponseDeleteRange(self.delete(delete))
                }
                Request::RequestRange(range) => {
                    Response::ResponseRange(self.read(range, self.inner_revision()))
                }
                Request::RequestTxn(txn) => Response::ResponseTxn(self.run_txn(txn, before)),
            };
            responses.push(ResponseOp {
                response: Some(response),
            });
        }
        TxnResponse {
            header: Some(ResponseHeader::default()),
            succeeded,
            responses,
        }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let mut view = self.view(self.revision);
        view.retain(|key, _| within(key, &compare.key, &compare.range_end));
        if view.is_empty() {
            let zero = KeyValue::default();
            return compare.target() != CompareTarget::Value && holds_for(compare, &zero);
        }
        view.values().all(|pair| holds_for(compare, pair))
    }

    fn check_revision(&self, request: &RangeRequest) -> Result<(), KvError> {
        match request.revision {
            revision if revision > self.revision => Err(KvError::FutureRevision),
            revision if revision > 0 && revision < self.compacted => Err(KvError::Compacted),
            _ => Ok(()),
        }
    }

    pub(crate) fn range(&self, request: &RangeRequest) -> Result<RangeResponse, KvError> {
        if self.is_on(AlarmType::Corrupt) {
            return Err(KvError::Corrupt);
        }
        self.check_revision(request)?;
        Ok(self.read(request, self.revision))
    }

    fn read(&self, request: &RangeRequest, newest: i64) -> RangeResponse {
        let mut view = self.view(if request.revision > 0 {
            request.revision
        } else {
            newest
        });
        view.retain(|key, _| within(key, &request.key, &request.range_end));
        let count = view.len() as i64;
        let mut kvs: Vec<KeyValue> = view.into_values().collect();
        let filtered = [
            request.min_mod_revision,
            request.max_mod_revision,
            request.min_create_revision,
            request.max_create_revision,
        ] != [0; 4];
        let limit = usize::try_from(request.limit).unwrap_or(0);
        if request.sort_order() == SortOrder::None && !filtered && limit > 0 {
            kvs.truncate(limit + 1);
        }
        kvs.retain(|pair| {
            let (modified, created) = (pair.mod_revision, pair.create_revision);
            (request.min_mod_revision == 0 || modified >= request.min_mod_revision)
                && (request.max_mod_revision == 0 || modified <= request.max_mod_revision)
                && (request.min_create_revision == 0 || created >= request.min_create_revision)
                && (request.max_create_revision == 0 || created <= request.max_create_revision)
        });
        kvs.sort_by(|a, b| {
            let ordering = match request.sort_target() {
                SortTarget::Key => a.key.cmp(&b.key),
                SortTarget::Version => a.version.cmp(&b.version),
                SortTarget::Create => a.create_revision.cmp(&b.create_revision),
                SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
                SortTarget::Value => a.value.cmp(&b.value),
            };
            let descends = request.sort_order() == SortOrder::Descend;
            if descends {
                ordering.reverse()
            } else {
                ordering
            }
        });
        if request.count_only {
            kvs.clear();
        }
        let more = limit > 0 && kvs.len() > limit;
        if more {
            kvs.truncate(limit);
        }
        if request.keys_only {
            kvs.iter_mut().for_each(|pair| pair.value.clear());
        }
        RangeResponse {
            header: header(newest),
            kvs,
            more,
            count,
        }
    }
}

fn holds_for(compare: &Compare, pair: &KeyValue) -> bool {
    let ordering = match compare.target_union.as_ref().unwrap() {
        TargetUnion::Version(number) => pair.version.cmp(number),
        TargetUnion::CreateRevision(number) => pair.create_revision.cmp(number),
        TargetUnion::ModRevision(number) => pair.mod_revision.cmp(number),
        TargetUnion::Lease(number) => pair.lease.cmp(number),
        TargetUnion::Value(value) => pair.value.cmp(value),
    };
    match compare.result() {
        CompareResult::Equal => ordering.is_eq(),
        CompareResult::NotEqual => ordering.is_ne(),
        CompareResult::Greater => ordering.is_gt(),
        CompareResult::Less => ordering.is_lt(),
    }
}

/// Whether a transaction may put anything, at any depth.
fn puts(txn: &TxnRequest) -> bool {
    let mut operations = txn.success.iter().chain(&txn.failure);
    operations.any(|operation| match operation.request.as_ref().unwrap() {
        Request::RequestPut(_) => true,
        Request::RequestTxn(txn) => puts(txn),
        _ => false,
    })
}

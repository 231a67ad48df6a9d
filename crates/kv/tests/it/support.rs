//! Requests in few words, and a store that counts its log indexes.

use bytes::Bytes;
use quorate_kv::{Answer, Command, KvError, Reply, SnapshotError, SnapshotLoader, Store};
use quorate_proto::etcdserverpb::alarm_request::AlarmAction;
use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::{
    AlarmRequest, AlarmType, CompactionRequest, Compare, DeleteRangeRequest, DeleteRangeResponse,
    LeaseCheckpoint, LeaseCheckpointRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest,
    PutResponse, RangeRequest, RangeResponse, RequestOp, TxnRequest, TxnResponse,
};
use quorate_proto::mvccpb::KeyValue;

pub(crate) fn bytes(text: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(text.as_ref())
}

pub(crate) fn put(key: &str, value: &str) -> PutRequest {
    PutRequest {
        key: bytes(key),
        value: bytes(value),
        ..PutRequest::default()
    }
}

pub(crate) fn delete(key: &str, range_end: &str) -> DeleteRangeRequest {
    DeleteRangeRequest {
        key: bytes(key),
        range_end: bytes(range_end),
        prev_kv: false,
    }
}

pub(crate) fn range(key: &str, range_end: &str) -> RangeRequest {
    RangeRequest {
        key: bytes(key),
        range_end: bytes(range_end),
        ..RangeRequest::default()
    }
}

pub(crate) fn get(key: &str) -> RangeRequest {
    range(key, "")
}

/// Every key.
pub(crate) fn everything() -> RangeRequest {
    range("\0", "\0")
}

pub(crate) fn compact(revision: i64) -> CompactionRequest {
    CompactionRequest {
        revision,
        physical: false,
    }
}

pub(crate) fn leased(key: &str, value: &str, lease: i64) -> PutRequest {
    PutRequest {
        lease,
        ..put(key, value)
    }
}

pub(crate) fn grant(id: i64, ttl: i64) -> LeaseGrantRequest {
    LeaseGrantRequest { ttl, id }
}

pub(crate) fn revoke(id: i64) -> LeaseRevokeRequest {
    LeaseRevokeRequest { id }
}

/// Ids with the seconds that are left.
pub(crate) fn checkpoint(leases: impl IntoIterator<Item = (i64, i64)>) -> LeaseCheckpointRequest {
    let checkpoints = leases
        .into_iter()
        .map(|(id, remaining_ttl)| LeaseCheckpoint { id, remaining_ttl })
        .collect();
    LeaseCheckpointRequest { checkpoints }
}

pub(crate) fn alarm(action: AlarmAction, kind: AlarmType, member_id: u64) -> AlarmRequest {
    AlarmRequest {
        action: action.into(),
        member_id,
        alarm: kind.into(),
    }
}

/// `if compares then success else failure`.
pub(crate) fn txn(
    compare: impl IntoIterator<Item = Compare>,
    success: impl IntoIterator<Item = RequestOp>,
    failure: impl IntoIterator<Item = RequestOp>,
) -> TxnRequest {
    TxnRequest {
        compare: compare.into_iter().collect(),
        success: success.into_iter().collect(),
        failure: failure.into_iter().collect(),
    }
}

/// A transaction without conditions.
pub(crate) fn all(operations: impl IntoIterator<Item = RequestOp>) -> TxnRequest {
    txn([], operations, [])
}

/// A request as an operation of a transaction.
pub(crate) fn op(request: impl IntoRequest) -> RequestOp {
    RequestOp {
        request: Some(request.into_request()),
    }
}

pub(crate) trait IntoRequest {
    fn into_request(self) -> Request;
}

impl IntoRequest for PutRequest {
    fn into_request(self) -> Request {
        Request::RequestPut(self)
    }
}

impl IntoRequest for RangeRequest {
    fn into_request(self) -> Request {
        Request::RequestRange(self)
    }
}

impl IntoRequest for DeleteRangeRequest {
    fn into_request(self) -> Request {
        Request::RequestDeleteRange(self)
    }
}

impl IntoRequest for TxnRequest {
    fn into_request(self) -> Request {
        Request::RequestTxn(self)
    }
}

pub(crate) fn compare(key: &str, result: CompareResult, operand: TargetUnion) -> Compare {
    let target = match operand {
        TargetUnion::Version(_) => CompareTarget::Version,
        TargetUnion::CreateRevision(_) => CompareTarget::Create,
        TargetUnion::ModRevision(_) => CompareTarget::Mod,
        TargetUnion::Value(_) => CompareTarget::Value,
        TargetUnion::Lease(_) => CompareTarget::Lease,
    };
    Compare {
        key: bytes(key),
        result: result.into(),
        target: target.into(),
        target_union: Some(operand),
        range_end: Bytes::new(),
    }
}

pub(crate) fn version_is(key: &str, version: i64) -> Compare {
    compare(key, CompareResult::Equal, TargetUnion::Version(version))
}

/// A store that numbers its entries itself.
#[derive(Default)]
pub(crate) struct Member {
    pub(crate) store: Store,
    pub(crate) index: u64,
}

impl Member {
    /// A store into which `keys` were put one after the other, each with its own name as value, so
    /// that the first has revision 2.
    pub(crate) fn with_keys(keys: &[&str]) -> Member {
        let mut member = Member::default();
        for key in keys {
            member.put(put(key, key)).unwrap();
        }
        member
    }

    pub(crate) fn apply(&mut self, command: impl Into<Command>) -> Result<Reply, KvError> {
        self.index += 1;
        let result = self
            .store
            .apply(self.index, &command.into(), Answer::Wanted);
        assert_eq!(self.store.applied_index(), self.index);
        result
    }

    pub(crate) fn put(&mut self, request: PutRequest) -> Result<PutResponse, KvError> {
        self.apply(request).map(|reply| match reply {
            Reply::Put(response) => response,
            other => panic!("a put was answered with {other:?}"),
        })
    }

    pub(crate) fn delete(
        &mut self,
        request: DeleteRangeRequest,
    ) -> Result<DeleteRangeResponse, KvError> {
        self.apply(request).map(|reply| match reply {
            Reply::DeleteRange(response) => response,
            other => panic!("a deletion was answered with {other:?}"),
        })
    }

    pub(crate) fn txn(&mut self, request: TxnRequest) -> Result<TxnResponse, KvError> {
        self.apply(request).map(|reply| match reply {
            Reply::Txn(response) => response,
            other => panic!("a transaction was answered with {other:?}"),
        })
    }

    pub(crate) fn compact(&mut self, revision: i64) -> Result<Reply, KvError> {
        self.apply(compact(revision))
    }

    pub(crate) fn range(&self, request: &RangeRequest) -> Result<RangeResponse, KvError> {
        self.store.range(request)
    }

    /// The pair at `key` now.
    pub(crate) fn pair(&self, key: &str) -> Option<KeyValue> {
        self.range(&get(key)).unwrap().kvs.pop()
    }

    /// The pair at `key` as it was at `revision`.
    pub(crate) fn pair_at(&self, key: &str, revision: i64) -> Option<KeyValue> {
        self.range(&RangeRequest {
            revision,
            ..get(key)
        })
        .unwrap()
        .kvs
        .pop()
    }

    /// The keys that a range answers with, separated by spaces.
    pub(crate) fn keys(&self, request: &RangeRequest) -> String {
        keys(&self.range(request).unwrap())
    }

    /// The keys of a lease, separated by spaces.
    pub(crate) fn lease_keys(&self, id: i64) -> String {
        let keys = self.store.lease_keys(id, b"");
        let keys: Vec<_> = keys.map(String::from_utf8_lossy).collect();
        keys.join(" ")
    }

    /// Frees all that can be freed.
    pub(crate) fn free(&mut self) {
        while self.store.free_step(10) {}
    }
}

pub(crate) fn keys(response: &RangeResponse) -> String {
    let keys: Vec<String> = response
        .kvs
        .iter()
        .map(|pair| String::from_utf8_lossy(&pair.key).into_owned())
        .collect();
    keys.join(" ")
}

/// Header revision of an answer.
pub(crate) fn revision(header: &Option<quorate_proto::etcdserverpb::ResponseHeader>) -> i64 {
    header.as_ref().expect("every answer has a header").revision
}

/// All bytes of a snapshot of `store` as it is now.
pub(crate) fn snapshot(store: &mut Store) -> Vec<u8> {
    let mut scan = store.capture_snapshot().unwrap();
    let mut bytes = Vec::new();
    while let Some(step) = store.scan_snapshot(&mut scan, usize::MAX) {
        bytes.extend_from_slice(&step);
    }
    store.end_snapshot(scan);
    bytes
}

/// The store of a snapshot that comes in pieces of `piece_bytes`.
pub(crate) fn load(bytes: &[u8], piece_bytes: usize) -> Result<Store, SnapshotError> {
    let mut loader = SnapshotLoader::new();
    for piece in bytes.chunks(piece_bytes) {
        loader.feed(piece)?;
    }
    loader.finish()
}

//! The least of an etcd that the command line can be tried against: one map, no history.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bytes::Bytes;
use quorate_proto::etcdserverpb::compare::{CompareResult, TargetUnion};
use quorate_proto::etcdserverpb::{
    AlarmRequest, AlarmResponse, CompactionRequest, CompactionResponse, Compare, DefragmentRequest,
    DefragmentResponse, DeleteRangeRequest, DeleteRangeResponse, DowngradeRequest,
    DowngradeResponse, HashKvRequest, HashKvResponse, HashRequest, HashResponse, Member,
    MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse,
    MemberPromoteRequest, MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse,
    MemberUpdateRequest, MemberUpdateResponse, MoveLeaderRequest, MoveLeaderResponse, PutRequest,
    PutResponse, RangeRequest, RangeResponse, RequestOp, ResponseHeader, ResponseOp,
    SnapshotRequest, SnapshotResponse, StatusRequest, StatusResponse, TxnRequest, TxnResponse,
    request_op, response_op,
};
use quorate_proto::mvccpb::KeyValue;
use quorate_server::stubs::cluster_server::{Cluster, ClusterServer};
use quorate_server::stubs::kv_server::{Kv, KvServer};
use quorate_server::stubs::maintenance_server::{Maintenance, MaintenanceServer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// A server on a free port of 127.0.0.1, on a thread of its own, for as long as the test process lives.
pub(crate) struct FakeEtcd {
    pub(crate) endpoint: String,
    state: &'static State,
}

#[derive(Default)]
struct State {
    store: Mutex<Store>,
    refuse_all: AtomicBool,
}

#[derive(Default)]
struct Store {
    revision: i64,
    keys: BTreeMap<Bytes, KeyValue>,
    members: Vec<Member>,
}

/// The one member that is there at first, and leads.
fn first_member() -> Member {
    Member {
        id: 11,
        name: "fake".to_owned(),
        peer_ur_ls: vec!["http://127.0.0.1:1".to_owned()],
        client_ur_ls: vec!["http://127.0.0.1:2".to_owned()],
        is_learner: false,
    }
}

impl FakeEtcd {
    pub(crate) fn start() -> Self {
        let state: &'static State = Box::leak(Box::default());
        state.store.lock().unwrap().revision = 1;
        state.store.lock().unwrap().members = vec![first_member()];
        let (sender, receiver) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender
                    .send(listener.local_addr().unwrap().to_string())
                    .unwrap();
                tonic::transport::Server::builder()
                    .add_service(KvServer::new(Service(state)))
                    .add_service(ClusterServer::new(Service(state)))
                    .add_service(MaintenanceServer::new(Service(state)))
                    .serve_with_incoming(TcpListenerStream::new(listener))
                    .await
                    .unwrap();
            });
        });
        Self {
            endpoint: receiver.recv().unwrap(),
            state,
        }
    }

    /// From now on every request is answered with an error.
    pub(crate) fn refuse_all(&self) {
        self.state.refuse_all.store(true, Ordering::SeqCst);
    }

    pub(crate) fn keys(&self) -> Vec<Bytes> {
        self.state
            .store
            .lock()
            .unwrap()
            .keys
            .keys()
            .cloned()
            .collect()
    }
}

impl Store {
    fn header(&self) -> Option<ResponseHeader> {
        let revision = self.revision;
        Some(ResponseHeader {
            cluster_id: 10,
            member_id: 11,
            revision,
            raft_term: 2,
        })
    }

    /// The member with this id.
    fn member(&mut self, id: u64) -> Result<&mut Member, Status> {
        let found = self.members.iter_mut().find(|member| member.id == id);
        found.ok_or_else(|| Status::not_found("etcdserver: member not found"))
    }

    fn matching(&self, key: &Bytes, end: &Bytes) -> Vec<KeyValue> {
        let inside = |candidate: &Bytes| match end.as_ref() {
            [] => candidate == key,
            [0] => candidate >= key,
            end => candidate >= key && candidate.as_ref() < end,
        };
        self.keys
            .values()
            .filter(|kv| inside(&kv.key))
            .cloned()
            .collect()
    }

    fn range(&self, request: &RangeRequest) -> RangeResponse {
        let mut kvs = self.matching(&request.key, &request.range_end);
        let count = kvs.len();
        let limit = usize::try_from(request.limit).unwrap_or(0);
        if limit > 0 {
            kvs.truncate(limit);
        }
        if request.keys_only {
            kvs.iter_mut().for_each(|kv| kv.value = Bytes::new());
        }
        if request.count_only {
            kvs.clear();
        }
        let more = limit > 0 && count > limit;
        RangeResponse {
            header: self.header(),
            kvs,
            more,
            count: count as i64,
        }
    }

    fn put(&mut self, request: PutRequest) -> PutResponse {
        self.revision += 1;
        let old = self.keys.get(&request.key).cloned();
        let kv = KeyValue {
            key: request.key.clone(),
            create_revision: old
                .as_ref()
                .map_or(self.revision, |old| old.create_revision),
            mod_revision: self.revision,
            version: old.as_ref().map_or(0, |old| old.version) + 1,
            value: request.value,
            lease: request.lease,
        };
        self.keys.insert(request.key, kv);
        PutResponse {
            header: self.header(),
            prev_kv: old.filter(|_| request.prev_kv),
        }
    }

    fn delete(&mut self, request: &DeleteRangeRequest) -> DeleteRangeResponse {
        let gone = self.matching(&request.key, &request.range_end);
        self.revision += i64::from(!gone.is_empty());
        gone.iter().for_each(|kv| drop(self.keys.remove(&kv.key)));
        let deleted = gone.len() as i64;
        let prev_kvs = if request.prev_kv { gone } else { vec![] };
        DeleteRangeResponse {
            header: self.header(),
            deleted,
            prev_kvs,
        }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let kv = self.keys.get(&compare.key).cloned().unwrap_or_default();
        let order = match compare.target_union.clone().unwrap() {
            TargetUnion::Version(version) => kv.version.cmp(&version),
            TargetUnion::CreateRevision(revision) => kv.create_revision.cmp(&revision),
            TargetUnion::ModRevision(revision) => kv.mod_revision.cmp(&revision),
            TargetUnion::Value(value) => kv.value.cmp(&value),
            TargetUnion::Lease(lease) => kv.lease.cmp(&lease),
        };
        match compare.result() {
            CompareResult::Equal => order.is_eq(),
            CompareResult::NotEqual => order.is_ne(),
            CompareResult::Greater => order.is_gt(),
            CompareResult::Less => order.is_lt(),
        }
    }

    fn operation(&mut self, op: RequestOp) -> ResponseOp {
        let response = match op.request.unwrap() {
            request_op::Request::RequestRange(request) => {
                response_op::Response::ResponseRange(self.range(&request))
            }
            request_op::Request::RequestPut(request) => {
                response_op::Response::ResponsePut(self.put(request))
            }
            request_op::Request::RequestDeleteRange(request) => {
                response_op::Response::ResponseDeleteRange(self.delete(&request))
            }
            request_op::Request::RequestTxn(_) => panic!("etcdctl's language has no nested one"),
        };
        ResponseOp {
            response: Some(response),
        }
    }
}

struct Service(&'static State);

impl Service {
    fn answer<T>(&self, work: impl FnOnce(&mut Store) -> T) -> Result<Response<T>, Status> {
        if self.0.refuse_all.load(Ordering::SeqCst) {
            return Err(Status::resource_exhausted("etcdserver: too many requests"));
        }
        Ok(Response::new(work(&mut self.0.store.lock().unwrap())))
    }
}

#[tonic::async_trait]
impl Kv for Service {
    async fn range(
        &self,
        request: Request<RangeRequest>,
    ) -> Result<Response<RangeResponse>, Status> {
        if request.get_ref().key.is_empty() {
            return Err(Status::invalid_argument("etcdserver: key is not provided"));
        }
        self.answer(|store| store.range(request.get_ref()))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        self.answer(|store| store.put(request.into_inner()))
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        self.answer(|store| store.delete(request.get_ref()))
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        let TxnRequest {
            compare,
            success,
            failure,
        } = request.into_inner();
        self.answer(|store| {
            let succeeded = compare.iter().all(|compare| store.holds(compare));
            let chosen = if succeeded { success } else { failure };
            let responses = chosen.into_iter().map(|op| store.operation(op)).collect();
            TxnResponse {
                header: store.header(),
                succeeded,
                responses,
            }
        })
    }

    async fn compact(
        &self,
        request: Request<CompactionRequest>,
    ) -> Result<Response<CompactionResponse>, Status> {
        let response = self.answer(|store| CompactionResponse {
            header: store.header(),
        })?;
        if request.get_ref().revision > self.0.store.lock().unwrap().revision {
            let text = "etcdserver: mvcc: required revision is a future revision";
            return Err(Status::out_of_range(text));
        }
        Ok(response)
    }
}

/// The methods that nothing here calls.
macro_rules! unimplemented_methods {
    ($($name:ident: $request:ty => $response:ty,)*) => {$(
        fn $name<'a, 'b>(
            &'a self,
            _: Request<$request>,
        ) -> std::pin::Pin<Box<dyn Future<Output = Result<Response<$response>, Status>> + Send + 'b>>
        where
            'a: 'b,
            Self: 'b,
        {
            Box::pin(async { Err(Status::unimplemented("not in this test")) })
        }
    )*};
}

#[tonic::async_trait]
impl Cluster for Service {
    async fn member_list(
        &self,
        _: Request<MemberListRequest>,
    ) -> Result<Response<MemberListResponse>, Status> {
        self.answer(|store| MemberListResponse {
            header: store.header(),
            members: store.members.clone(),
        })
    }

    async fn member_add(
        &self,
        request: Request<MemberAddRequest>,
    ) -> Result<Response<MemberAddResponse>, Status> {
        let request = request.into_inner();
        self.answer(|store| {
            let added = Member {
                id: 12,
                peer_ur_ls: request.peer_ur_ls,
                is_learner: request.is_learner,
                ..Member::default()
            };
            store.members.push(added.clone());
            MemberAddResponse {
                header: store.header(),
                member: Some(added),
                members: store.members.clone(),
            }
        })
    }

    async fn member_remove(
        &self,
        request: Request<MemberRemoveRequest>,
    ) -> Result<Response<MemberRemoveResponse>, Status> {
        let id = request.get_ref().id;
        self.0.store.lock().unwrap().member(id)?;
        self.answer(|store| {
            store.members.retain(|member| member.id != id);
            MemberRemoveResponse {
                header: store.header(),
                members: store.members.clone(),
            }
        })
    }

    async fn member_update(
        &self,
        request: Request<MemberUpdateRequest>,
    ) -> Result<Response<MemberUpdateResponse>, Status> {
        let request = request.into_inner();
        self.0.store.lock().unwrap().member(request.id)?.peer_ur_ls = request.peer_ur_ls;
        self.answer(|store| MemberUpdateResponse {
            header: store.header(),
            members: store.members.clone(),
        })
    }

    async fn member_promote(
        &self,
        request: Request<MemberPromoteRequest>,
    ) -> Result<Response<MemberPromoteResponse>, Status> {
        let id = request.get_ref().id;
        self.0.store.lock().unwrap().member(id)?.is_learner = false;
        self.answer(|store| MemberPromoteResponse {
            header: store.header(),
            members: store.members.clone(),
        })
    }
}

#[tonic::async_trait]
impl Maintenance for Service {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        self.answer(|store| StatusResponse {
            header: store.header(),
            version: "3.5.21".to_owned(),
            db_size: 24_576,
            leader: 11,
            raft_index: 39,
            raft_term: 2,
            raft_applied_index: 39,
            ..StatusResponse::default()
        })
    }

    async fn move_leader(
        &self,
        request: Request<MoveLeaderRequest>,
    ) -> Result<Response<MoveLeaderResponse>, Status> {
        let target = request.get_ref().target_id;
        if self.0.store.lock().unwrap().member(target).is_err() {
            let text = "etcdserver: bad leader transferee";
            return Err(Status::failed_precondition(text));
        }
        self.answer(|store| MoveLeaderResponse {
            header: store.header(),
        })
    }

    type SnapshotStream = tokio_stream::Empty<Result<SnapshotResponse, Status>>;

    unimplemented_methods! {
        alarm: AlarmRequest => AlarmResponse,
        defragment: DefragmentRequest => DefragmentResponse,
        hash: HashRequest => HashResponse,
        hash_kv: HashKvRequest => HashKvResponse,
        snapshot: SnapshotRequest => Self::SnapshotStream,
        downgrade: DowngradeRequest => DowngradeResponse,
    }
}

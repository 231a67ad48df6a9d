//! What a member that only learns serves: its status and serializable ranges, and for the rest etcd's refusal.

use std::fmt::Debug;

use quorate_client::stubs::cluster_client::ClusterClient;
use quorate_client::stubs::lease_client::LeaseClient;
use quorate_client::stubs::maintenance_client::MaintenanceClient;
use quorate_client::stubs::watch_client::WatchClient;
use quorate_proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, LeaseGrantRequest, LeaseKeepAliveRequest,
    LeaseLeasesRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest, MemberListRequest,
    MoveLeaderRequest, PutRequest, RangeRequest, StatusRequest, TxnRequest, WatchRequest,
};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::cluster::{Cluster, Etcdctl, Plan, kv, runtime};

fn channel(endpoint: &str) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{endpoint}"));
    endpoint.expect("an address").connect_lazy()
}

fn is_refused<T: Debug>(what: &str, answer: Result<T, Status>) {
    let status = answer.expect_err(what);
    assert_eq!(
        (status.code(), status.message()),
        (
            Code::FailedPrecondition,
            "etcdserver: rpc not supported for learner"
        ),
        "{what}"
    );
}

fn range(key: &str, serializable: bool) -> RangeRequest {
    RangeRequest {
        key: key.as_bytes().to_vec().into(),
        serializable,
        ..Default::default()
    }
}

/// A cluster of one and its learner, which has caught up.
fn with_learner() -> (Cluster, usize) {
    let mut cluster = Plan::of(1).start();
    cluster.etcdctl(0).output(&["put", "k", "v"]);
    let learner = cluster.join(0, true);
    cluster.wait_until_equal();
    (cluster, learner)
}

async fn refuses_what_clients_of_the_store_ask(endpoint: &str) {
    let mut kv = kv(endpoint);
    let key = || b"k".to_vec().into();
    is_refused("a linearizable range", kv.range(range("k", false)).await);
    let put = PutRequest {
        key: key(),
        ..Default::default()
    };
    is_refused("a put", kv.put(put).await);
    let delete = DeleteRangeRequest {
        key: key(),
        ..Default::default()
    };
    is_refused("a delete", kv.delete_range(delete).await);
    is_refused("a transaction", kv.txn(TxnRequest::default()).await);
    let compaction = CompactionRequest {
        revision: 1,
        ..Default::default()
    };
    is_refused("a compaction", kv.compact(compaction).await);
    let mut watch = WatchClient::new(channel(endpoint));
    let nothing = tokio_stream::pending::<WatchRequest>();
    is_refused("a watch", watch.watch(nothing).await);
}

async fn refuses_leases_and_changes(endpoint: &str) {
    let mut lease = LeaseClient::new(channel(endpoint));
    let grant = LeaseGrantRequest { ttl: 60, id: 0 };
    is_refused("a grant", lease.lease_grant(grant).await);
    let revoke = LeaseRevokeRequest { id: 1 };
    is_refused("a revoke", lease.lease_revoke(revoke).await);
    let question = LeaseTimeToLiveRequest { id: 1, keys: false };
    is_refused("a time to live", lease.lease_time_to_live(question).await);
    is_refused("leases", lease.lease_leases(LeaseLeasesRequest {}).await);
    let renewals = tokio_stream::pending::<LeaseKeepAliveRequest>();
    is_refused("a renewal", lease.lease_keep_alive(renewals).await);
    let mut cluster = ClusterClient::new(channel(endpoint));
    let list = MemberListRequest::default();
    is_refused("the members", cluster.member_list(list).await);
}

#[test]
fn a_learner_serves_its_status_and_serializable_ranges_and_nothing_else() {
    if !Etcdctl::is_installed() {
        return;
    }
    let (cluster, learner) = with_learner();
    let endpoint = cluster.endpoint(learner);
    runtime().block_on(async {
        let read = kv(&endpoint).range(range("k", true)).await;
        assert_eq!(read.expect("served").into_inner().count, 1);
        let mut maintenance = MaintenanceClient::new(channel(&endpoint));
        let status = maintenance.status(StatusRequest {}).await.expect("served");
        assert!(status.into_inner().is_learner);
        refuses_what_clients_of_the_store_ask(&endpoint).await;
        refuses_leases_and_changes(&endpoint).await;
        // It is no target of a transfer either.
        let learner_id = maintenance.status(StatusRequest {}).await.expect("served");
        let header = learner_id.into_inner().header.expect("a header");
        let request = MoveLeaderRequest {
            target_id: header.member_id,
        };
        let mut leader = MaintenanceClient::new(channel(&cluster.endpoint(0)));
        let status = leader.move_leader(request).await.expect_err("no voter");
        assert_eq!(
            (status.code(), status.message()),
            (
                Code::FailedPrecondition,
                "etcdserver: bad leader transferee"
            )
        );
    });
}

//! Elections with real processes: the service on each node, and those who observe it.

use std::time::Duration;

use quorate_client::stubs::election_client::ElectionClient;
use quorate_proto::etcdserverpb::{PutRequest, RangeRequest};
use quorate_proto::v3electionpb::{
    CampaignRequest, CampaignResponse, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest,
    ResignRequest,
};
use tonic::{Code, Status, Streaming};

use crate::cluster::{Plan, kv, runtime};
use crate::locks::{channel, grant, line, revoke, wait_for_line};

const LONG: i64 = 600;
const NAME: &str = "scheduler";

/// Far above what an answer takes.
const SOON: Duration = Duration::from_secs(20);

async fn campaign(
    endpoint: String,
    lease: i64,
    value: &'static str,
) -> Result<CampaignResponse, Status> {
    let request = CampaignRequest {
        name: NAME.into(),
        lease,
        value: value.into(),
    };
    let led = ElectionClient::new(channel(&endpoint))
        .campaign(request)
        .await;
    led.map(tonic::Response::into_inner)
}

async fn proclaim(endpoint: &str, leader: &LeaderKey, value: &'static str) -> Result<(), Status> {
    let request = ProclaimRequest {
        leader: Some(leader.clone()),
        value: value.into(),
    };
    let said = ElectionClient::new(channel(endpoint))
        .proclaim(request)
        .await;
    said.map(|_| ())
}

async fn resign(endpoint: &str, leader: &LeaderKey) {
    let request = ResignRequest {
        leader: Some(leader.clone()),
    };
    let resigned = ElectionClient::new(channel(endpoint)).resign(request).await;
    resigned.expect("resigned");
}

async fn leader(endpoint: &str) -> Result<LeaderResponse, Status> {
    let request = LeaderRequest { name: NAME.into() };
    let told = ElectionClient::new(channel(endpoint)).leader(request).await;
    told.map(tonic::Response::into_inner)
}

async fn observe(endpoint: &str) -> Streaming<LeaderResponse> {
    let request = LeaderRequest { name: NAME.into() };
    let told = ElectionClient::new(channel(endpoint))
        .observe(request)
        .await;
    told.expect("a stream").into_inner()
}

/// The next value that an observer is told, with its key.
async fn next(stream: &mut Streaming<LeaderResponse>) -> (String, String) {
    let told = tokio::time::timeout(SOON, stream.message()).await;
    let told = told.expect("in time").expect("an answer").expect("no end");
    let kv = told.kv.expect("a leader");
    let revision = told.header.expect("a header").revision;
    assert!(revision >= kv.mod_revision, "{revision} {kv:?}");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&kv.key), text(&kv.value))
}

fn pair(lease: i64, value: &str) -> (String, String) {
    (format!("{NAME}/{lease:x}"), value.to_owned())
}

#[test]
fn observers_on_each_node_are_told_of_every_value_and_successor_in_order() {
    let mut cluster = Plan::of(3).start();
    let runtime = runtime();
    let endpoints = cluster.endpoints();
    let [a, b] = [&endpoints[0], &endpoints[1]];
    // The first one observes before there is a leader.
    let mut streams = runtime.block_on(async {
        let mut streams = Vec::new();
        for endpoint in &endpoints {
            streams.push(observe(endpoint).await);
        }
        streams
    });
    let leases = runtime.block_on(async { [grant(a, LONG).await, grant(b, LONG).await] });
    let led = runtime.block_on(campaign(a.clone(), leases[0], "one"));
    let first = led.expect("it leads").leader.expect("its key");
    assert_eq!(first.key, format!("{NAME}/{:x}", leases[0]));
    let waiter = runtime.spawn(campaign(b.clone(), leases[1], "two"));
    wait_for_line(&cluster, 2, NAME, 2);
    runtime.block_on(async {
        for stream in &mut streams {
            assert_eq!(next(stream).await, pair(leases[0], "one"));
        }
        proclaim(b, &first, "more").await.expect("it leads");
        proclaim(a, &first, "still more").await.expect("it leads");
        assert_eq!(
            leader(b).await.expect("a leader").kv.expect("a key").value,
            "still more"
        );
        for stream in &mut streams {
            assert_eq!(next(stream).await, pair(leases[0], "more"));
            assert_eq!(next(stream).await, pair(leases[0], "still more"));
        }
        resign(b, &first).await;
        let refused = proclaim(a, &first, "too late")
            .await
            .expect_err("it resigned");
        assert_eq!(refused.message(), "election: not leader");
    });
    let second = runtime.block_on(waiter).expect("a task").expect("it leads");
    let second = second.leader.expect("its key");
    runtime.block_on(async {
        for stream in &mut streams {
            assert_eq!(next(stream).await, pair(leases[1], "two"));
        }
    });
    // Whoever is not the cluster's leader goes on telling.
    let killed = cluster.wait_for_leader();
    cluster.kill(killed);
    streams.remove(killed);
    cluster.wait_for_leader();
    let here = &endpoints[(killed + 1) % 3];
    cluster.wait_for("a proclamation under the new leader", || {
        runtime.block_on(proclaim(here, &second, "after")).ok()
    });
    runtime.block_on(async {
        for stream in &mut streams {
            assert_eq!(next(stream).await, pair(leases[1], "after"));
        }
        revoke(here, leases[1]).await;
        let nobody = leader(here).await.expect_err("nobody leads");
        assert_eq!(nobody.message(), "election: no leader");
        assert_eq!(nobody.code(), Code::Unknown);
    });
}

#[test]
fn large_campaigns_that_wait_leave_room_for_large_requests() {
    // Together more than all large requests of a node may hold.
    const CAMPAIGNS: i64 = 72;
    const VALUE_BYTES: usize = 1 << 20;
    let cluster = Plan::of(1).start();
    let runtime = runtime();
    let endpoint = cluster.endpoint(0);
    let value = bytes::Bytes::from(vec![b'v'; VALUE_BYTES]);
    let count = RangeRequest {
        key: format!("{NAME}/").into(),
        range_end: format!("{NAME}0").into(),
        count_only: true,
        ..Default::default()
    };
    for place in 1..=CAMPAIGNS {
        let lease = runtime.block_on(grant(&endpoint, LONG));
        let request = CampaignRequest {
            name: NAME.into(),
            lease,
            value: value.clone(),
        };
        let endpoint = endpoint.clone();
        let campaign = async move {
            let mut election = ElectionClient::new(channel(&endpoint));
            election.campaign(request).await
        };
        // It waits until the runtime ends.
        drop(runtime.spawn(campaign));
        cluster.wait_for(&format!("{place} in the line"), || {
            let endpoint = cluster.endpoint(0);
            let counted = runtime.block_on(async { kv(&endpoint).range(count.clone()).await });
            (counted.ok()?.into_inner().count == place).then_some(())
        });
    }
    let put = PutRequest {
        key: "large".into(),
        value,
        ..Default::default()
    };
    let put = runtime.block_on(async { kv(&endpoint).put(put).await });
    put.expect("there is room");
}

#[test]
fn one_who_campaigns_again_says_something_else_and_one_who_leaves_is_out_of_the_line() {
    let cluster = Plan::of(1).start();
    let runtime = runtime();
    let endpoint = cluster.endpoint(0);
    let (first, second) =
        runtime.block_on(async { (grant(&endpoint, LONG).await, grant(&endpoint, LONG).await) });
    runtime.block_on(async {
        let led = campaign(endpoint.clone(), first, "a")
            .await
            .expect("it leads");
        let again = campaign(endpoint.clone(), first, "b").await.expect("still");
        assert_eq!(again.leader, led.leader);
        let told = leader(&endpoint).await.expect("a leader");
        assert_eq!(told.kv.expect("a key").value, "b");
    });
    let waiter = runtime.spawn(campaign(endpoint.clone(), second, "c"));
    wait_for_line(&cluster, 0, NAME, 2);
    waiter.abort();
    let left = wait_for_line(&cluster, 0, NAME, 1);
    assert_eq!(left[0].lease, first);
    // One whose lease ends in the line does not come to lead.
    let third = runtime.block_on(grant(&endpoint, LONG));
    let waiter = runtime.spawn(campaign(endpoint.clone(), third, "d"));
    wait_for_line(&cluster, 0, NAME, 2);
    runtime.block_on(revoke(&endpoint, third));
    let gone = runtime.block_on(waiter).expect("a task").expect_err("gone");
    assert_eq!(gone.message(), "election: session is expired");
    assert_eq!(runtime.block_on(line(&endpoint, NAME)).len(), 1);
}

//! Locks with real processes: the service on each node, the recipe of `quorate ctl lock`, and etcdctl's, all in one
//! line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quorate_client::stubs::lease_client::LeaseClient;
use quorate_client::stubs::lock_client::LockClient;
use quorate_proto::etcdserverpb::{
    LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest,
};
use quorate_proto::mvccpb::KeyValue;
use quorate_proto::v3lockpb::{LockRequest, LockResponse, UnlockRequest};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::cluster::{Cluster, Plan, kv, runtime};

/// Far above what any of it takes.
const LONG: i64 = 600;

pub(crate) fn channel(endpoint: &str) -> Channel {
    Endpoint::from_shared(format!("http://{endpoint}"))
        .expect("an address")
        .connect_timeout(Duration::from_secs(2))
        .connect_lazy()
}

pub(crate) async fn grant(endpoint: &str, seconds: i64) -> i64 {
    let request = LeaseGrantRequest {
        ttl: seconds,
        id: 0,
    };
    let mut leases = LeaseClient::new(channel(endpoint));
    let granted = leases.lease_grant(request).await;
    granted.expect("a lease").into_inner().id
}

pub(crate) async fn revoke(endpoint: &str, id: i64) {
    let mut leases = LeaseClient::new(channel(endpoint));
    let revoked = leases.lease_revoke(LeaseRevokeRequest { id }).await;
    revoked.expect("it is there");
}

async fn lock(endpoint: &str, name: &'static str, lease: i64) -> Result<LockResponse, Status> {
    let request = LockRequest {
        name: name.into(),
        lease,
    };
    let locked = LockClient::new(channel(endpoint)).lock(request).await;
    locked.map(tonic::Response::into_inner)
}

async fn unlock(endpoint: &str, key: bytes::Bytes) {
    let mut locks = LockClient::new(channel(endpoint));
    let unlocked = locks.unlock(UnlockRequest { key }).await;
    unlocked.expect("unlocked");
}

/// The line of a name, in the order in which it was joined.
pub(crate) async fn line(endpoint: &str, name: &str) -> Vec<KeyValue> {
    let request = RangeRequest {
        key: format!("{name}/").into(),
        range_end: format!("{name}0").into(),
        ..Default::default()
    };
    let read = kv(endpoint).range(request).await;
    let mut line = read.map_or_else(|_| Vec::new(), |read| read.into_inner().kvs);
    line.sort_by_key(|pair| pair.create_revision);
    line
}

/// Waits until so many stand in the line.
pub(crate) fn wait_for_line(
    cluster: &Cluster,
    at: usize,
    name: &str,
    count: usize,
) -> Vec<KeyValue> {
    let runtime = runtime();
    let endpoint = cluster.endpoint(at);
    cluster.wait_for(&format!("{count} in the line of {name}"), || {
        let line = runtime.block_on(line(&endpoint, name));
        (line.len() == count).then_some(line)
    })
}

#[test]
fn the_lock_goes_from_node_to_node_in_the_order_of_asking() {
    let cluster = Plan::of(3).start();
    let runtime = runtime();
    let endpoints = cluster.endpoints();
    let mut calls = Vec::new();
    for turn in 0..6 {
        let endpoint = endpoints[turn % 3].clone();
        let lease = runtime.block_on(grant(&endpoint, LONG));
        calls.push((
            lease,
            runtime.spawn(async move { lock(&endpoint, "order", lease).await }),
        ));
        wait_for_line(&cluster, 0, "order", turn + 1);
    }
    let mut held_at = 0;
    for (turn, (lease, call)) in calls.into_iter().enumerate() {
        let locked = runtime.block_on(call).expect("a task").expect("the lock");
        assert_eq!(locked.key, format!("order/{lease:x}"), "turn {turn}");
        let line = runtime.block_on(line(&endpoints[turn % 3], "order"));
        assert_eq!(line.len(), 6 - turn);
        assert_eq!(line[0].key, locked.key, "it is the first of the line");
        let revision = locked.header.expect("a header").revision;
        assert!(revision > held_at, "{revision} after {held_at}");
        held_at = revision;
        // At another node.
        runtime.block_on(unlock(&endpoints[(turn + 1) % 3], locked.key));
    }
}

#[test]
fn one_who_leaves_the_line_leaves_no_key_and_the_others_keep_their_order() {
    let cluster = Plan::of(3).start();
    let runtime = runtime();
    let endpoints = cluster.endpoints();
    let mut calls = Vec::new();
    for turn in 0..4 {
        let endpoint = endpoints[turn % 3].clone();
        let lease = runtime.block_on(grant(&endpoint, LONG));
        calls.push(runtime.spawn(async move { lock(&endpoint, "leaving", lease).await }));
        wait_for_line(&cluster, 0, "leaving", turn + 1);
    }
    let before = wait_for_line(&cluster, 1, "leaving", 4);
    // The second and the third go: the fourth waits for the first now.
    calls.remove(1).abort();
    calls.remove(1).abort();
    let after = wait_for_line(&cluster, 1, "leaving", 2);
    assert_eq!(after, [before[0].clone(), before[3].clone()]);
    let first = runtime.block_on(calls.remove(0)).expect("a task");
    assert!(!calls[0].is_finished());
    runtime.block_on(unlock(&endpoints[2], first.expect("the lock").key));
    let last = runtime.block_on(calls.remove(0)).expect("a task");
    assert_eq!(last.expect("the lock").key, before[3].key);
}

#[test]
fn when_a_lease_ends_the_next_holds_the_lock_and_one_who_waited_on_it_hears_so() {
    let cluster = Plan::of(3).start();
    let runtime = runtime();
    let [a, b, c] = [0, 1, 2].map(|node| cluster.endpoint(node));
    runtime.block_on(async {
        let first = grant(&a, LONG).await;
        lock(&a, "expiry", first).await.expect("the lock");
    });
    let second = runtime.block_on(grant(&b, LONG));
    let waiter = {
        let b = b.clone();
        runtime.spawn(async move { lock(&b, "expiry", second).await })
    };
    wait_for_line(&cluster, 0, "expiry", 2);
    // Two seconds, and nobody renews it.
    let third = runtime.block_on(grant(&c, 2));
    let short = {
        let c = c.clone();
        runtime.spawn(async move { lock(&c, "expiry", third).await })
    };
    let line = wait_for_line(&cluster, 0, "expiry", 3);
    let expired = runtime.block_on(short).expect("a task").expect_err("gone");
    assert_eq!(expired.code(), Code::Unknown);
    assert_eq!(expired.message(), "mutex: session is expired");
    assert!(!waiter.is_finished());
    runtime.block_on(revoke(&c, line[0].lease));
    let locked = runtime.block_on(waiter).expect("a task").expect("the lock");
    assert_eq!(locked.key, line[1].key);
}

#[test]
fn a_key_that_is_not_there_is_unlocked_and_a_lease_that_is_not_there_locks_nothing() {
    let cluster = Plan::of(1).start();
    let endpoint = cluster.endpoint(0);
    runtime().block_on(async {
        unlock(&endpoint, "nothing/1f".into()).await;
        let refused = lock(&endpoint, "nothing", 0x1f)
            .await
            .expect_err("no lease");
        assert_eq!(refused.message(), "etcdserver: requested lease not found");
        assert_eq!(refused.code(), Code::Unknown);
        assert_eq!(line(&endpoint, "nothing").await, []);
        let first = lock(&endpoint, "nothing", 0)
            .await
            .expect("a lease of its own");
        let held = line(&endpoint, "nothing").await;
        assert_eq!(held[0].key, first.key);
        assert_ne!(held[0].lease, 0);
        // The same lease asks again: it has the lock.
        let again = lock(&endpoint, "nothing", held[0].lease).await;
        assert_eq!(again.expect("the lock").key, first.key);
    });
}

/// What the contenders write down, guarded by the lock alone.
#[derive(Default)]
struct Guarded {
    is_held: AtomicBool,
    /// The create revision of the last holder's key.
    fence: AtomicU64,
    turns: AtomicU64,
}

/// Locks, looks that it is alone, counts, unlocks, over and over; moves on to the next node when one fails.
async fn contend(endpoints: Vec<String>, first: usize, guarded: Arc<Guarded>, until: Instant) {
    let mut node = first;
    while Instant::now() < until {
        let endpoint = &endpoints[node % endpoints.len()];
        let request = LeaseGrantRequest { ttl: LONG, id: 0 };
        let mut leases = LeaseClient::new(channel(endpoint));
        let Ok(granted) = leases.lease_grant(request).await else {
            node += 1;
            continue;
        };
        let lease = granted.into_inner().id;
        // The lease has its place in the line: at another node it finds it again.
        let locked = loop {
            let endpoint = &endpoints[node % endpoints.len()];
            match lock(endpoint, "guarded", lease).await {
                Ok(locked) => break locked,
                // The node that went has not said so to anyone, or one that stayed has taken the key away.
                Err(_) => {
                    node += 1;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        };
        let was_held = guarded.is_held.swap(true, Ordering::SeqCst);
        assert!(!was_held, "two hold the lock");
        let fence = loop {
            let endpoint = &endpoints[node % endpoints.len()];
            let request = RangeRequest {
                key: locked.key.clone(),
                ..Default::default()
            };
            match kv(endpoint).range(request).await {
                Ok(read) => {
                    let read = read.into_inner();
                    break read.kvs.first().expect("its key stands").create_revision;
                }
                Err(_) => {
                    node += 1;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        };
        let fence = u64::try_from(fence).expect("positive");
        let before = guarded.fence.swap(fence, Ordering::SeqCst);
        assert!(fence > before, "fence {fence} after {before}");
        guarded.turns.fetch_add(1, Ordering::SeqCst);
        guarded.is_held.store(false, Ordering::SeqCst);
        loop {
            let endpoint = &endpoints[node % endpoints.len()];
            let key = locked.key.clone();
            let mut locks = LockClient::new(channel(endpoint));
            if locks.unlock(UnlockRequest { key }).await.is_ok() {
                break;
            }
            node += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[test]
fn many_contend_over_three_nodes_while_leaders_are_killed_and_never_do_two_hold_the_lock() {
    const CONTENDERS: usize = 24;
    const KILLS: u64 = 3;
    let mut cluster = Plan::of(3).start();
    let runtime = runtime();
    let guarded = Arc::new(Guarded::default());
    let until = Instant::now() + Duration::from_secs(15);
    let contenders: Vec<_> = (0..CONTENDERS)
        .map(|i| runtime.spawn(contend(cluster.endpoints(), i, Arc::clone(&guarded), until)))
        .collect();
    for kill in 1..=KILLS {
        let before = guarded.turns.load(Ordering::SeqCst);
        cluster.wait_for("some turns", || {
            (guarded.turns.load(Ordering::SeqCst) > before + 10).then_some(())
        });
        let leader = cluster.wait_for_leader();
        cluster.kill(leader);
        let before = guarded.turns.load(Ordering::SeqCst);
        cluster.wait_for(&format!("turns after kill {kill}"), || {
            (guarded.turns.load(Ordering::SeqCst) > before + 5).then_some(())
        });
        cluster.restart(leader);
    }
    for contender in contenders {
        let ended = runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(60), contender).await });
        ended.expect("it ends").expect("it saw nothing wrong");
    }
    wait_for_line(&cluster, 0, "guarded", 0);
    eprintln!("{} turns", guarded.turns.load(Ordering::SeqCst));
}

#[test]
fn the_waiting_goes_on_over_a_change_of_leaders() {
    let mut cluster = Plan::of(3).start();
    let runtime = runtime();
    let leader = cluster.wait_for_leader();
    let (follower, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let [here, there] = [follower, other].map(|node| cluster.endpoint(node));
    let first = runtime.block_on(async {
        let lease = grant(&there, LONG).await;
        lock(&there, "change", lease).await.expect("the lock").key
    });
    let lease = runtime.block_on(grant(&here, LONG));
    let mut waiter = {
        let here = here.clone();
        runtime.spawn(async move { lock(&here, "change", lease).await })
    };
    wait_for_line(&cluster, follower, "change", 2);
    cluster.kill(leader);
    cluster.wait_for_leader();
    // It waits: nothing has changed for it.
    let put = PutRequest {
        key: "after".into(),
        ..Default::default()
    };
    let endpoint = here.clone();
    cluster.wait_for("a write under the new leader", || {
        runtime
            .block_on(async { kv(&endpoint).put(put.clone()).await })
            .ok()
    });
    let early = runtime
        .block_on(async { tokio::time::timeout(Duration::from_millis(200), &mut waiter).await });
    assert!(early.is_err(), "{early:?}");
    runtime.block_on(unlock(&there, first));
    let locked = runtime.block_on(waiter).expect("a task").expect("the lock");
    assert_eq!(locked.key, format!("change/{lease:x}"));
}

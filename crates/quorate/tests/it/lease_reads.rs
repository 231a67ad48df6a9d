//! Reads on a lease: a leader that stood still must not take its lease for fresh when it goes on.

use std::time::Duration;

use quorate_proto::etcdserverpb::{PutRequest, RangeRequest};
use rustix::process::Signal;

use crate::cluster::{Cluster, Kv, PATIENCE, Plan, kv, runtime, signal};

const KEY: &str = "one";

/// Each pauses another leader; more of them find what happens now and then.
const ROUNDS: u32 = 4;

/// Reads that lie in the socket of the leader while it stands still.
const READS: usize = 50;

/// Reads go on for so long after that: some when it has looked at its clock, and has not heard yet
/// that another leads.
const GOES_ON: Duration = Duration::from_millis(500);

fn send(cluster: &Cluster, node: usize, what: Signal) {
    let process = cluster.nodes[node].process.as_ref().expect("it runs");
    signal(process, what);
}

async fn put(endpoint: &str, value: u32) {
    let request = PutRequest {
        key: KEY.into(),
        value: value.to_string().into(),
        ..Default::default()
    };
    let put = tokio::time::timeout(PATIENCE, async {
        while kv(endpoint).put(request.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    put.await.expect("a write is acknowledged");
}

/// What a linearizable read finds, if it is answered.
async fn read(mut client: Kv) -> Option<String> {
    let request = RangeRequest {
        key: KEY.into(),
        ..Default::default()
    };
    let answer = client.range(request).await.ok()?.into_inner();
    let value = answer.kvs.first().expect("it was written").value.to_vec();
    Some(String::from_utf8(value).expect("a number"))
}

/// Reads at a leader that stands still and is woken, after `value` was written without it.
async fn read_of_the_woken(client: Kv, value: u32, wake: impl FnOnce()) {
    let asked = || tokio::spawn(read(client.clone()));
    let mut reads: Vec<_> = (0..READS).map(|_| asked()).collect();
    // They are on their way, and nobody answers.
    tokio::time::sleep(Duration::from_millis(50)).await;
    wake();
    let woken = tokio::time::Instant::now();
    while woken.elapsed() < GOES_ON {
        reads.push(asked());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for read in reads {
        if let Some(found) = read.await.expect("it does not panic") {
            assert_eq!(found, value.to_string(), "a stale read");
        }
    }
}

#[test]
fn a_leader_that_stood_still_serves_no_stale_read_when_it_goes_on() {
    let cluster = Plan::of(3).flag("--lease-reads").start();
    let runtime = runtime();
    for round in 0..ROUNDS {
        let old = cluster.wait_for_leader();
        let client = runtime.block_on(async { kv(&cluster.endpoint(old)) });
        let (before, after) = (2 * round, 2 * round + 1);
        runtime.block_on(put(&cluster.endpoint(old), before));
        let found = runtime.block_on(read(client.clone()));
        assert_eq!(found, Some(before.to_string()));
        send(&cluster, old, Signal::STOP);
        let others = [(old + 1) % 3, (old + 2) % 3];
        let new = cluster.wait_for("another leader", || {
            let leads = |node: &usize| {
                let status = cluster.status(*node);
                status.is_some_and(|status| status.leader == cluster.nodes[*node].name)
            };
            others.into_iter().find(leads)
        });
        runtime.block_on(put(&cluster.endpoint(new), after));
        let wake = || send(&cluster, old, Signal::CONT);
        runtime.block_on(read_of_the_woken(client, after, wake));
    }
}

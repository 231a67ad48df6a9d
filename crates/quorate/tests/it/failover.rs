//! The cluster goes on without its leader, soon.

use std::time::{Duration, Instant};

use quorate_proto::etcdserverpb::PutRequest;

use crate::cluster::{Cluster, Plan, kv, runtime};

/// What the project promises at default timeouts (an election timeout of one second).
const PROMISED: Duration = Duration::from_secs(2);
const KILLS: usize = 5;

#[test]
fn a_killed_leader_is_followed_by_a_new_one_and_a_working_write_within_two_seconds() {
    let mut cluster = Plan::of(3).alone().start();
    let mut took = Vec::new();
    for kill in 0..KILLS {
        cluster.wait_until_equal();
        let leader = cluster.wait_for_leader();
        let survivor = (leader + 1) % cluster.len();
        let started = Instant::now();
        cluster.kill(leader);
        write_until_acknowledged(&cluster, survivor, &format!("kill {kill}"));
        took.push(started.elapsed());
        cluster.restart(leader);
    }
    eprintln!("from kill -9 of the leader to an acknowledged write: {took:?}");
    let longest = took.iter().max().expect("there were kills");
    assert!(*longest <= PROMISED, "{took:?}");
}

/// Puts `key` at node `i` until that succeeds.
fn write_until_acknowledged(cluster: &Cluster, i: usize, key: &str) {
    let request = PutRequest {
        key: key.as_bytes().to_vec().into(),
        ..Default::default()
    };
    let endpoint = cluster.endpoint(i);
    let runtime = runtime();
    cluster.wait_for("a write to be acknowledged", || {
        let put = async { kv(&endpoint).put(request.clone()).await };
        runtime.block_on(put).ok()
    });
}

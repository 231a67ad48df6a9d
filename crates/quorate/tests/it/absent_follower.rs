//! A follower that is gone for long costs the leader a bounded amount of memory, and catches up from the log on disk.

use quorate_proto::etcdserverpb::{CompactionRequest, PutRequest};
use rustix::process::Signal;

use crate::cluster::{Cluster, Plan, kv, runtime, signal};

const MIB: u64 = 1 << 20;
const VALUE_BYTES: usize = 1 << 20;
/// So much is written meanwhile: far more than the leader may hold.
const WRITES: usize = 320;
/// What it may hold: the newest entries (64 MiB), one peer's queue (64 MiB), and as much again for what is on its
/// way, for the store and for what the allocator keeps. Far below what is written.
const MEMORY_BYTES_MAX: u64 = 192 * MIB;

/// Overwrites a few large values, and compacts, so that the store stays small while the log grows.
fn write_much(cluster: &Cluster, leader: usize) {
    runtime().block_on(async {
        let mut kv = kv(&cluster.endpoint(leader));
        for number in 0..WRITES {
            let put = PutRequest {
                key: format!("key{}", number % 4).into(),
                value: vec![number as u8; VALUE_BYTES].into(),
                ..Default::default()
            };
            let answer = kv.put(put).await.expect("a write").into_inner();
            if number % 8 == 7 {
                let compact = CompactionRequest {
                    revision: answer.header.expect("a header").revision,
                    physical: false,
                };
                kv.compact(compact).await.expect("a compaction");
            }
        }
    });
}

fn leader_and_follower(cluster: &Cluster) -> (usize, usize) {
    let leader = cluster.wait_for_leader();
    (leader, (leader + 1) % cluster.len())
}

fn memory_is_bounded(cluster: &Cluster, leader: usize) {
    let resident = cluster.nodes[leader].resident_bytes();
    eprintln!("the leader holds {} MiB after {WRITES} MiB", resident / MIB);
    assert!(resident < MEMORY_BYTES_MAX, "{} MiB", resident / MIB);
}

#[test]
fn a_follower_that_was_dead_while_much_was_written_catches_up_and_the_leaders_memory_stays_bounded()
{
    let mut cluster = Plan::of(3).start();
    let (leader, follower) = leader_and_follower(&cluster);
    cluster.kill(follower);
    write_much(&cluster, leader);
    memory_is_bounded(&cluster, leader);
    cluster.restart(follower);
    cluster.wait_until_equal();
    memory_is_bounded(&cluster, leader);
}

#[test]
fn a_follower_that_was_paused_while_much_was_written_catches_up_and_the_leaders_memory_stays_bounded()
 {
    let cluster = Plan::of(3).start();
    let (leader, follower) = leader_and_follower(&cluster);
    let process = || cluster.nodes[follower].process.as_ref().expect("it runs");
    signal(process(), Signal::STOP);
    write_much(&cluster, leader);
    memory_is_bounded(&cluster, leader);
    signal(process(), Signal::CONT);
    cluster.wait_until_equal();
    memory_is_bounded(&cluster, leader);
}

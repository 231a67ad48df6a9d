//! Snapshots in real processes: taken under load, started from, and sent to a follower that fell too far behind.

use std::fs;

use crate::cluster::{Cluster, Node, Plan};
use crate::real_faults::{Acknowledged, Dice, Load, find_lost};

/// So little log between two snapshots that a short test sees many.
const OFTEN: &str = "--snapshot-log-bytes=262144";

/// Leaves room for several snapshots.
const WRITES: u64 = 1_500;

fn write(cluster: &Cluster, writers: &[usize], label: &str, count: u64) -> Vec<Acknowledged> {
    let endpoints: Vec<String> = writers.iter().map(|node| cluster.endpoint(*node)).collect();
    let load = Load::start(&endpoints, label);
    cluster.wait_for("writes to be acknowledged", || {
        (load.acknowledged() >= count).then_some(())
    });
    load.stop()
}

fn snapshots_of(node: &Node) -> usize {
    let files = fs::read_dir(node.directory.join("wal")).expect("the directory of the log");
    let names = files.map(|file| {
        file.expect("a file")
            .file_name()
            .into_string()
            .expect("text")
    });
    let whole = names.filter(|name| name.starts_with("snapshot-") && !name.ends_with(".part"));
    whole.count()
}

fn nothing_is_lost(cluster: &Cluster, acknowledged: &[Acknowledged]) {
    cluster.wait_until_equal();
    for node in 0..cluster.len() {
        let lost = find_lost(&cluster.endpoint(node), acknowledged);
        assert!(lost.is_empty(), "n{} lost {lost:?}", node + 1);
    }
}

#[test]
fn a_follower_that_was_away_while_the_log_went_on_is_sent_a_snapshot() {
    let mut cluster = Plan::of(3).flag(OFTEN).start();
    let leader = cluster.wait_for_leader();
    let follower = (leader + 1) % 3;
    let other = (leader + 2) % 3;
    let mut acknowledged = write(&cluster, &[leader, other, follower], "before", 50);
    cluster.kill(follower);
    // Until two snapshots are there, the leader keeps the whole log.
    while snapshots_of(&cluster.nodes[leader]) < 2 {
        acknowledged.extend(write(&cluster, &[leader, other], "meanwhile", WRITES));
    }
    acknowledged.extend(write(&cluster, &[leader, other], "afterwards", WRITES));
    cluster.restart(follower);
    nothing_is_lost(&cluster, &acknowledged);
    let log = cluster.nodes[follower].log_text();
    assert!(log.contains("goes on from a peer's snapshot"), "{log}");

    let counted = |node: usize, name: &str| cluster.metric(node, name) >= 1.0;
    assert!(counted(follower, "etcd_network_snapshot_receive_success"));
    assert!(counted(follower, "quorate_snapshot_received_bytes_total"));
    assert!(counted(
        follower,
        "quorate_snapshot_load_duration_seconds_count"
    ));
    assert!(counted(leader, "quorate_snapshot_taken_total"));
    let senders = [leader, other].into_iter();
    let sent = |node: &usize| {
        let page = cluster.nodes[*node].page("/metrics").expect("it serves");
        page.contains("etcd_network_snapshot_send_success{To=")
    };
    assert_eq!(senders.filter(sent).count(), 1, "who led sent it");
}

#[test]
fn nodes_that_are_killed_while_they_take_snapshots_lose_nothing() {
    let mut cluster = Plan::of(3).flag(OFTEN).start();
    let mut dice = Dice::new();
    let mut acknowledged = Vec::new();
    for round in 0..6 {
        let load = Load::start(&cluster.endpoints(), &format!("round{round}"));
        let count = dice.draw(200..WRITES);
        cluster.wait_for("writes to be acknowledged", || {
            (load.acknowledged() >= count).then_some(())
        });
        if round % 3 == 2 {
            (0..3).for_each(|node| cluster.kill(node));
            acknowledged.extend(load.stop());
            (0..3).for_each(|node| cluster.restart(node));
        } else {
            let node = dice.draw(0..3) as usize;
            cluster.kill(node);
            cluster.restart(node);
            acknowledged.extend(load.stop());
        }
        cluster.wait_for_leader();
    }
    nothing_is_lost(&cluster, &acknowledged);
    for node in &cluster.nodes {
        assert!(snapshots_of(node) > 0, "{} took none", node.name);
        assert!(snapshots_of(node) <= 3, "{} keeps too many", node.name);
    }
}

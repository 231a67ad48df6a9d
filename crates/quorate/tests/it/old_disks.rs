//! Data directories that went back in time, under real processes: the others notice, and nothing is lost.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::cluster::{Cluster, Plan};
use crate::real_faults::{Acknowledged, Load, find_lost};

const WRITES: u64 = 300;

/// A few election timeouts: that nobody is elected takes its time to see.
const IN_VAIN: Duration = Duration::from_secs(3);

fn write(cluster: &Cluster, label: &str) -> Vec<Acknowledged> {
    let load = Load::start(&cluster.endpoints(), label);
    cluster.wait_for("writes to be acknowledged", || {
        (load.acknowledged() >= WRITES).then_some(())
    });
    load.stop()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("copied");
        }
    }
}

/// Whether the newest table of records on a node's disk says that all three members have the log
/// through this index.
fn knows_all_at(cluster: &Cluster, node: usize, index: u64) -> bool {
    let path = cluster.nodes[node]
        .directory
        .join("wal")
        .join("00000000.records");
    let Ok(bytes) = fs::read(path) else {
        return false;
    };
    let slots = bytes.chunks(4096);
    slots.into_iter().any(|slot| {
        let fields = slot.chunks_exact(8);
        let here = fields.filter(|field| **field == index.to_le_bytes());
        here.count() == 3
    })
}

/// What was acknowledged, once every node's table of records covers it.
fn write_and_remember(cluster: &Cluster, label: &str) -> Vec<Acknowledged> {
    let acknowledged = write(cluster, label);
    cluster.wait_for("all tables of records to say so", || {
        let index = cluster.wait_until_equal().applied;
        let all = (0..3).all(|node| knows_all_at(cluster, node, index));
        all.then_some(())
    });
    acknowledged
}

/// `changed` has another data directory than it stopped with. It must not help the other follower to
/// be elected while the leader is away; and when that is back, it must get everything again.
fn is_noticed_and_made_good(
    cluster: &mut Cluster,
    (leader, changed): (usize, usize),
    acknowledged: &[Acknowledged],
) {
    let other = 3 - leader - changed;
    cluster.terminate(leader);
    cluster.restart(changed);
    cluster.wait_for("the disk to be noticed", || {
        (cluster.metric(changed, "quorate_refilling") == 1.0).then_some(())
    });
    cluster.wait_for("the other to miss the leader", || {
        let log = cluster.nodes[other].log_text();
        log.contains("no leader is known").then_some(())
    });
    // In vain: with the disk that it had, the other's vote would elect it at once.
    std::thread::sleep(IN_VAIN);
    assert_eq!(cluster.leader(), None);
    assert_eq!(cluster.metric(changed, "quorate_refilling"), 1.0);
    cluster.restart(leader);
    cluster.wait_for("the disk to be made good", || {
        (cluster.metric(changed, "quorate_refilling") == 0.0).then_some(())
    });
    cluster.wait_until_equal();
    for node in 0..cluster.len() {
        let lost = find_lost(&cluster.endpoint(node), acknowledged);
        assert!(lost.is_empty(), "n{} lost {lost:?}", node + 1);
    }
    let log = cluster.nodes[changed].log_text();
    assert!(log.contains("has gone back in time"), "{log}");
    assert!(log.contains("has got back all"), "{log}");
}

#[test]
fn an_older_copy_of_a_data_directory_is_noticed_and_made_good() {
    let mut cluster = Plan::of(3).start();
    let leader = cluster.wait_for_leader();
    let changed = (leader + 1) % 3;
    let mut acknowledged = write(&cluster, "before");
    cluster.terminate(changed);
    let directory = cluster.nodes[changed].directory.clone();
    let older = directory.with_extension("older");
    copy(&directory, &older);
    cluster.restart(changed);
    acknowledged.extend(write_and_remember(&cluster, "since"));
    let leader = cluster.wait_for_leader();
    cluster.terminate(changed);
    fs::remove_dir_all(&directory).expect("removed");
    fs::rename(&older, &directory).expect("put back");
    is_noticed_and_made_good(&mut cluster, (leader, changed), &acknowledged);
}

#[test]
fn an_emptied_data_directory_is_noticed_and_made_good() {
    let mut cluster = Plan::of(3).start();
    let acknowledged = write_and_remember(&cluster, "since");
    let leader = cluster.wait_for_leader();
    let changed = (leader + 1) % 3;
    cluster.terminate(changed);
    fs::remove_dir_all(&cluster.nodes[changed].directory).expect("removed");
    is_noticed_and_made_good(&mut cluster, (leader, changed), &acknowledged);
}

#[test]
fn members_that_were_all_restored_from_copies_go_on_when_told_that_nobody_has_more() {
    let mut cluster = Plan::of(3).start();
    let acknowledged = write_and_remember(&cluster, "since");
    let restored = [0, 1];
    for node in restored {
        cluster.terminate(node);
        let directory = cluster.nodes[node].directory.clone();
        copy(&directory, &directory.with_extension("older"));
        cluster.restart(node);
        cluster.wait_for_leader();
    }
    write_and_remember(&cluster, "after the copies");
    for node in 0..3 {
        cluster.terminate(node);
    }
    for node in restored {
        let directory = cluster.nodes[node].directory.clone();
        fs::remove_dir_all(&directory).expect("removed");
        fs::rename(directory.with_extension("older"), &directory).expect("put back");
    }
    for node in 0..3 {
        cluster.restart(node);
    }
    // Two of three have lost something: the third cannot tell what those two decided.
    cluster.wait_for("both disks to be noticed", || {
        let noticed = |node: &usize| cluster.metric(*node, "quorate_refilling") == 1.0;
        restored.iter().all(noticed).then_some(())
    });
    std::thread::sleep(IN_VAIN);
    assert_eq!(cluster.leader(), None);
    for node in restored {
        cluster.terminate(node);
        cluster.nodes[node]
            .flags
            .push("--accept-old-disk".to_owned());
        cluster.restart(node);
    }
    cluster.wait_for_leader();
    cluster.wait_until_equal();
    for node in 0..3 {
        let lost = find_lost(&cluster.endpoint(node), &acknowledged);
        assert!(lost.is_empty(), "n{} lost {lost:?}", node + 1);
    }
    for node in restored {
        assert_eq!(cluster.metric(node, "quorate_refilling"), 0.0);
        cluster.nodes[node].flags.clear();
        cluster.terminate(node);
        cluster.restart(node);
    }
    // Once was enough.
    cluster.wait_for_leader();
    cluster.wait_until_equal();
    for node in restored {
        assert_eq!(cluster.metric(node, "quorate_refilling"), 0.0);
    }
}

//! A disk that is full ends the node with one clear line, and costs nothing that was acknowledged.

use std::collections::BTreeMap;
use std::fs;

use quorate_proto::etcdserverpb::PutRequest;

use crate::cluster::{Cluster, Pairs, Plan, SmallDisk, kv, quorate_command, run, runtime};

const MIB: u64 = 1 << 20;
/// Room for the log's first segment, the one prepared behind it, and some.
const DISK_BYTES: u64 = 240 * MIB;
const VALUE_BYTES: usize = 1 << 20;

#[test]
fn a_full_disk_ends_the_node_with_one_clear_line_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else {
        return;
    };
    let mut cluster = Plan::of(1).directories(&[disk.path().join("data")]).start();
    let ballast = disk.fill_up_to(4 * MIB);
    let acknowledged = write_until_refused(&cluster);
    assert!(!acknowledged.is_empty());
    let how = cluster.nodes[0].wait_until_ended();
    assert_eq!(how.code(), Some(1), "{}", cluster.nodes[0].log_end());
    let log = cluster.nodes[0].log_text();
    let last_words: Vec<&str> = log.lines().filter(|line| line.starts_with("quorate:")).collect();
    assert_eq!(last_words.len(), 1, "{last_words:?}");
    assert!(last_words[0].contains("No space left on device"), "{last_words:?}");
    assert!(log.ends_with(&format!("{}\n", last_words[0])), "{log}");

    fs::remove_file(ballast).expect("removed");
    cluster.restart(0);
    cluster.wait_until_healthy(0);
    let found = cluster.read_all(0);
    for (key, value) in &acknowledged {
        assert!(found.get(key) == Some(value), "lost {}", String::from_utf8_lossy(key));
    }
    // The write that met the full disk was never answered; it may be there or not.
    assert!(found.len() <= acknowledged.len() + 1);
}

/// Puts large values until one is not acknowledged; gives the others.
fn write_until_refused(cluster: &Cluster) -> Pairs {
    let mut acknowledged = BTreeMap::new();
    runtime().block_on(async {
        let mut kv = kv(&cluster.endpoint(0));
        for number in 0..DISK_BYTES / MIB {
            let key = format!("key{number}").into_bytes();
            let value = vec![number as u8; VALUE_BYTES];
            let put = PutRequest {
                key: key.clone().into(),
                value: value.clone().into(),
                ..Default::default()
            };
            match kv.put(put).await {
                Ok(_) => {
                    acknowledged.insert(key, value);
                }
                Err(refusal) => {
                    eprintln!("after {} MiB: {refusal}", acknowledged.len());
                    return;
                }
            }
        }
        panic!("the disk took {DISK_BYTES} bytes and more");
    });
    acknowledged
}

#[test]
fn a_node_that_finds_a_full_disk_does_not_start_and_says_so() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else {
        return;
    };
    let mut cluster = Plan::of(1).start();
    cluster.terminate(0);
    let node = &cluster.nodes[0];
    let words = node.words();
    let words = words.iter().filter(|word| !word.starts_with("--data-dir="));
    disk.fill_up_to(4 * MIB);
    let ran = run(
        quorate_command()
            .args(words)
            .arg("--log-level=error")
            .arg(format!("--data-dir={}", disk.path().join("data").display())),
        "",
    );
    assert_eq!((ran.code, ran.error.lines().count()), (Some(1), 1), "{ran:?}");
    assert!(ran.error.contains("No space left on device"), "{ran:?}");
}

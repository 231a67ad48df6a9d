//! 3B: the key-value store with snapshots.

use super::clerk::Clerk;
use super::kv_lab::{KvLab, KvSetup};
use super::lab::{T, Verdict, demand};
use super::scenario::{Scenario, Script, Steps, Suite};
use super::suite_3a::{General, check_sizes, general, speed};

/// Bytes of log after which a server takes a snapshot.
const MAX_RAFT_STATE: u64 = 1_000;

/// What a snapshot of one small key may take, whatever was written to it before.
const SMALL_SNAPSHOT_BYTES: u64 = 500;

const fn scenario(
    title: &'static str,
    name: &'static str,
    (servers, is_unreliable): (usize, bool),
    steps: fn(KvLab) -> Steps,
) -> Scenario {
    Scenario {
        suite: Suite::KeyValue3B,
        title,
        name,
        servers,
        baseline: None,
        script: Script::KeyValue(
            KvSetup {
                is_unreliable,
                max_raft_state: Some(MAX_RAFT_STATE),
            },
            steps,
        ),
    }
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario(
        "a snapshot for a server that was away",
        "kv_snapshot_rpc",
        (3, false),
        |lab| Box::pin(snapshot_rpc(lab)),
    ),
    scenario(
        "snapshot size is reasonable",
        "kv_snapshot_size",
        (3, false),
        |lab| Box::pin(snapshot_size(lab)),
    ),
    scenario(
        "ops complete fast enough, snapshots",
        "kv_snapshot_speed",
        (3, false),
        |lab| Box::pin(snapshot_speed(lab)),
    ),
    scenario(
        "restarts, snapshots, one client",
        "kv_snapshot_recover",
        (5, false),
        |lab| Box::pin(general(lab, General::of(1).crashes())),
    ),
    scenario(
        "restarts, snapshots, many clients",
        "kv_snapshot_recover_many_clients",
        (5, false),
        |lab| Box::pin(general(lab, General::of(20).crashes())),
    ),
    scenario(
        "unreliable net, snapshots, many clients",
        "kv_snapshot_unreliable",
        (5, true),
        |lab| Box::pin(general(lab, General::of(5))),
    ),
    scenario(
        "unreliable net, restarts, snapshots, many clients",
        "kv_snapshot_unreliable_recover",
        (5, true),
        |lab| Box::pin(general(lab, General::of(5).crashes())),
    ),
    scenario(
        "unreliable net, restarts, partitions, snapshots, many clients",
        "kv_snapshot_unreliable_recover_concurrent_partition",
        (5, true),
        |lab| Box::pin(general(lab, General::of(5).crashes().partitions())),
    ),
    scenario(
        "unreliable net, restarts, partitions, snapshots, random keys, many clients",
        "kv_snapshot_unreliable_recover_concurrent_partition_linearizable",
        (7, true),
        |lab| {
            let general_of = General::of(15).crashes().partitions().random_keys();
            Box::pin(general(lab, general_of))
        },
    ),
];

/// A server misses so much that the others have forgotten the log of it, and is then needed.
async fn snapshot_rpc(lab: KvLab) -> Verdict {
    let mut everywhere = Clerk::of_all(&lab, 0);
    everywhere.put("a", "A").await;

    lab.partition(&[0, 0, 1]);
    let mut clerk = Clerk::new(&lab, 1, vec![0, 1]);
    for number in 0..50 {
        let text = number.to_string();
        clerk.put(&text, &text).await;
    }
    lab.sleep(T).await;
    clerk.put("b", "B").await;
    check_sizes(&lab).await?;
    let before = lab.snapshots_installed();

    lab.partition(&[0, 1, 0]);
    let mut clerk = Clerk::new(&lab, 2, vec![0, 2]);
    clerk.put("c", "C").await;
    clerk.put("d", "D").await;
    for (key, expected) in [("a", "A"), ("b", "B"), ("1", "1"), ("49", "49")] {
        reads(&mut clerk, key, expected).await?;
    }
    demand!(
        lab.snapshots_installed() > before,
        "server 2 was away for long and is there again, but not by a snapshot"
    );

    lab.heal();
    everywhere.put("e", "E").await;
    for (key, expected) in [("c", "C"), ("e", "E"), ("1", "1")] {
        reads(&mut everywhere, key, expected).await?;
    }
    lab.check_history()
}

async fn reads(clerk: &mut Clerk, key: &str, expected: &str) -> Verdict {
    let value = clerk.get(key).await;
    demand!(
        value == expected,
        "{key:?} is {value:?} instead of {expected:?}"
    );
    Ok(())
}

/// One key, written again and again: what was overwritten and compacted takes no room.
async fn snapshot_size(lab: KvLab) -> Verdict {
    let mut clerk = Clerk::of_all(&lab, 0);
    for _ in 0..200 {
        for value in ["0", "1"] {
            clerk.put("x", value).await;
            reads(&mut clerk, "x", value).await?;
        }
    }
    check_sizes(&lab).await?;
    let bytes = lab.max_snapshot_bytes();
    demand!(
        bytes <= SMALL_SNAPSHOT_BYTES,
        "a snapshot of one small key takes {bytes} bytes"
    );
    lab.check_history()
}

async fn snapshot_speed(lab: KvLab) -> Verdict {
    speed(lab.clone()).await?;
    check_sizes(&lab).await
}

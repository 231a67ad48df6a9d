use std::time::Duration;

use super::*;
use crate::test_servers::{cores, put, start, wait_until};

/// Often enough for a test.
const EVERY: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread")]
async fn all_but_the_newest_revisions_are_forgotten_on_every_member() {
    let directory = tempfile::tempdir().expect("a directory");
    let rule = AutoCompaction::Revisions {
        retention: 5,
        every: EVERY,
    };
    let servers = start(3, directory.path(), |settings| {
        settings.auto_compaction = rule;
    })
    .await;
    let cores = cores(&servers);
    for i in 0..20 {
        put(&cores[0], "key", &i.to_string()).await;
    }
    let revision = cores[0].store().revision();
    wait_until("all are compacted", || {
        let compacted = cores.iter().map(|core| core.store().compacted_revision());
        compacted.min() == Some(revision - 5)
    })
    .await;
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_versions_go_when_four_fifths_of_the_quota_are_used_and_not_before() {
    const QUOTA: usize = 1 << 20;
    let directory = tempfile::tempdir().expect("a directory");
    let servers = start(1, directory.path(), |settings| {
        settings.quota_backend_bytes = QUOTA as i64;
        settings.auto_compaction = AutoCompaction::WhenFull {
            retention: Duration::from_millis(100),
            every: EVERY,
        };
    })
    .await;
    let core = &cores(&servers)[0];
    let value = "v".repeat(64 << 10);
    let mut written = 0;
    while core.store().memory_bytes() < QUOTA / 2 {
        put(core, "key", &value).await;
        written += 1;
    }
    // As long as several looks and retentions: nothing may come of them.
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(core.store().compacted_revision(), -1, "half of it is used");
    while core.store().memory_bytes() < QUOTA * 8 / 10 {
        put(core, "key", &value).await;
        written += 1;
    }
    wait_until("old versions are gone", || {
        core.store().memory_bytes() < QUOTA / 2
    })
    .await;
    assert!(core.store().compacted_revision() > 1, "{written} versions");
    for server in servers {
        server.stop().await;
    }
}

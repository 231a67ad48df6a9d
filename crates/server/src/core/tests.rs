use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use super::*;
use crate::settings::Member;
use quorate_replica::MemberTable;

/// A member of one without its threads: nothing is ever answered, and no leader is known.
pub(crate) fn without_threads() -> Arc<Core> {
    let member = Member {
        name: "n1".to_owned(),
        peer_urls: Vec::new(),
    };
    let settings = ServerSettings {
        name: member.name.clone(),
        data_dir: std::path::PathBuf::new(),
        listen_client: Vec::new(),
        listen_peer: Vec::new(),
        listen_metrics: Vec::new(),
        advertise_client_urls: Vec::new(),
        members: vec![member],
        join_existing: false,
        cluster_token: String::new(),
        heartbeat_interval: Duration::from_millis(100),
        election_timeout: Duration::from_secs(1),
        pre_vote: true,
        lease_reads: false,
        accepts_old_disk: false,
        max_request_bytes: 1 << 20,
        lease_checkpoints: false,
        protocol_version: quorate_replica::HIGHEST_PROTOCOL_VERSION,
        max_txn_ops: 128,
        quota_backend_bytes: 0,
        auto_compaction: quorate_replica::AutoCompaction::Off,
        initial_corrupt_check: false,
        corrupt_check_interval: None,
        cors: Vec::new(),
        json_gateway: true,
        watch_progress_interval: Duration::from_secs(600),
        snapshot_log_bytes: 64 << 20,
    };
    let identity = MemberIdentity {
        cluster_id: 1,
        member_id: 2,
        boot_nonce: 3,
        highest_version: 2,
        began_with: 1,
    };
    let clock = Clock::start();
    let members = Members::new(2, MemberTable::of_voters([2]), MemberTable::default());
    Core::new(settings, identity, clock, Store::default(), members)
}

#[test]
fn of_several_snapshots_to_go_on_from_only_the_newest_is_loaded() {
    let meta = |index| SnapshotMeta {
        index: LogIndex(index),
        term: Term(1),
        membership: quorate_raft::Membership::of_voters(vec![NodeId(2)]),
    };
    let mut inputs = vec![
        ApplyInput::Restore(meta(5)),
        ApplyInput::Entries(Vec::new()),
        ApplyInput::Restore(meta(9)),
        ApplyInput::SnapshotEnded(None),
    ];
    for _ in 0..2 {
        ApplyInput::keep_newest_restore(&mut inputs);
        let [
            ApplyInput::Entries(_),
            ApplyInput::Restore(newest),
            ApplyInput::SnapshotEnded(_),
        ] = &inputs[..]
        else {
            panic!("something else was dropped");
        };
        assert_eq!(newest.index, LogIndex(9));
    }
}

#[test]
fn a_write_whose_client_gives_up_is_pending_no_more() {
    let core = without_threads();
    {
        let mut write = pin!(core.write(CommandKind::Put, Bytes::new()));
        let mut context = Context::from_waker(Waker::noop());
        assert!(write.as_mut().poll(&mut context).is_pending());
        assert_eq!(core.metrics.proposals_pending.get(), 1);
    }
    assert_eq!(core.metrics.proposals_pending.get(), 0);
}

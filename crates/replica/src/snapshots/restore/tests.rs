use std::time::Duration;

use quorate_disk::{Crash, SimDisk};
use quorate_kv::{Answer, Command, Store};
use quorate_proto::envelope::RequestId;
use quorate_proto::etcdserverpb::{LeaseGrantRequest, PutRequest};
use quorate_raft::{Instant, LogIndex, NodeId};

use super::*;
use crate::members::Member;
use crate::node::{Node, NodeSettings};
use crate::snapshot_head::SnapshotHead;

/// As of index 9, term 4, of a cluster of members 1 to 3.
fn backup() -> LoadedSnapshot {
    let mut store = Store::new();
    let grant = Command::LeaseGrant(LeaseGrantRequest { ttl: 60, id: 5 });
    store.apply(1, &grant, Answer::Discard).unwrap();
    for index in 2..10 {
        let put = Command::Put(PutRequest {
            key: format!("k{index}").into(),
            value: "v".into(),
            lease: 5,
            ..PutRequest::default()
        });
        store.apply(index, &put, Answer::Discard).unwrap();
    }
    let old = MemberTable::of_voters([1, 2, 3]);
    let mut head = SnapshotHead {
        applied_index: 9,
        applied_term: 4,
        membership: old.membership(),
        log_time_ms: 77,
        cluster_version: 1,
        members: old,
        ..SnapshotHead::default()
    };
    let request = RequestId {
        member: 2,
        boot_nonce: 8,
        sequence: 1,
    };
    head.duplicates.admit(request, LogIndex(9));
    LoadedSnapshot {
        head,
        store,
        bytes: 0,
    }
}

fn founders() -> MemberTable {
    MemberTable::new([11, 12].map(|id| {
        let member = Member {
            name: format!("n{id}"),
            peer_urls: vec![format!("http://n{id}:2380")],
            ..Member::default()
        };
        (id, member)
    }))
}

fn settings(member_id: u64) -> RestoreSettings {
    RestoreSettings {
        cluster_id: 99,
        member_id,
        founders: founders(),
        salt: member_id,
        bump_revision: NonZeroU64::new(100),
    }
}

fn open(disk: &SimDisk, member_id: u64) -> Node<SimDisk> {
    let settings = NodeSettings {
        cluster_id: 99,
        member_id,
        founders: founders(),
        boot_nonce: 1,
        heartbeat_interval: Duration::from_millis(100),
        election_timeout: Duration::from_secs(1),
        pre_vote: true,
        record_interval: None,
        lease_reads: false,
        accepts_old_disk: false,
        empty_entry_on_election: true,
        memory_log_bytes: None,
        append_bytes: None,
        seed: 1,
        segment_bytes: None,
        snapshot_log_bytes: 1 << 20,
        snapshot_chunk_bytes: None,
        lease_checkpoints: false,
        highest_version: crate::HIGHEST_PROTOCOL_VERSION,
    };
    Node::open(disk.clone(), &settings, Instant::ZERO, 0).unwrap()
}

#[test]
fn founders_begin_with_one_snapshot_and_an_empty_log_after_it_and_nothing_of_the_old_cluster() {
    let restored = [11, 12].map(|member| {
        let disk = SimDisk::new();
        let restored = restore(disk.clone(), backup(), &settings(member)).unwrap();
        // It is durable.
        disk.crash(Crash::LoseUnsynced);
        let node = open(&disk, member);
        assert!(node.damaged.is_empty() && node.notes.is_empty());
        let status = node.consensus.status().raft;
        assert_eq!(status.commit, LogIndex(9));
        // Not the term that others who restored the same begin with.
        let skipped = settings(member).salt % TERMS_SKIPPED_MAX;
        assert_eq!(status.term.0, 4 + skipped);
        assert_eq!(node.members, founders());
        let voters = [NodeId(11), NodeId(12)];
        assert!(node.applier.membership().voters.iter().eq(&voters));
        let head = node.applier.capture_head();
        assert_eq!((head.log_time_ms, head.cluster_version), (77, 1));
        assert_eq!(head.duplicates, Duplicates::default());
        assert_eq!(node.store.revision(), 109);
        assert_eq!(node.store.lease_key_count(5), 8);
        restored
    });
    assert_eq!(restored[0], restored[1]);
    assert_eq!((restored[0].revision, restored[0].keys), (109, 8));
    assert_eq!(restored[0].id.mark, SnapshotMark { index: 9, term: 4 });
}

#[test]
fn founders_that_begin_with_different_states_can_tell() {
    let began_with = |bump| {
        let settings = RestoreSettings {
            bump_revision: NonZeroU64::new(bump),
            ..settings(11)
        };
        let restored = restore(SimDisk::new(), backup(), &settings).unwrap();
        restored.began_with
    };
    assert_ne!(began_with(1), began_with(2));
    assert_ne!(began_with(0), began_with(2));
}

#[test]
fn a_disk_that_holds_a_log_is_left_alone() {
    let disk = SimDisk::new();
    restore(disk.clone(), backup(), &settings(11)).unwrap();
    let again = restore(disk.clone(), backup(), &settings(11));
    assert!(matches!(again, Err(RestoreError::NotEmpty)));
    assert_eq!(open(&disk, 11).store.revision(), 109);
}

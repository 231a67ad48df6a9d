//! An applier that goes on from a snapshot: nothing is applied twice, nobody is left waiting.

use prost::Message as _;
use quorate_disk::SimDisk;
use quorate_kv::{SnapshotLoader, Store};
use quorate_proto::envelope::{CommandEnvelope, CommandKind, RequestId};
use quorate_proto::etcdserverpb::{DeleteRangeRequest, PutRequest};
use quorate_raft::{Entry, Instant, LogIndex, Payload, ReadGrant, ReadId, Term};
use quorate_replica::{RequestError, SnapshotHead};

use crate::support::versions;
use quorate_sim::world::{Process, World};

fn process() -> Process {
    let settings = World::quiet(3).settings(0);
    Process::open(&SimDisk::new(), &settings, Instant::ZERO, 0)
        .unwrap()
        .0
}

/// A command of this node's, or of another's.
fn command(index: u64, ours: bool, sequence: u64, kind: CommandKind, body: Vec<u8>) -> Entry {
    let settings = World::quiet(3).settings(0);
    let envelope = CommandEnvelope {
        request_id: RequestId {
            member: settings.member_id + u64::from(!ours),
            boot_nonce: settings.boot_nonce,
            sequence,
        },
        kind,
        log_time_ms: 1_000 * index,
        user: String::new(),
        auth_revision: 0,
        session: 0,
        session_sequence: 0,
        body: body.into(),
    };
    Entry {
        index: LogIndex(index),
        term: Term(2),
        payload: Payload::Command(envelope.encode()),
    }
}

fn put(index: u64, ours: bool, sequence: u64) -> Entry {
    let put = PutRequest {
        key: format!("k{sequence}").into(),
        value: "v".into(),
        ..PutRequest::default()
    };
    command(index, ours, sequence, CommandKind::Put, put.encode_to_vec())
}

fn delete_all(index: u64, sequence: u64) -> Entry {
    let delete = DeleteRangeRequest {
        key: "\0".into(),
        range_end: "\0".into(),
        ..DeleteRangeRequest::default()
    };
    let body = delete.encode_to_vec();
    command(index, true, sequence, CommandKind::DeleteRange, body)
}

fn empty(index: u64, term: u64) -> Entry {
    Entry {
        index: LogIndex(index),
        term: Term(term),
        payload: Payload::Empty,
    }
}

fn apply(node: &mut Process, entries: Vec<Entry>) -> Vec<(u64, bool)> {
    node.applier.committed(entries);
    let mut answers = Vec::new();
    loop {
        let progress = node.applier.step(&mut node.store, 100).unwrap();
        let these = progress.answers.iter();
        answers.extend(these.map(|answer| (answer.sequence, answer.result.is_ok())));
        if !progress.more {
            return answers;
        }
    }
}

/// Through bytes and back, as another member would get it.
fn snapshot(node: &mut Process) -> (SnapshotHead, Store) {
    let head = node.applier.capture_head();
    let mut scan = node.store.capture_snapshot().unwrap();
    let mut loader = SnapshotLoader::new();
    while let Some(bytes) = node.store.scan_snapshot(&mut scan, 100) {
        loader.feed(&bytes).unwrap();
    }
    let head = SnapshotHead::decode(&head.encode()).unwrap();
    (head, loader.finish().unwrap())
}

/// Pitfall 25: "sessions inside snapshots".
#[test]
fn a_request_that_a_snapshot_contains_is_not_applied_again_after_it() {
    let mut source = process();
    let version = command(3, false, 0, CommandKind::ClusterVersion, vec![1, 0, 0, 0]);
    let before = vec![put(1, false, 1), put(2, false, 2), version, empty(4, 3)];
    apply(&mut source, before);
    let (head, store) = snapshot(&mut source);
    assert_eq!((head.applied_index, head.applied_term), (4, 3));
    assert_eq!((head.log_time_ms, head.cluster_version), (3_000, 1));
    assert_eq!(head.membership.voters.len(), 3);

    let mut loaded = process();
    loaded.store = store;
    assert!(loaded.applier.restore(head, 1_000).is_empty());
    assert_eq!(loaded.applier.applied(), LogIndex(4));
    assert_eq!(loaded.applier.log_time_ms(), 3_000);
    assert_eq!(loaded.applier.cluster_version(), 1);
    let after = || vec![put(5, false, 2), put(6, false, 3), put(7, true, 9)];
    for node in [&mut source, &mut loaded] {
        assert_eq!(apply(node, after()), [(9, true)]);
        assert_eq!(node.applier.duplicate_count(), 1);
        assert_eq!(versions(&node.store, ""), [1, 1, 1, 1]);
    }
    assert_eq!(source.store.state_hash(), loaded.store.state_hash());
    let heads = [&source, &loaded].map(|node| node.applier.capture_head());
    assert_eq!(heads[0].encode(), heads[1].encode());
}

#[test]
fn who_waits_for_what_a_snapshot_contains_hears_that_the_outcome_is_unknown() {
    let mut source = process();
    let entries = |first: u64| -> Vec<Entry> {
        let all = [
            put(1, true, 1),
            put(2, true, 2),
            delete_all(3, 3),
            put(4, false, 4),
            put(5, true, 5),
            put(6, true, 6),
        ];
        all.into_iter().filter(|e| e.index.0 >= first).collect()
    };
    apply(&mut source, entries(1));
    let (head, _) = snapshot(&mut source);

    let mut node = process();
    let mut later = entries(1);
    later.push(put(7, true, 7));
    node.applier.committed(later);
    let grant = ReadGrant {
        id: ReadId(1),
        index: LogIndex(6),
    };
    node.applier.granted(grant);
    node.applier.step(&mut node.store, 3).unwrap();
    assert!(!node.applier.is_between_commands());
    let answers = node.applier.restore(head, 1_000);
    let unknown: Vec<u64> = answers
        .iter()
        .filter(|answer| answer.result == Err(RequestError::LeaderLost))
        .map(|answer| answer.sequence)
        .collect();
    assert_eq!((unknown, answers.len()), (vec![3, 5, 6], 3));
    assert!(node.applier.is_between_commands());
    node.store = snapshot(&mut source).1;
    let progress = node.applier.step(&mut node.store, 100).unwrap();
    assert_eq!(progress.released, [ReadId(1)]);
    let answered: Vec<u64> = progress.answers.iter().map(|a| a.sequence).collect();
    assert_eq!(answered, [7], "what came after it is applied");
}

#[test]
#[should_panic(expected = "in the middle of the entry after it")]
fn no_head_is_captured_in_the_middle_of_a_command() {
    let mut node = process();
    apply(&mut node, vec![put(1, true, 1), put(2, true, 2)]);
    node.applier.committed(vec![delete_all(3, 3)]);
    node.applier.step(&mut node.store, 1).unwrap();
    let _ = node.applier.capture_head();
}

#[test]
#[should_panic(expected = "would undo what was applied")]
fn a_snapshot_from_before_what_was_applied_is_not_gone_back_to() {
    let mut node = process();
    apply(&mut node, vec![put(1, true, 1)]);
    let (head, _) = snapshot(&mut node);
    apply(&mut node, vec![put(2, true, 2)]);
    node.applier.restore(head, 1_000);
}

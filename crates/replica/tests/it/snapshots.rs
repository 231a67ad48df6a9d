//! Snapshots taken, fallen back on, and the log that is let go of for them.

use std::ops::RangeInclusive;

use bytes::Bytes;
use prost::Message as _;
use quorate_disk::{Disk, Effect, ErrorKind, Fault, Operation, SimDisk};
use quorate_proto::envelope::{CommandEnvelope, CommandKind, RequestId};
use quorate_proto::etcdserverpb::PutRequest;
use quorate_raft::{
    Entry, Fetch, HardState, Instant, LogIndex, Membership, Message, NodeId, Payload, SnapshotMark,
    SnapshotMeta, Term, Write, WriteId,
};
use quorate_replica::{Node, NodeSettings, OpenError, PeerMessage, SnapshotTaker};
use quorate_sim::world::World;
use quorate_wal::snapshot::{SnapshotFiles, SnapshotId};
use quorate_wal::{Note, WalError};

/// Small segments and chunks, and a snapshot after every entry or so.
fn settings(member: usize) -> NodeSettings {
    NodeSettings {
        segment_bytes: Some(16 << 10),
        snapshot_log_bytes: 1,
        snapshot_chunk_bytes: Some(100),
        // Nobody is there to be asked what the disk is worth.
        record_interval: Some(std::time::Duration::ZERO),
        ..World::quiet(3).settings(member)
    }
}

fn try_open(disk: &SimDisk, member: usize) -> Result<Node<SimDisk>, OpenError> {
    Node::open(disk.clone(), &settings(member), Instant::ZERO, 0)
}

pub(crate) fn node(disk: &SimDisk, member: usize) -> Node<SimDisk> {
    try_open(disk, member).unwrap()
}

pub(crate) fn node_id(member: usize) -> u64 {
    settings(member).member_id
}

/// A put of as many bytes.
fn put(index: u64, bytes: usize) -> Entry {
    let put = PutRequest {
        key: format!("k{index}").into(),
        value: vec![b'v'; bytes].into(),
        ..PutRequest::default()
    };
    let envelope = CommandEnvelope {
        request_id: RequestId {
            member: 99,
            boot_nonce: 1,
            sequence: index,
        },
        kind: CommandKind::Put,
        log_time_ms: 1_000 * index,
        user: String::new(),
        auth_revision: 0,
        session: 0,
        session_sequence: 0,
        body: put.encode_to_vec().into(),
    };
    Entry {
        index: LogIndex(index),
        term: Term(1),
        payload: Payload::Command(envelope.encode()),
    }
}

pub(crate) fn apply(node: &mut Node<SimDisk>, indexes: RangeInclusive<u64>) {
    let entries = indexes.map(|index| put(index, 20));
    node.applier.committed(entries.collect());
    while node.applier.step(&mut node.store, 100).unwrap().more {}
}

/// A snapshot of what has been applied.
pub(crate) fn take(node: &mut Node<SimDisk>) -> SnapshotId {
    let capture = node.applier.capture_if_due(&mut node.store).unwrap();
    let mut taker = SnapshotTaker::begin(&node.snapshots, capture).unwrap();
    while let Some(piece) = taker.scan(&node.store) {
        taker.write(&piece).unwrap();
    }
    let mark = mark_at(taker.finish().unwrap().meta.index.0);
    node.applier.snapshot_ended(None);
    node.snapshots.verify(mark).unwrap()
}

fn mark_at(index: u64) -> quorate_wal::SnapshotMark {
    quorate_wal::SnapshotMark { index, term: 1 }
}

/// Everything in a snapshot.
pub(crate) fn content(files: &SnapshotFiles<SimDisk>, mark: quorate_wal::SnapshotMark) -> Vec<u8> {
    let mut reader = files.read(mark).unwrap();
    let chunks = 0..reader.id().chunk_count();
    let chunks: Vec<Bytes> = chunks
        .map(|number| reader.chunk(number).unwrap().data)
        .collect();
    chunks.concat()
}

/// A sound file around whatever content.
pub(crate) fn write_content(
    files: &SnapshotFiles<SimDisk>,
    mark: quorate_wal::SnapshotMark,
    content: &[u8],
) -> SnapshotId {
    let mut writer = files.write(mark).unwrap();
    writer.write(content).unwrap();
    writer.finish().unwrap()
}

fn write(id: u64, entries: Vec<Entry>, snapshot: Option<SnapshotMark>) -> Write {
    Write {
        id: WriteId(id),
        hard_state: Some(HardState {
            term: Term(1),
            vote: None,
            refilling: false,
        }),
        truncate_after: None,
        snapshot,
        entries,
    }
}

/// Entries 1 to `last`, of 2,000 bytes, over many segments.
fn log(node: &mut Node<SimDisk>, last: u64) {
    for first in (1..=last).step_by(4) {
        let entries = (first..first + 4).map(|index| put(index, 2_000)).collect();
        let writes = vec![write(first, entries, None)];
        node.log_writer.write(writes).unwrap();
    }
}

/// The mark of a snapshot at `index`, with the log kept from `keep_from` on.
fn marked(id: u64, index: u64, keep_from: u64) -> Write {
    let mark = SnapshotMark {
        index: LogIndex(index),
        term: Term(1),
        release_before: LogIndex(keep_from),
    };
    write(id, Vec::new(), Some(mark))
}

/// Eight entries, and snapshots at 3 and at 6. The content of the newer misses its last byte.
fn with_an_unreadable_newest() -> SimDisk {
    let disk = SimDisk::new();
    let mut node = node(&disk, 0);
    let entries = (1..=8).map(|index| put(index, 20)).collect();
    node.log_writer
        .write(vec![write(1, entries, None)])
        .unwrap();
    apply(&mut node, 1..=3);
    take(&mut node);
    node.log_writer.write(vec![marked(2, 3, 1)]).unwrap();
    apply(&mut node, 4..=6);
    let newest = take(&mut node);
    node.log_writer.write(vec![marked(3, 6, 4)]).unwrap();
    let mut bytes = content(&node.snapshots, newest.mark);
    bytes.pop();
    write_content(&node.snapshots, newest.mark, &bytes);
    disk
}

/// The bytes of an entry's value in [`with_a_damaged_newest`]: from the fourth on each is worth a
/// snapshot.
fn value_bytes(index: u64) -> usize {
    if index <= 3 { 20 } else { 3_000 }
}

fn apply_large(node: &mut Node<SimDisk>, indexes: RangeInclusive<u64>) {
    let entries = indexes.map(|index| put(index, value_bytes(index)));
    node.applier.committed(entries.collect());
    while node.applier.step(&mut node.store, 100).unwrap().more {}
}

/// Eight entries, and snapshots at 3 and at 6. The newer is damaged.
fn with_a_damaged_newest() -> SimDisk {
    let disk = SimDisk::new();
    let mut node = node(&disk, 0);
    let entries = (1..=8).map(|index| put(index, value_bytes(index)));
    node.log_writer
        .write(vec![write(1, entries.collect(), None)])
        .unwrap();
    apply_large(&mut node, 1..=3);
    take(&mut node);
    node.log_writer.write(vec![marked(2, 3, 1)]).unwrap();
    apply_large(&mut node, 4..=6);
    take(&mut node);
    node.log_writer.write(vec![marked(3, 6, 4)]).unwrap();
    let name = format!("snapshot-00000000-{:016x}-{:016x}", 6, 1);
    assert!(disk.flip_bit(&name, 140, 1));
    disk
}

fn marks(node: &Node<SimDisk>) -> Vec<u64> {
    let list = node.snapshots.list().unwrap().snapshots;
    list.iter().map(|id| id.mark.index).collect()
}

#[test]
fn a_newest_snapshot_whose_content_makes_no_sense_gives_way_to_the_older_one() {
    let disk = with_an_unreadable_newest();
    let mut node = node(&disk, 0);
    assert_eq!(node.applier.applied(), LogIndex(3));
    let named = |note: &Note| matches!(note, Note::SnapshotUnused { mark, .. } if mark.index == 6);
    assert_eq!(node.notes.iter().filter(|note| named(note)).count(), 1);
    assert_eq!(
        marks(&node),
        [3],
        "it passes for one to fall back on no more"
    );
    // The log since the older one makes up for it.
    assert_eq!(node.consensus.status().raft.last_index, LogIndex(8));
    apply(&mut node, 4..=8);
    assert_eq!(node.store.key_count(), 8);
}

/// The next snapshot is due where the lost one was, or before it, or after it.
#[test]
fn a_node_that_began_with_the_older_snapshot_takes_its_next_wherever_it_is_due() {
    for next in 4..=8 {
        let disk = with_a_damaged_newest();
        let mut node = node(&disk, 0);
        assert_eq!(node.applier.applied(), LogIndex(3));
        apply_large(&mut node, 4..=next);
        let taken = take(&mut node);
        assert_eq!(taken.mark, mark_at(next));
        node.log_writer.write(vec![marked(4, next, 4)]).unwrap();
        let kept = node.snapshots.keep_newest(2, taken.mark).unwrap();
        assert_eq!(kept.kept, [mark_at(next), mark_at(3)]);
        while node.log_writer.release(3).unwrap() {}
        drop(node);

        let mut again = self::node(&disk, 0);
        assert_eq!(again.applier.applied(), LogIndex(next), "it is begun with");
        assert_eq!(again.consensus.status().raft.last_index, LogIndex(8));
        apply_large(&mut again, next + 1..=8);
        assert_eq!(again.store.key_count(), 8);
    }
}

/// As consensus hears of it: entries 1 to 4 of a leader, the third of which names the members.
fn follow_until_three_is_a_membership(consensus: &mut quorate_replica::Consensus) {
    let now = Instant::ZERO;
    let membership = Membership {
        learners: vec![NodeId(4)],
        ..Membership::of_voters((1..=3).map(NodeId).collect())
    };
    let mut entries: Vec<Entry> = (1..=4).map(|index| put(index, 20)).collect();
    entries[2].payload = Payload::Membership {
        membership: Box::new(membership),
        context: Bytes::new(),
    };
    let append = Message::Append {
        term: Term(1),
        previous_index: LogIndex::ZERO,
        previous_term: Term::ZERO,
        commit: LogIndex(4),
        entries,
        round: 1,
    };
    consensus.receive(now, 0, NodeId(1), PeerMessage::Raft(append));
    let written = consensus.take_effects(now, 0).write.unwrap().write;
    consensus.wrote(now, written.id);
    let applied = consensus.take_effects(now, 0).apply;
    assert_eq!(applied.last().unwrap().index, LogIndex(4));
}

/// Raft passes a snapshot over that names no members; so the log since is kept for the next one.
#[test]
fn a_snapshot_that_raft_has_no_use_for_lets_nothing_go() {
    let settings = NodeSettings {
        member_id: 4,
        ..settings(0)
    };
    assert!(settings.founders.get(4).is_none(), "it joins");
    let mut node = Node::open(SimDisk::new(), &settings, Instant::ZERO, 0).unwrap();
    follow_until_three_is_a_membership(&mut node.consensus);
    let mut mark_of = |index, membership: Membership| {
        let meta = SnapshotMeta {
            index: LogIndex(index),
            term: Term(1),
            membership,
        };
        node.consensus.snapshot_taken(Instant::ZERO, meta);
        let write = node.consensus.take_effects(Instant::ZERO, 0).write;
        write.and_then(|request| request.write.snapshot)
    };
    assert_eq!(mark_of(2, Membership::default()), None);
    let mark = mark_of(3, Membership::of_voters(vec![NodeId(1)])).unwrap();
    assert_eq!(
        (mark.index, mark.release_before),
        (LogIndex(3), LogIndex(1))
    );
    let mark = mark_of(4, Membership::of_voters(vec![NodeId(1)])).unwrap();
    assert_eq!(
        (mark.index, mark.release_before),
        (LogIndex(4), LogIndex(4))
    );
}

#[test]
fn a_disk_that_cannot_be_read_at_the_start_costs_no_snapshot() {
    let disk = with_an_unreadable_newest();
    let mut failed = 0;
    for after in 0.. {
        let fault = Fault {
            operation: Operation::Read,
            after,
            effect: Effect::Fail(ErrorKind::Io),
        };
        let state = disk.fork();
        state.inject(fault);
        if try_open(&state, 0).is_ok() {
            break;
        }
        failed += 1;
        let snapshots = |disk: &SimDisk| {
            let mut names = disk.list().unwrap();
            names.retain(|name| name.starts_with("snapshot"));
            names
        };
        assert_eq!(snapshots(&state), snapshots(&disk));
    }
    assert!(failed > 10, "only {failed} reads");
}

#[test]
fn a_log_that_no_snapshot_leads_up_to_says_why_each_will_not_do() {
    let disk = SimDisk::new();
    let mut node = node(&disk, 0);
    log(&mut node, 40);
    node.log_writer.write(vec![marked(2, 40, 41)]).unwrap();
    write_content(&node.snapshots, mark_at(40), b"no");
    while node.log_writer.release(40).unwrap() {}
    drop(node);
    let refused = try_open(&disk, 0).map(drop).unwrap_err();
    let OpenError::Log(error @ WalError::NoStart { .. }) = &refused else {
        panic!("{refused}")
    };
    assert!(
        error.to_string().contains("ends within its head"),
        "{error}"
    );
}

#[test]
fn the_log_is_let_go_of_by_what_was_verified_a_little_at_a_time_and_never_by_a_mark_alone() {
    let disk = SimDisk::new();
    let mut node = node(&disk, 0);
    log(&mut node, 80);
    let first_index = |node: &Node<SimDisk>| {
        let at = |index| Fetch {
            first: LogIndex(index),
            last: LogIndex(index),
            max_bytes: 1,
        };
        let is_there = |index: &u64| !node.log_reader.read(at(*index)).unwrap().is_empty();
        (1..=80).find(is_there).unwrap()
    };
    node.log_writer.write(vec![marked(2, 80, 61)]).unwrap();
    assert_eq!(first_index(&node), 1, "a mark alone releases nothing");
    assert!(!node.log_writer.release(0).unwrap());
    assert_eq!(first_index(&node), 1, "nothing was verified");
    let mut turns = 1;
    while node.log_writer.release(40).unwrap() {
        turns += 1;
    }
    let at_forty = first_index(&node);
    assert!(
        turns > 1 && (20..=41).contains(&at_forty),
        "{turns} {at_forty}"
    );
    // What consensus may still ask for stays, whatever the files would allow.
    while node.log_writer.release(80).unwrap() {}
    let at_sixty = first_index(&node);
    assert!(at_forty < at_sixty && at_sixty <= 61, "{at_sixty}");
}

/// So that a follower can go on with the file of the next leader.
#[test]
fn members_take_their_snapshots_at_the_same_entries_however_far_their_steps_go() {
    let taken = |entries_at_once: u64, max_keys| {
        let settings = NodeSettings {
            snapshot_log_bytes: 500,
            ..settings(0)
        };
        let mut node = Node::open(SimDisk::new(), &settings, Instant::ZERO, 0).unwrap();
        let mut indexes = Vec::new();
        for first in (1..=300).step_by(entries_at_once as usize) {
            let entries = first..(first + entries_at_once).min(301);
            let entries = entries.map(|index| put(index, 20 + index as usize % 7));
            node.applier.committed(entries.collect());
            loop {
                let more = node.applier.step(&mut node.store, max_keys).unwrap().more;
                if let Some(capture) = node.applier.capture_if_due(&mut node.store) {
                    indexes.push(capture.meta.index.0);
                    node.applier.snapshot_ended(Some(100));
                }
                if !more {
                    break;
                }
            }
        }
        assert_eq!(node.applier.applied(), LogIndex(300));
        indexes
    };
    let one_by_one = taken(1, 1);
    assert!(one_by_one.len() > 20, "{one_by_one:?}");
    for (entries_at_once, max_keys) in [(300, 1_000), (7, 3), (50, 1_000)] {
        assert_eq!(taken(entries_at_once, max_keys), one_by_one);
    }
}

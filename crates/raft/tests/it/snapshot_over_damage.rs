//! A snapshot that arrives while entries it covers are damaged, or not yet on their way to the disk.

use bytes::Bytes;
use quorate_raft::{
    Config, Damaged, Entry, HardState, Instant, LogIndex, Membership, Message, NodeId, Payload,
    Raft, Ready, Restored, SnapshotMeta, Term,
};

const NOW: Instant = Instant::ZERO;
const LEADER: NodeId = NodeId(1);
const TERM: Term = Term(1);

/// Node 2 of three; of its entries 1 to 5 the third is damaged.
fn damaged_node() -> Raft {
    let config = Config::new(NodeId(2), (1..=3).map(NodeId).collect());
    let restored = Restored {
        hard_state: HardState {
            term: TERM,
            vote: None,
            refilling: false,
        },
        last_index: LogIndex(5),
        term_runs: vec![(LogIndex(1), TERM)],
        damaged: vec![Damaged {
            first: LogIndex(3),
            last: LogIndex(3),
            least_term: TERM,
            greatest_term: Some(TERM),
        }],
        ..Restored::default()
    };
    Raft::new(config, restored, NOW).unwrap()
}

fn meta(index: u64) -> SnapshotMeta {
    SnapshotMeta {
        index: LogIndex(index),
        term: TERM,
        membership: Membership::of_voters((1..=3).map(NodeId).collect()),
    }
}

fn offer(raft: &mut Raft, index: u64) {
    let offer = Message::SnapshotOffer {
        term: TERM,
        index: LogIndex(index),
        snapshot_term: TERM,
        round: 1,
    };
    raft.receive(NOW, LEADER, offer).unwrap();
}

/// Entries 6 and 7 of the leader.
fn append(raft: &mut Raft) {
    let entry = |index| Entry {
        index: LogIndex(index),
        term: TERM,
        payload: Payload::Command(Bytes::from_static(b"x")),
    };
    let append = Message::Append {
        term: TERM,
        previous_index: LogIndex(5),
        previous_term: TERM,
        commit: LogIndex::ZERO,
        entries: vec![entry(6), entry(7)],
        round: 1,
    };
    raft.receive(NOW, LEADER, append).unwrap();
}

/// Carries out the write of `ready`; gives the indexes in it.
fn write(raft: &mut Raft, ready: Ready) -> Vec<u64> {
    let write = ready.write.unwrap();
    raft.wrote(NOW, write.id);
    write.entries.iter().map(|entry| entry.index.0).collect()
}

#[test]
fn a_snapshot_whose_last_entry_the_disk_was_not_asked_to_write_yet_is_taken_when_it_was() {
    let mut raft = damaged_node();
    offer(&mut raft, 7);
    assert_eq!(raft.ready().install.unwrap().index, LogIndex(7));
    append(&mut raft);
    // The shell feeds in all that is queued before it takes what is to be done.
    assert_eq!(raft.installed(NOW, meta(7)), Ok(()));
    let ready = raft.ready();
    assert_eq!(write(&mut raft, ready), [6, 7]);
    assert_eq!(raft.status().snapshot_index, LogIndex::ZERO);

    offer(&mut raft, 7);
    assert_eq!(raft.ready().install.unwrap().index, LogIndex(7));
    assert_eq!(raft.installed(NOW, meta(7)), Ok(()));
    let ready = raft.ready();
    assert_eq!(
        ready.write.as_ref().unwrap().snapshot.unwrap().index,
        LogIndex(7)
    );
    write(&mut raft, ready);
    assert_eq!(raft.ready().restore, Some(LogIndex(7)));
    assert_eq!(raft.status().damaged_entries, 0);
}

#[test]
fn a_snapshot_of_another_entry_than_the_disk_was_to_write_takes_the_place_of_the_log() {
    let mut raft = damaged_node();
    append(&mut raft);
    let of_term_two = SnapshotMeta {
        term: Term(2),
        ..meta(7)
    };
    let offer = Message::SnapshotOffer {
        term: Term(2),
        index: LogIndex(7),
        snapshot_term: Term(2),
        round: 1,
    };
    raft.receive(NOW, NodeId(3), offer).unwrap();
    assert_eq!(raft.installed(NOW, of_term_two), Ok(()));
    while let Some(write) = raft.ready().write {
        raft.wrote(NOW, write.id);
    }
    assert_eq!(raft.status().last_index, LogIndex(7));
    assert_eq!(raft.status().damaged_entries, 0);
}
